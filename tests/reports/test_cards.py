"""Cards: a header the Hub's own client reads, code that runs, tables that nothing breaks."""

from __future__ import annotations

import re

import pytest
from huggingface_hub import DatasetCard, ModelCard
from jinja2 import UndefinedError

from hfpipe.reports.cards import dataset_card, model_card
from hfpipe.reports.rendering import fenced, render, text

PROVENANCE = {
    "hfpipe": "0.1.0",
    "libraries": {"torch": "2.13.0"},
    "command": "/venv/bin/hfpipe finetune --recipe topics_minilm --dataset local/topics",
    "hardware": {"cpus": 2},
}


def run_of(labels):
    return {
        "hfpipe": "0.1.0",
        "recipe": "topics_minilm",
        "config": {"training": {"learning_rate": 3e-4, "num_train_epochs": 2, "push": None}},
        "dataset": {"repo_id": "local/topics", "revision": "d" * 40},
        "base_model": {"repo_id": "sentence-transformers/all-MiniLM-L6-v2", "revision": "b" * 40},
        "labels": labels,
        "inputs": {"text": {"kind": "text", "columns": ["definition"], "max_length": 512}},
        "label": "subject",
        "seed": 42,
        "metrics": {"validation": {"eval_accuracy": 0.83, "eval_loss": 0.5, "eval_runtime": 3.0}},
        "provenance": PROVENANCE,
        "train_rows": 14400,
        "validation_rows": 1600,
    }


def prepare_of(labels):
    return {
        "text": ["definition"],
        "label": "subject",
        "labels": labels,
        "inputs": [{"file": labels[0] + ".jsonl.gz", "sha256": "c" * 64, "rows": 5000}],
        "options": {"threshold": 0.9, "sizes": [0.8, 0.1, 0.1], "drop_labels": []},
        "seed": 42,
        "counts": {
            "in": 5000,
            "kept": 4000,
            "dropped": {"exact duplicate": 640, "near-duplicate": 310, "empty text": 50},
            "splits": {"train": 3200, "validation": 400, "test": 400},
            "per_class": {label: {"before": 1234, "after": 1000} for label in labels},
        },
        "provenance": PROVENANCE,
    }


def model_text(found, labels=None, metrics=None):
    labels = labels or ["a", "b"]
    return model_card(
        repo_id="local/topics-minilm",
        run=run_of(labels),
        metrics=metrics,
        dataset_id="local/topics",
        base_model=found,
        labels=labels,
    )


def test_model_header_is_what_the_hub_knows():
    card = ModelCard(model_text("sentence-transformers/all-MiniLM-L6-v2"))
    assert card.data.to_dict() == {
        "base_model": "sentence-transformers/all-MiniLM-L6-v2",
        "datasets": ["local/topics"],
        "library_name": "transformers",
        "metrics": ["accuracy", "f1"],
        "pipeline_tag": "text-classification",
        "tags": ["hfpipe"],
    }


def test_a_base_model_in_a_folder_is_no_repo_id():
    card = ModelCard(model_text("/home/ada/models/tiny"))
    assert card.data.base_model is None
    assert "fine-tuned from /home/ada/models/tiny" in card.text


def test_model_card_tells_the_whole_story(topics):
    body = model_text("base/model", topics.labels, topics.record.to_dict())
    for value in topics.record.metrics.values():
        assert f"| {value:.3f} |" in body
    assert "| | This model | TF-IDF + logistic regression | Most frequent class |" in body
    assert all(f"| {label} |" in body for label in topics.labels)
    assert "1,500 rows of the test split" in body
    assert "| learning\\_rate | 0.0003 |" in body
    assert "| push |" not in body
    assert "14,400 to train on, 1,600 to select on" in body
    assert "hfpipe finetune --recipe topics_minilm --dataset local/topics\n" in body
    assert "hfpipe evaluate local/topics-minilm\n" in body
    assert "| libraries.torch | 2.13.0 |" in body
    assert 'pipeline("text-classification", model="local/topics-minilm")' in body


def test_before_evaluation_it_shows_validation():
    body = model_text("base/model")
    assert "Measured on the validation split (1,600 rows)" in body
    assert "| Accuracy | 0.830 |" in body
    assert "runtime" not in body.lower()


def card_of(evaluation, family="own", **more):
    """A model card of any other task, of a model of our own with two towers."""
    run = run_of(evaluation.labels)
    run |= {
        "family": family,
        "base_model": None,
        "origins": {
            "video": {"repo_id": "local/video-tower", "revision": "e" * 40},
            "text": {"repo_id": "local/text-tower", "revision": "f" * 40},
        },
        "inputs": {
            "meta": {"kind": "numeric", "columns": ["age", "size"], "means": [0.5, 0.25]},
            "video": {"kind": "vector", "columns": ["video"], "dim": 384},
        },
        "loss": {"loss": "focal", "focal_gamma": 2.0, "pos_weight": 3.5},
        "notes": ["tower 'text' learnt from another dataset"],
        **more,
    }
    return model_card(
        repo_id="local/model",
        run=run,
        metrics=evaluation.record.to_dict(),
        dataset_id="local/rows",
        base_model=None,
        labels=evaluation.labels,
    )


def test_a_model_of_our_own_is_loaded_by_hfpipe_or_with_its_own_code(evaluations):
    body = card_of(evaluations["binary"])
    assert "A yes-or-no classifier (yes or no) on the dataset local/rows." in body
    assert 'rows = [{"age": ..., "size": ..., "video": ...}]' in body
    assert "except for log loss, Brier score and calibration error (ECE)." in body
    assert 'hfpipe.load("local/model").predict(rows)' in body
    assert 'AutoModel.from_pretrained("local/model", trust_remote_code=True)' in body
    assert f"| video | local/video-tower | {'e' * 40} |" in body
    assert "| Loss: pos\\_weight | 3.5 |" in body
    assert f"| Threshold | {evaluations['binary'].record.threshold:.3f} |" in body
    assert "- tower 'text' learnt from another dataset" in body
    assert "| Input meta | kind: numeric; columns: age, size |" in body
    assert "stock" not in body
    header = ModelCard(body).data.to_dict()
    assert header["base_model"] == ["local/video-tower", "local/text-tower"]
    assert header["pipeline_tag"] == "tabular-classification"
    assert header["metrics"] == ["roc_auc", "f1"]


def test_a_regression_card_has_no_labels_and_says_what_is_lower(evaluations):
    body = card_of(evaluations["regression"], "tabular", origins={})
    header = ModelCard(body).data.to_dict()
    assert (header["pipeline_tag"], header["library_name"]) == ("tabular-regression", "sklearn")
    assert "A model that predicts the number subject" in body
    assert "## Labels" not in body
    assert "## Towers" not in body
    assert "## Decision" not in body
    assert "except for RMSE (log scale), mean absolute error (log scale), RMSE and" in body
    assert "| | This model | Ridge regression | Mean of the train split |" in body
    assert "trust_remote_code" not in body


def test_a_stock_image_model_is_a_pipeline(topics):
    body = card_of(topics, "stock image", origins={})
    assert 'pipeline("image-classification", model="local/model")' in body
    assert "An image classifier with 26 labels" in body
    assert ModelCard(body).data.pipeline_tag == "image-classification"


def test_a_multi_label_card_tells_every_label(evaluations):
    body = card_of(evaluations["multi_label"])
    assert "A classifier with 3 labels, any number of them a row" in body
    support = evaluations["multi_label"].record.per_class["dog"]["support"]
    assert f"| {support} |" in next(x for x in body.splitlines() if x.startswith("| dog |"))


@pytest.mark.parametrize("name", ["binary", "multi_label", "regression"])
def test_no_text_of_a_user_breaks_the_card_of_any_task(attacks, attack, name):
    evil = attack.labels
    body = card_of(
        attacks[name],
        origins={evil[0]: {"repo_id": evil[1], "revision": evil[3]}},
        inputs={evil[0]: {"kind": "text", "columns": [evil[1], evil[4]]}},
        loss={evil[0]: evil[4]},
        notes=[evil[0], evil[4]],
        label=evil[2],
    )
    code = re.search(r"```+python\n(.*?)\n```", body, re.DOTALL)[1]
    compile(code, "card", "exec")
    prose = ModelCard(body).text.replace(code, "")
    assert not re.search(r"<(script|img|svg|/title)", prose)
    assert "](javascript" not in prose.replace("\\](", "")
    assert "https://evil" not in prose
    for block in (block for block in re.split(r"\n\n+", prose) if block.startswith("|")):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1, block


def test_dataset_header_maps_the_splits():
    card = DatasetCard(
        dataset_card(
            repo_id="local/topics",
            title="Topics",
            prepare=prepare_of(["a", "b"]),
            file_format="parquet",
        )
    )
    (config,) = card.data.to_dict()["configs"]
    assert [(item["split"], item["path"]) for item in config["data_files"]] == [
        ("train", "data/train*.parquet"),
        ("validation", "data/validation*.parquet"),
        ("test", "data/test*.parquet"),
    ]
    assert card.data.size_categories == ["1K<n<10K"]
    assert card.data.task_categories == ["text-classification"]
    assert "license" not in card.data.to_dict()


def test_csv_files_lie_at_the_top():
    body = dataset_card(
        repo_id="local/topics", title="T", prepare=prepare_of(["a"]), file_format="csv"
    )
    assert "path: train.csv" in body


def test_dataset_card_counts_everything():
    body = dataset_card(
        repo_id="local/topics",
        title="Topics",
        prepare=prepare_of(["noun.act", "noun.food"]),
        file_format="parquet",
        extra_sections="## Audit\n\nIt **passed**.",
    )
    for line in (
        "| exact duplicate | 640 |",
        "| near-duplicate | 310 |",
        "| empty text | 50 |",
        "| train | 3,200 |",
        "| noun.act | 1,234 | 1,000 |",
        "| threshold | 0.9 |",
        f"| noun.act.jsonl.gz | 5,000 | {'c' * 64} |",
        "Of 5,000 rows read, 4,000 were kept.",
        "It **passed**.",
        'load_dataset("local/topics")',
    ):
        assert line in body, line


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_no_text_of_a_user_breaks_a_card(kind, attack):
    if kind == "model":
        body = model_text("base/model", attack.labels, attack.record.to_dict())
        header = ModelCard(body)
    else:
        body = dataset_card(
            repo_id="local/topics",
            title=attack.labels[0],
            prepare=prepare_of(attack.labels),
            file_format="parquet",
        )
        header = DatasetCard(body)
    content = header.text
    assert not re.search(r"<(script|img|svg|/title)", content)
    assert "](javascript" not in content.replace("\\](", "")
    assert "https://evil" not in content
    tables = [line for line in content.splitlines() if line.startswith("|")]
    blocks = re.split(r"\n\n+", content)
    for block in (block for block in blocks if block.startswith("|")):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1, block
    assert len(tables) > 20
    assert "7 \\* 7" in content


def test_a_fence_is_longer_than_any_inside():
    assert fenced("```\n````", "bash").splitlines()[0] == "`````bash"


def test_a_line_stays_one_line():
    assert "\n" not in text("a\n\n# b")
    assert text("  a\tb ") == "a b"


def test_a_forgotten_value_is_an_error():
    with pytest.raises(UndefinedError):
        render("model_card.md.jinja", header="")
