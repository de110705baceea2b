"""Fine-tuning as a user sees it, on a tiny base model, against a real Hub."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from hfpipe.errors import UserError
from hfpipe.recipe import load_recipe

if TYPE_CHECKING:
    from hfpipe.hub.endpoint import Endpoint

Push = Callable[..., str]


def parquet(rows: list[dict]) -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(rows).to_parquet(buffer, index=False)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def push(hub: Endpoint) -> Push:
    """Push splits of rows as a dataset repo, as 'hfpipe prepare' does."""
    from hfpipe.hub.publish import publish

    def push(name: str, prepared: dict | None = None, **splits: list[dict]) -> str:
        files = {
            f"data/{split}-00000-of-00001.parquet": parquet(rows) for split, rows in splits.items()
        }
        if prepared is not None:
            files["hfpipe/prepare.json"] = json.dumps(prepared).encode()
        return publish(hub, f"local/{name}", "dataset", files, "rows").repo_id

    return push


def toy_rows(count: int, seed: int) -> list[dict]:
    """Texts whose label is told by one of their words, in shuffled lengths."""
    random = np.random.default_rng(seed)
    words = {"animal": ["dog", "cat", "horse"], "plant": ["rose", "tree", "grass"]}
    rows = []
    for number in range(count):
        label = ("animal", "plant")[number % 2]
        filler = ["the"] * int(random.integers(1, 30))
        text = " ".join([*filler, str(random.choice(words[label]))])
        rows.append({"row_id": f"{seed}-{number}", "text": text, "topic": label})
    return rows


PREPARED = {"text": ["text"], "label": "topic"}
FAST = [
    "training.num_train_epochs=8",
    "training.per_device_train_batch_size=16",
    "training.learning_rate=5e-3",
]


@pytest.fixture(scope="module")
def toy(push: Push) -> str:
    return push(
        "toy",
        PREPARED,
        train=toy_rows(160, 1),
        validation=toy_rows(40, 2),
        test=toy_rows(40, 3),
    )


def run(hub: Endpoint, base: str, dataset: str, target: str, out: Path, *overrides: str, **options):
    from hfpipe.finetuning import FinetuneOptions, finetune

    recipe = load_recipe(
        "topics_minilm", [f"model.base={base}", f"data.dataset={dataset}", *FAST, *overrides]
    )
    chosen = FinetuneOptions(target=target, out=out, wandb=False, quiet=True, **options)
    return finetune(recipe, hub, chosen)


@pytest.fixture(scope="module")
def tuned(hub: Endpoint, tiny_bert: str, toy: str, tmp_path_factory: pytest.TempPathFactory):
    return run(hub, tiny_bert, toy, "local/toy-model", tmp_path_factory.mktemp("run"))


def pushed_file(hub: Endpoint, tuned, path: str) -> Path:
    from hfpipe.hub.repos import download

    found = download(hub, tuned.model.repo_id, "model", path, tuned.model.revision)
    assert found is not None, path
    return found


def test_learns_a_toy_task_and_says_so_for_validation(tuned):
    assert tuned.record.split == "validation"
    assert tuned.record.n == 40
    assert tuned.record.metrics["accuracy"] > 0.95
    assert tuned.train_rows == 160


def test_pushes_model_tokenizer_card_and_run_record_in_one_commit(hub, tuned):
    from hfpipe.hub.repos import api

    client = api(hub)
    files = client.list_repo_files("local/toy-model")
    for wanted in ("config.json", "model.safetensors", "tokenizer.json", "README.md"):
        assert wanted in files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
    story = json.loads(pushed_file(hub, tuned, "hfpipe/run.json").read_text())
    assert story["dataset"]["repo_id"] == "local/toy"
    assert len(story["dataset"]["revision"]) == 40
    assert story["labels"] == ["animal", "plant"]
    assert story["config"]["training"]["num_train_epochs"] == 8
    assert story["metrics"]["validation"]["accuracy"] == tuned.record.metrics["accuracy"]
    # The repo's first commit is the Hub's own; the second holds everything.
    assert client.repo_info("local/toy-model").sha == tuned.model.revision
    assert len(client.list_repo_commits("local/toy-model")) <= 2


def test_no_token_is_in_anything_that_was_pushed_or_kept(hub, tuned):
    from huggingface_hub import snapshot_download

    snapshot = Path(snapshot_download("local/toy-model", token=hub.token))
    kept = [path for root in (snapshot, tuned.folder) for path in root.rglob("*") if path.is_file()]
    assert len(kept) > 8
    for path in kept:
        assert hub.token.encode() not in path.read_bytes(), path


def test_the_run_folder_tells_the_story(tuned):
    from hfpipe.recipe import load_recipe

    assert load_recipe(str(tuned.folder / "config.yaml")).training["num_train_epochs"] == 8
    curves = json.loads((tuned.folder / "curves.json").read_text())
    assert [point["epoch"] for point in curves if "eval_accuracy" in point] == list(range(1, 9))
    assert json.loads((tuned.folder / "metrics.json").read_text())["split"] == "validation"
    assert "<html" in (tuned.folder / "report.html").read_text()


def test_the_best_epoch_is_kept_not_the_last(tuned):
    curves = json.loads((tuned.folder / "curves.json").read_text())
    best = max(point["eval_accuracy"] for point in curves if "eval_accuracy" in point)
    assert tuned.record.metrics["accuracy"] == pytest.approx(best, abs=1e-9)


def test_the_same_seed_gives_the_same_weights(hub, tiny_bert, toy, tuned, tmp_path):
    again = run(hub, tiny_bert, toy, "local/toy-again", tmp_path)
    first = pushed_file(hub, tuned, "model.safetensors").read_bytes()
    second = pushed_file(hub, again, "model.safetensors").read_bytes()
    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()


def test_an_earlier_run_s_checkpoints_do_not_stay_in_the_folder(hub, tiny_bert, toy, tmp_path):
    for step in (1, 999):
        stale = tmp_path / "checkpoints" / f"checkpoint-{step}"
        stale.mkdir(parents=True)
        (stale / "model.safetensors").write_bytes(b"of an earlier run")
    all_kept = ["training.num_train_epochs=1", "training.save_total_limit=null"]
    run(hub, tiny_bert, toy, "local/twice", tmp_path, *all_kept)
    kept = (tmp_path / "checkpoints").glob("checkpoint-*")
    assert [path.name for path in kept] == ["checkpoint-10"]


def test_the_test_split_cannot_influence_training(hub, tiny_bert, push, tuned, tmp_path):
    poisoned = [{"row_id": "x", "text": "unheard of", "topic": "only in test"}]
    repo = push(
        "poisoned", PREPARED, train=toy_rows(160, 1), validation=toy_rows(40, 2), test=poisoned
    )
    other = run(hub, tiny_bert, repo, "local/poisoned-model", tmp_path)
    first = pushed_file(hub, tuned, "model.safetensors").read_bytes()
    assert pushed_file(hub, other, "model.safetensors").read_bytes() == first


def test_without_a_validation_split_train_gives_a_tenth_and_test_nothing(
    hub, tiny_bert, push, tmp_path
):
    repo = push("two-splits", PREPARED, train=toy_rows(100, 1), test=toy_rows(40, 3))
    done = run(
        hub, tiny_bert, repo, "local/two-splits-model", tmp_path, "training.num_train_epochs=1"
    )
    assert (done.train_rows, done.record.n) == (90, 10)


def test_downsample_takes_so_many_rows(hub, tiny_bert, toy, tmp_path):
    done = run(hub, tiny_bert, toy, "local/few", tmp_path, "training.num_train_epochs=1", rows=30)
    assert done.train_rows == 30
    story = json.loads(pushed_file(hub, done, "hfpipe/run.json").read_text())
    assert story["train_rows"] == 30


def test_rows_without_a_label_are_left_out_of_training(hub, tiny_bert, push, tmp_path):
    train = [*toy_rows(40, 1), {"row_id": "none", "text": "unlabelled", "topic": None}]
    repo = push("gaps", PREPARED, train=train, validation=toy_rows(10, 2))
    done = run(hub, tiny_bert, repo, "local/gaps", tmp_path, "training.num_train_epochs=1")
    assert done.train_rows == 40


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data.label=topik"], ["'topik'", "'topic'"]),
        (["data.inputs.text.columns=[txt]"], ["'txt'", "'text'"]),
        (["training.learning_rat=1"], ["training.learning_rat", "'training.learning_rate'"]),
        (["training.hub_token=hf_secret"], ["training.hub_token", "HF_TOKEN"]),
        (["training.metric_for_best_model=acuracy"], ["'acuracy'", "'accuracy'"]),
        (["training.metric_for_best_model=f_1"], ["'f_1'", "'f1'"]),
        (["model.base=tiny/nothing"], ["tiny/nothing", "does not exist"]),
        (["model.base="], ["--base-model"]),
        (["data.dataset=local/nothing"], ["local/nothing", "does not exist"]),
        (["data.dataset=local/toy@v9"], ["local/toy", "v9"]),
        (["data.inputs.text.kind=txet"], ["txet", "'text'"]),
        (["training.num_train_epochs=many"], ["training.num_train_epochs", "'many'", "float"]),
    ],
)
def test_what_cannot_work_is_one_clear_line_and_pushes_nothing(
    hub, tiny_bert, toy, tmp_path, overrides, words
):
    from hfpipe.hub.repos import api

    with pytest.raises(UserError) as caught:
        run(hub, tiny_bert, toy, "local/never", tmp_path / "run", *overrides)
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line
    assert "hf_secret" not in line
    assert not api(hub).repo_exists("local/never")
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_foreign_namespace_is_refused_before_training(hub, tiny_bert, toy, tmp_path):
    with pytest.raises(UserError, match=r"'ada/model'.*'local'.*may not write to 'ada'"):
        run(hub, tiny_bert, toy, "ada/model", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_class_cannot_be_learned(hub, tiny_bert, push, tmp_path):
    rows = [row | {"topic": "same"} for row in toy_rows(10, 1)]
    repo = push("one-class", PREPARED, train=rows, validation=rows)
    with pytest.raises(UserError, match="'topic' has 1 class"):
        run(hub, tiny_bert, repo, "local/never", tmp_path)


def test_a_dataset_of_others_needs_its_columns_named(hub, tiny_bert, push, tmp_path):
    repo = push("foreign", None, train=toy_rows(40, 1), validation=toy_rows(10, 2))
    with pytest.raises(UserError, match=r"data\.inputs\.text\.columns"):
        run(hub, tiny_bert, repo, "local/never", tmp_path)
    done = run(
        hub,
        tiny_bert,
        repo,
        "local/foreign-model",
        tmp_path,
        "data.inputs.text.columns=[text]",
        "data.label=topic",
        "training.num_train_epochs=1",
    )
    assert done.record.n == 10


def test_a_text_of_several_columns_is_their_join(hub, tiny_bert, push, tmp_path):
    def split(row: dict, number: int) -> dict:
        return row | {"title": row["text"], "text": "the the" if number % 2 else None}

    rows = [split(row, number) for number, row in enumerate(toy_rows(160, 1))]
    held = [split(row, number) for number, row in enumerate(toy_rows(40, 2))]
    repo = push("two-columns", PREPARED | {"text": ["title", "text"]}, train=rows, validation=held)
    done = run(hub, tiny_bert, repo, "local/two-columns-model", tmp_path)
    assert done.record.metrics["accuracy"] > 0.9
