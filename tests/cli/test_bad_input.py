"""Bad input: exit code 2, one line that names the place and the fix, and nothing done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import _free_port
from tests.toys import push_rows, toy_rows, write_jsonl

PREPARE = "prepare rows.jsonl --text text --label topic --target local/never"
FINETUNE = "finetune --dataset local/toys --base-model tiny/bert --target local/never --no-wandb"
EVALUATE = "evaluate local/toys-model"
# A command, then what its one line must say: the place and the fix.
CASES = {
    # what is read
    "missing file": (
        "prepare rwos.jsonl --text text --label topic --target local/never",
        ("rwos.jsonl", "did you mean 'rows.jsonl'"),
    ),
    "malformed JSON": (
        PREPARE.replace("rows.jsonl", "broken.jsonl"),
        ("broken.jsonl: line 3", "not JSON", "--max-bad-rows"),
    ),
    "missing text column": (
        PREPARE.replace("--text text", "--text txet"),
        ("'txet'", "did you mean 'text'"),
    ),
    "missing label column": (
        PREPARE.replace("--label topic", "--label topik"),
        ("'topik'", "did you mean 'topic'"),
    ),
    "one class": (
        PREPARE + " --drop-labels plant,tool",
        ("'topic' has one class only, 'animal'", "--drop-labels"),
    ),
    "class too small": (
        PREPARE.replace("rows.jsonl", "rare.jsonl"),
        ("'rare'", "2 rows", "--min-count"),
    ),
    "nothing but gaps": (PREPARE.replace("rows.jsonl", "gaps.jsonl"), ("no row has", "--label")),
    # recipes
    "unknown recipe to prepare": (PREPARE + " --recipe topics_minlm", ("'topics_minilm'",)),
    "unknown recipe": (
        FINETUNE + " --recipe topics_minlm",
        ("no recipe 'topics_minlm'", "did you mean 'topics_minilm'"),
    ),
    "missing recipe file": (FINETUNE + " --recipe mine.yaml", ("mine.yaml", "does not exist")),
    "unknown block": (FINETUNE + " modle.base=x", ("'modle'", "did you mean 'model'")),
    "unknown key": (FINETUNE + " model.bsae=x", ("'model.bsae'", "did you mean 'model.base'")),
    "unknown training key": (
        FINETUNE + " training.learning_rat=1",
        ("'training.learning_rat'", "did you mean 'training.learning_rate'"),
    ),
    "no override": (FINETUNE + " training.seed", ("'training.seed'", "key=value")),
    "value of the wrong type": (
        FINETUNE + " training.num_train_epochs=many",
        ("training.num_train_epochs", "'many'"),
    ),
    # repos
    "dataset that does not exist": (
        FINETUNE.replace("local/toys ", "local/tyos "),
        ("dataset repo 'local/tyos'", "does not exist", "check the id"),
    ),
    "revision that does not exist": (
        FINETUNE.replace("local/toys ", "local/toys@v9 "),
        ("dataset repo 'local/toys'", "no revision 'v9'", "branch, tag or commit"),
    ),
    "base model that does not exist": (
        FINETUNE.replace("tiny/bert", "tiny/bret"),
        ("model repo 'tiny/bret'", "does not exist", "check the id"),
    ),
    "base model without a model in it": (
        FINETUNE.replace("tiny/bert", "local/empty"),
        ("model repo 'local/empty'", "no"),
    ),
    "model that does not exist": (
        "evaluate local/toys-modle",
        ("model repo 'local/toys-modle'", "does not exist", "check the id"),
    ),
    "dataset to score on that does not exist": (
        EVALUATE + " --dataset local/tyos",
        ("dataset repo 'local/tyos'", "does not exist", "check the id"),
    ),
    "no repo id": (EVALUATE + "//x", ("local/toys-model//x", "NAMESPACE/NAME")),
    "private dataset of another": (
        FINETUNE.replace("local/toys ", "eve/rows "),
        ("dataset repo 'eve/rows'", "not visible to this token", "check the id"),
    ),
    "private model of another": (
        "evaluate eve/model",
        ("model repo 'eve/model'", "not visible to this token", "check the id"),
    ),
    "namespace of another to prepare for": (
        PREPARE.replace("local/never", "eve/never"),
        ("'eve/never'", "may not write to 'eve'", "'local'"),
    ),
    "namespace of another to push to": (
        FINETUNE.replace("local/never", "eve/never"),
        ("'eve/never'", "may not write to 'eve'", "'local'"),
    ),
    "bad token to prepare": (PREPARE + " --hf-access-token hf_wrong", ("token", "HF_TOKEN")),
    "bad token to finetune": (FINETUNE + " --hf-access-token hf_wrong", ("token", "HF_TOKEN")),
    "bad token to evaluate": (EVALUATE + " --hf-access-token hf_wrong", ("token", "HF_TOKEN")),
    "Hub of another kind": (EVALUATE + " --hub ftp://x", ("--hub ftp://x", "'local'")),
    # data to train on
    "one class in train": (
        FINETUNE.replace("local/toys ", "local/same "),
        ("dataset repo 'local/same'", "'topic'", "1 class"),
    ),
    "missing label to train on": (
        FINETUNE + " data.label=topik",
        ("dataset repo 'local/toys'", "'topik'", "did you mean 'topic'"),
    ),
    # data to score
    "labels of another task": (
        EVALUATE + " --dataset local/others",
        ("dataset repo 'local/others', split 'test'", "label 'planet'", "did you mean 'plant'"),
    ),
    "labels of another task in a file": (
        EVALUATE + " --file others.jsonl",
        ("others.jsonl", "label 'planet'", "did you mean 'plant'"),
    ),
    "dataset and file": (
        EVALUATE + " --file rows.jsonl --dataset local/toys",
        ("--file and --dataset", "give one"),
    ),
    "missing split": (
        EVALUATE + " --split tset",
        ("dataset repo 'local/toys'", "no split 'tset'", "did you mean 'test'"),
    ),
    "columns that differ among splits": (
        EVALUATE + " --dataset local/more",
        ("dataset repo 'local/more' cannot be loaded", "same columns", "1 new columns ({'extra'})"),
    ),
    "too few resamples": (
        EVALUATE + " --resamples 1",
        ("--resamples: 1 is too few", "give 40 or more"),
    ),
    "no aim": (EVALUATE + " --threshold-for=", ("threshold aim ''",)),
    "a folder to write to": (
        EVALUATE + " --output-classify-file=..",
        ("..: a folder: name a file",),
    ),
    "a folder to score": (EVALUATE + " --file ..", ("--file ..", "is no file")),
    "missing file to score": (EVALUATE + " --file rwos.jsonl", ("rwos.jsonl", "does not exist")),
    "malformed file to score": (EVALUATE + " --file broken.jsonl", ("broken.jsonl: line 3",)),
    "missing column to score": (
        EVALUATE + " --file rows.jsonl --text txet",
        ("rows.jsonl", "'txet'", "did you mean 'text'"),
    ),
    "missing label to score": (
        EVALUATE + " --file rows.jsonl --label topik",
        ("rows.jsonl", "'topik'", "did you mean 'topic'"),
    ),
    "no model named": ("evaluate", ("which model?", "hfpipe evaluate NS/NAME")),
    "no number of examples": (EVALUATE + " --examples=few", ("--examples few", "number")),
}


@pytest.fixture(scope="module")
def eve(hub, hub_directory) -> str:
    """The token of another user, who has private repos."""
    from huggingface_hub import HfApi

    from hfpipe.hub.server.directory import open_hub

    token = open_hub(hub_directory).add_user("eve")
    api = HfApi(hub.url, token=token)
    for repo_id, repo_type in (("eve/rows", "dataset"), ("eve/model", "model")):
        api.create_repo(repo_id, repo_type=repo_type, private=True)
    return token


@pytest.fixture(scope="module")
def repos(hub, eve, toys, toy_model) -> None:
    from huggingface_hub import HfApi

    HfApi(hub.url, token=hub.token).create_repo("local/empty")
    same = [row | {"topic": "same"} for row in toy_rows(12, 1)]
    push_rows(hub, "local/same", train=same, validation=same, test=same)
    more = [row | {"extra": 1} for row in toy_rows(12, 1)]
    push_rows(hub, "local/more", train=same, test=more)
    push_rows(hub, "local/others", train=toy_rows(12, 1), test=others())


def others() -> list[dict]:
    return [*toy_rows(12, 2), {"row_id": "x", "text": "a red one", "topic": "planet"}]


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    """Where the commands run, with the files that they name."""
    folder = tmp_path / "here"
    folder.mkdir()
    rows = [
        {"text": f"{row['text']} {number} x{number}y", "topic": row["topic"]}
        for number, row in enumerate(toy_rows(60, 1))
    ]
    write_jsonl(folder / "rows.jsonl", rows)
    write_jsonl(folder / "others.jsonl", others())
    write_jsonl(folder / "rare.jsonl", [*rows, *({"text": t, "topic": "rare"} for t in "ab")])
    write_jsonl(folder / "gaps.jsonl", [row | {"topic": None} for row in rows])
    lines = (folder / "rows.jsonl").read_text().splitlines(keepends=True)
    (folder / "broken.jsonl").write_text("".join([*lines[:2], '{"text": \n', *lines[2:]]))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def unchanged(repos, files, hub_directory) -> Iterator[None]:
    """After the test the Hub holds what it held, and no file was made or touched."""
    from hfpipe.hub.server.summary import summarize

    def state() -> tuple:
        held = [(repo.kind, repo.id, repo.revision) for repo in summarize(hub_directory).repos]
        there = {path: path.stat().st_mtime_ns for path in files.parent.rglob("*")}
        return held, there

    before = state()
    yield
    assert state() == before


@pytest.mark.parametrize(("command", "words"), CASES.values(), ids=CASES)
def test_bad_input_is_one_line_and_nothing_is_done(cli, unchanged, command, words):
    verb, *arguments = command.split()
    ran = cli(verb, *arguments, "--out", "out")
    assert (ran.code, ran.out) == (2, ""), ran.err
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert len(ran.err) < 500
    for word in words:
        assert word in ran.err, ran.err
    assert "hf_wrong" not in ran.err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (EVALUATE + " --fiel rows.jsonl", ("--fiel", "--file")),
        (FINETUNE + " --downsample few", ("--downsample", "integer")),
        ("evalaute local/toys-model", ("'evalaute'", "Did you mean 'evaluate'")),
        (PREPARE + " --max-bad-rows lots", ("--max-bad-rows", "number")),
    ],
)
def test_a_command_line_that_cannot_be_read_says_where_help_is(cli, unchanged, command, words):
    ran = cli(*command.split(), "--out", "out")
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1


def test_debug_shows_the_traceback(cli, unchanged):
    ran = cli(*EVALUATE.split(), "--split", "tset", "--out", "out", "--debug")
    assert ran.code == 2
    assert ran.err.startswith("Traceback")
    assert ran.err.splitlines()[-1].startswith("error: dataset repo 'local/toys' has no split")


UNREACHABLE = """
import json, sys, time
from hfpipe.cli.app import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["hfpipe", *arguments]
    started, code = time.monotonic(), 0
    try:
        main()
    except SystemExit as left:
        code = left.code
    print(json.dumps([code, time.monotonic() - started]))
"""


def test_a_hub_that_does_not_answer_is_named_soon(files):
    """In a process of its own: this one's client knows the Hub of the tests."""
    url = f"http://127.0.0.1:{_free_port()}"
    commands = [
        [*command.split(), "--hub", url, "--out", "out"]
        for command in (PREPARE, FINETUNE, EVALUATE)
    ]
    done = subprocess.run(
        [sys.executable, "-c", UNREACHABLE, json.dumps(commands)],
        env={**os.environ, "HF_TOKEN": "hf_any", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    ended = [json.loads(line) for line in done.stdout.splitlines()]
    assert [code for code, _ in ended] == [2, 2, 2]
    # Most of it is importing torch; the client does not try again for minutes.
    assert sum(seconds for _, seconds in ended) < 90
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert line.startswith(f"error: no Hub answers at {url} (")
        assert "check HF_ENDPOINT or --hub" in line
    assert not (files / "out").exists()
