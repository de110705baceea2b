"""``hfpipe evaluate`` on whatever rows there are: a split, a file, with labels and without."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from hfpipe.recipe import load_recipe
from tests.end_to_end.support import scores_of, tolerance
from tests.toys import push_rows, read_jsonl, toy_rows, write_jsonl

MODEL, DATASET = "local/rows-model", "local/rows"


@pytest.fixture(scope="module")
def model(hub, tiny_bert, tmp_path_factory) -> str:
    """A tiny classifier, fine-tuned on toy rows and pushed."""
    from hfpipe.finetuning import FinetuneOptions, finetune

    push_rows(
        hub, DATASET, train=toy_rows(150, 1), validation=toy_rows(30, 2), test=toy_rows(60, 3)
    )
    overrides = [
        f"model.base={tiny_bert}",
        f"data.dataset={DATASET}",
        "training.num_train_epochs=10",
        "training.per_device_train_batch_size=16",
        "training.learning_rate=5e-3",
        "rates=null",  # all at the toy's rate
    ]
    options = FinetuneOptions(MODEL, tmp_path_factory.mktemp("run"), wandb=False, quiet=True)
    return finetune(load_recipe("topics_minilm", overrides), hub, options).model.repo_id


@pytest.fixture(scope="module")
def of_split(hub, model, tmp_path_factory) -> list[dict]:
    """What it says about the pushed test split."""
    from hfpipe.evaluating import EvaluateOptions, evaluate

    out = tmp_path_factory.mktemp("split")
    done = evaluate(model, hub, EvaluateOptions(out=out, baselines=False, quiet=True))
    assert (done.rows, done.record.n) == (60, 60)
    return read_jsonl(done.predictions)


def scored(rows: list[dict], tolerance: float) -> dict:
    """Row id to label to score, to compare."""
    return {row["row_id"]: pytest.approx(scores_of(row), abs=tolerance) for row in rows}


def said(rows: list[dict]) -> dict:
    return {row["row_id"]: scores_of(row) for row in rows}


def test_the_original_script_s_flags_classify_a_file(cli, model, of_split, tmp_path):
    file, found = write_jsonl(tmp_path / "rows.jsonl", toy_rows(60, 3)), tmp_path / "classified"
    ran = cli(
        *("evaluate", "--hf-model-name", model, "--filename", file, "--subject-column", "topic"),
        *("--examples", "--eval-batch-size", "7", "--output-classify-file", found),
        *("--out", tmp_path / "out"),
    )
    assert ran.code == 0, ran.err
    rows = read_jsonl(found)
    assert [row["row_id"] for row in rows] == [row["row_id"] for row in of_split]
    assert said(rows) == scored(of_split, tolerance())
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (record["n"], record["split"], record["dataset"]) == (60, None, str(file))
    assert record["dataset_revision"].startswith("sha256:")
    assert record["metrics"]["accuracy"] > 0.9
    assert record["baselines"]["majority"]["accuracy"] == pytest.approx(1 / 3)
    assert not (tmp_path / "out" / "predictions.jsonl").exists()


@pytest.mark.parametrize(("flag", "rows"), [("--examples 9", 9), ("--examples all", 60)])
def test_examples_takes_the_first_rows(cli, model, of_split, tmp_path, flag, rows):
    ran = cli("evaluate", model, *flag.split(), "--out", tmp_path, "--no-baselines")
    assert ran.code == 0, ran.err
    found = read_jsonl(tmp_path / "predictions.jsonl")
    assert said(found) == scored(of_split[:rows], tolerance())
    assert json.loads((tmp_path / "metrics.json").read_text())["n"] == rows


def test_a_file_may_name_its_columns_otherwise(cli, model, of_split, tmp_path):
    file = tmp_path / "rows.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        # A column of another meaning may be called as that of training.
        writer.writerow(["body", "row_id", "subject", "text"])
        given = ([row["text"], row["row_id"], row["topic"], "x"] for row in toy_rows(60, 3))
        writer.writerows(given)
    ran = cli(
        *("evaluate", model, "--file", file, "--text", "body", "--label", "subject"),
        *("--out", tmp_path / "out"),
    )
    assert ran.code == 0, ran.err
    rows = read_jsonl(tmp_path / "out" / "predictions.jsonl")
    assert said(rows) == scored(of_split, tolerance())
    assert [row["truth"] for row in rows] == [row["truth"] for row in of_split]
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert record["baselines"]["tfidf_logistic_regression"]["accuracy"] > 0.9


def test_rows_without_a_label_are_classified_but_not_scored(cli, model, of_split, tmp_path):
    rows = [
        row | {"topic": row["topic"] if number % 3 else None}
        for number, row in enumerate(toy_rows(60, 3))
    ]
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    ran = cli("evaluate", model, "--file", file, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "20 of 60 rows have no label" in ran.out
    found = read_jsonl(tmp_path / "out" / "predictions.jsonl")
    assert said(found) == scored(of_split, tolerance())
    assert [row["truth"] for row in found] == [row["topic"] for row in rows]
    assert {row["top_1_correct"] for row in found if row["truth"] is None} == {None}
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())
    right = [row["top_1_correct"] for row in found if row["truth"]]
    assert (record["n"], record["metrics"]["accuracy"]) == (40, np.mean(right))


def test_a_file_without_labels_is_only_classified(cli, model, of_split, tmp_path):
    rows = [{"text": row["text"], "row_id": row["row_id"]} for row in toy_rows(60, 3)]
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    ran = cli("evaluate", model, "--file", file, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "60 of 60 rows have no label" in ran.out
    assert said(read_jsonl(tmp_path / "out" / "predictions.jsonl")) == scored(of_split, tolerance())
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (record["n"], record["metrics"]["accuracy"], record["baselines"]) == (0, None, {})
    assert "<html" in (tmp_path / "out" / "report.html").read_text()


@pytest.fixture(scope="module")
def foreign(hub, tiny_bert) -> str:
    """A classifier pushed with transformers alone, its labels in an order of its own."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, set_seed

    set_seed(1)
    names = dict(enumerate(["tool", "animal", "plant"]))
    config = BertConfig.from_pretrained(tiny_bert, id2label=names)
    BertForSequenceClassification(config).push_to_hub("local/foreign", token=hub.token)
    AutoTokenizer.from_pretrained(tiny_bert).push_to_hub("local/foreign", token=hub.token)
    return "local/foreign"


def test_a_model_of_others_is_scored_on_the_columns_named(cli, hub, foreign, model, tmp_path):
    push_rows(hub, "local/theirs", None, train=toy_rows(30, 1), test=toy_rows(21, 4))
    flags = ("--dataset", "local/theirs", "--text", "text", "--label", "topic")
    ran = cli("evaluate", foreign, *flags, "--out", tmp_path)
    assert ran.code == 0, ran.err
    record = json.loads((tmp_path / "metrics.json").read_text())
    rows = read_jsonl(tmp_path / "predictions.jsonl")
    assert record["n"] == 21
    assert list(record["per_class"]) == ["tool", "animal", "plant"]
    assert record["metrics"]["accuracy"] == np.mean([row["top_1_correct"] for row in rows])
    assert record["baselines"]["majority"]["accuracy"] == pytest.approx(1 / 3)

    from transformers import pipeline

    classify = pipeline("text-classification", model=foreign, token=hub.token)
    expected = classify([row["inputs"]["text"] for row in rows], top_k=None)
    for row, ranked in zip(rows, expected, strict=True):
        theirs = {each["label"]: each["score"] for each in ranked}
        assert said([row])[row["row_id"]] == pytest.approx(theirs, abs=tolerance())


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_logits_do_not_depend_on_the_batch(hub, model, batch_size):
    """Each row alone through the plain model, against batches padded to their longest row."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from hfpipe.inputs.collator import Collator
    from hfpipe.inputs.encoding import encode_rows
    from hfpipe.inputs.processor import Processor, TextInput
    from hfpipe.metrics.tasks import task_of
    from hfpipe.training.predict import predict_outputs

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForSequenceClassification.from_pretrained(model).eval()
    texts = [row["text"] for row in toy_rows(40, 5)]
    with torch.no_grad():
        alone = [network(**tokenizer(text, return_tensors="pt")).logits[0] for text in texts]
    processor = Processor({"text": TextInput(["text"])}, None)
    tools = {"text": tokenizer}
    encoded = encode_rows(processor, Dataset.from_dict({"text": texts}), tools, quiet=True)
    assert len(set(encoded["length"])) > 10
    collator, task = Collator(processor, tools, flat=True), task_of("classification")
    found = predict_outputs(network, collator, encoded, task, batch_size, quiet=True).logits
    assert found.shape == (40, 3)
    np.testing.assert_allclose(found, torch.stack(alone).numpy(), atol=max(tolerance(), 1e-5))
