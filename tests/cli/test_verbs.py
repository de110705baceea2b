"""Help, the original scripts' flags, ``hub``, ``env``, and tokens that stay secret."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.toys import toy_rows, write_jsonl

ALIASES = {
    "prepare": (
        *("--input-dir", "--input-filename", "--text", "--subject", "--subject-column"),
        *("--labels-to-filter", "--reduce-majority-to", "--output-filename"),
        *("--target-hf-dataset", "--hf-access-token"),
    ),
    "finetune": (
        *("--model-for-training-finetune", "--input-hf-dataset", "--hf-model-name"),
        *("--hf-access-token", "--wandb-access-token", "--wandb-output", "--downsample"),
        "--eval-batch-size",
    ),
    "evaluate": (
        *("--hf-model-name", "--input-hf-dataset", "--filename", "--subject-column", "--examples"),
        *("--output-classify-file", "--eval-batch-size", "--hf-access-token", "--text"),
    ),
}
VERBS = (
    *(("prepare",), ("finetune",), ("evaluate",), ("predict",), ("compare",), ("demo",), ("env",)),
    *(("recipes", verb) for verb in ("list", "show", "copy", "validate")),
    *(("hub", verb) for verb in ("serve", "import", "status")),
)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_help_shows_an_example_to_copy(cli, verb):
    ran = cli(*verb, "--help")
    assert ran.code == 0
    assert re.search(rf"Example: hfpipe {' '.join(verb)}\b", " ".join(ran.out.split()))
    for flag in ALIASES.get(verb[0], ()):
        assert flag in ran.out, flag


def test_help_without_a_verb_lists_them_all(cli):
    ran = cli("--help")
    assert ran.code == 0
    for verb in ("prepare", "finetune", "evaluate", "recipes", "hub", "demo", "env"):
        assert re.search(rf"^ +{verb} ", ran.out, re.MULTILINE), verb


def test_the_original_flags_do_the_whole_job_and_keep_tokens_secret(
    cli, hub, tiny_bert, tmp_path, monkeypatch
):
    """prepare, finetune and evaluate as the original scripts were called, tokens and all."""
    from huggingface_hub import snapshot_download

    key = "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setenv("WANDB_API_KEY", "")
    monkeypatch.setenv("WANDB_MODE", "offline")
    raw, token = tmp_path / "raw", ("--hf-access-token", hub.token)
    raw.mkdir()
    rows = [
        {"text": f"{row['text']} {n} x{n}y", "topic": row["topic"]}
        for n, row in enumerate(toy_rows(90, 1))
    ]
    write_jsonl(raw / "rows.jsonl", rows)
    commands = [
        (
            *("prepare", "--input-dir", raw, "--input-filename", "rows.jsonl", "--text", "text"),
            *("--subject", "topic", "--labels-to-filter", "tool", "--reduce-majority-to", "2"),
            *("--output-filename", tmp_path / "made" / "toy", "--target-hf-dataset"),
            *("local/original", *token),
        ),
        (
            *("finetune", "--train", "--model-for-training-finetune", tiny_bert),
            *("--input-hf-dataset", "local/original", "--hf-model-name", "local/original-model"),
            *("--downsample", "20", "--eval-batch-size", "8", "--wandb-access-token", key),
            *("--wandb-output", tmp_path / "html", *token, "--out", tmp_path / "run"),
            "training.max_steps=2",
        ),
        (
            *("evaluate", "--hf-model-name", "local/original-model", "--input-hf-dataset"),
            *("local/original", "--subject-column", "topic", "--eval-batch-size", "4", *token),
            *("--examples", "5", "--out", tmp_path / "scores"),
            *("--output-classify-file", tmp_path / "classified.jsonl"),
        ),
    ]
    for command in commands:
        ran = cli(*command)
        assert ran.code == 0, ran.err
        assert hub.token not in ran.out + ran.err
        assert key not in ran.out + ran.err
    assert (tmp_path / "made" / "toy_train.jsonl").is_file()
    assert (tmp_path / "html" / "topics_minilm.html").is_file()
    assert len((tmp_path / "classified.jsonl").read_text().splitlines()) == 5
    assert json.loads((tmp_path / "scores" / "metrics.json").read_text())["n"] == 5
    pushed = snapshot_download("local/original-model", token=hub.token)
    for root in (tmp_path, Path(pushed)):
        for path in (each for each in root.rglob("*") if each.is_file()):
            content = path.read_bytes()
            assert hub.token.encode() not in content, path
            assert key.encode() not in content, path


def test_env_says_where_the_hub_is_and_that_a_token_is_known(cli, hub):
    ran = cli("env")
    assert ran.code == 0, ran.err
    assert hub.url in ran.out
    assert re.search(r"Hub token +known", ran.out)
    assert re.search(r"transformers +\d+\.\d+", ran.out)
    assert hub.token not in ran.out + ran.err


def test_hub_import_then_status(cli, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    where = ("--hub", f"local:{tmp_path / 'hub'}")
    ran = cli("hub", "import", "ada/empty", "--from", tmp_path / "model", *where)
    assert ran.code == 0, ran.err
    revision = re.search(r"ada/empty@([0-9a-f]{12}): imported \(1 files", ran.out)[1]
    ran = cli("hub", "status", "--dir", tmp_path / "hub")
    assert ran.code == 0, ran.err
    assert re.search(rf"model +ada/empty +{revision}", ran.out)
