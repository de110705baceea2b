"""Every kind of model and every task: tuned, pushed, and scored from the pushed repo alone."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from tests.training.support import (
    SEQUENCE,
    SMALL_SEQUENCE,
    TABLE,
    TINY_SIGLIP,
    Scores,
    push,
    pushed_bytes,
    pushed_files,
    rows,
    scores,
    story,
    text,
    tune,
)

STOCK = ("text", "tags", "level", "image")
OWN_FILES = {"config.json", "model.safetensors", "modeling_hfpipe.py"}
FAST = {"learning_rate": 1e-2}


def plan(bert: str) -> dict[str, dict[str, Any]]:
    """Run → what ``tune`` takes."""
    stock = {"kind": "sequence_classification", "base": bert}
    own = {"training": FAST}
    views = {"label": "views", "task": "regression", "log1p": True, "inputs": TABLE}
    return {
        "text": {"model": stock, "inputs": {"text": text()}, "task": "binary"},
        "tags": {
            "model": stock,
            "inputs": {"text": text("tagged")},
            "label": "tags",
            "task": "multi_label",
            "training": {"num_train_epochs": 14},
        },
        "level": {
            "model": stock,
            "inputs": {"text": text()},
            "label": "level",
            "task": "regression",
            "training": {"num_train_epochs": 8},
        },
        "image": {
            "model": {"kind": "image_classification", "scratch": TINY_SIGLIP},
            "inputs": {"picture": {"kind": "image", "columns": ["picture"]}},
            "task": "binary",
        },
        "topic": {
            "model": {"kind": "concat_mlp", "config": {"sizes": [32]}},
            "inputs": TABLE,
            "label": "topic",
            "task": "classification",
            **own,
        },
        "messages": {
            "model": {"kind": "sequence", "config": SMALL_SEQUENCE},
            "inputs": SEQUENCE,
            "task": "binary",
            **own,
        },
        "gated": {
            "model": {
                "kind": "gated_fusion",
                "config": {"tower_size": 16, "gate_size": 8, "sizes": [16]},
            },
            "evaluation": {"slices": ["channel"]},
            "training": {"num_train_epochs": 20, "learning_rate": 2e-2},
            **views,
        },
        "ridge": {"model": {"kind": "ridge", "config": {"strategy": "concat"}}, **views},
        "gbdt": {
            "model": {
                "kind": "gbdt",
                "config": {"strategy": "sum_pool", "boosting": {"max_iter": 20}},
            },
            **views,
        },
    }


Run = Callable[[str], tuple[Any, Scores]]


@pytest.fixture(scope="module")
def dataset(hub) -> str:
    return push(hub, "kinds")


@pytest.fixture(scope="module")
def run(hub, tiny_bert, dataset, tmp_path_factory) -> Run:
    """Tune one of the plan, once, and score it on test from its repo."""
    done: dict[str, tuple[Any, Scores]] = {}

    def run(name: str) -> tuple[Any, Scores]:
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            tuned = tune(hub, folder, f"kind-{name}", dataset, **plan(tiny_bert)[name])
            done[name] = tuned, scores(hub, folder, tuned)
        return done[name]

    return run


@pytest.mark.parametrize(
    ("name", "task", "metric", "least", "files"),
    [
        ("text", "text-classification", "roc_auc", 0.95, {"tokenizer.json"}),
        ("tags", "text-classification", "macro_f1", 0.9, {"tokenizer.json"}),
        ("level", "tabular-regression", "r2_raw", 0.8, {"tokenizer.json"}),
        ("image", "image-classification", "roc_auc", 0.95, {"preprocessor_config.json"}),
        ("topic", "tabular-classification", "accuracy", 0.8, {"processor.safetensors"}),
        ("messages", "tabular-classification", "roc_auc", 0.9, OWN_FILES),
        ("gated", "tabular-regression", "r2_log", 0.6, {"processor.safetensors"}),
        ("ridge", "tabular-regression", "r2_log", 0.8, {"tabular.skops", "tabular.json"}),
        ("gbdt", "tabular-regression", "r2_log", 0.3, {"tabular.skops", "projector.safetensors"}),
    ],
)
def test_learns_its_task_and_is_scored_from_what_was_pushed(
    hub, run, dataset, name, task, metric, least, files
):
    tuned, found = run(name)
    assert found.record.metrics[metric] > least, found.record.metrics
    assert (found.record.task, found.record.n, found.record.split) == (task, 48, "test")
    assert found.record.model_revision == tuned.model.revision
    assert [row["row_id"] for row in found.rows] == [row["row_id"] for row in rows(48, 3)]
    assert found.record.threshold == tuned.record.threshold

    names = pushed_files(hub, tuned)
    own = name not in (*STOCK, "ridge", "gbdt")
    wanted = {"README.md", "processor.json", "hfpipe/run.json", "hfpipe/curves.json"} | files
    assert wanted | (OWN_FILES if own else set()) <= names
    assert ("modeling_hfpipe.py" in names) == own
    assert not [each for each in names if each.endswith((".bin", ".pt", ".pth", ".pkl", ".joblib"))]

    told = story(hub, tuned)
    assert told["threshold"] == tuned.record.threshold
    assert told["loss"] == {}
    assert told["dataset"]["repo_id"] == dataset
    assert list(told["origins"]) == (["base"] if name in ("text", "tags", "level") else [])
    assert told["train_rows"] == 120
    assert told["notes"] == []


def test_a_pipeline_that_knows_no_hfpipe_finds_the_same_probabilities(hub, run):
    from transformers import pipeline

    tuned, found = run("text")
    classify = pipeline(
        "text-classification",
        model=tuned.model.repo_id,
        revision=tuned.model.revision,
        token=hub.token,
        top_k=None,
        device="cpu",
    )
    said = classify([row["inputs"]["text"] for row in found.rows[:12]])
    positive = [next(each["score"] for each in row if each["label"] == "yes") for row in said]
    assert positive == pytest.approx([row["score"] for row in found.rows[:12]], abs=2e-5)
    config = json.loads(pushed_bytes(hub, tuned, "config.json"))
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {"0": "no", "1": "yes"}


@pytest.mark.parametrize("name", ["image", "messages"])
def test_the_threshold_is_the_one_with_the_best_f1_on_validation(hub, run, tmp_path, name):
    from sklearn.metrics import f1_score

    tuned, _ = run(name)
    found = scores(hub, tmp_path, tuned, split="validation")
    truth = [row["truth"] == "yes" for row in found.rows]
    each = np.array([row["score"] for row in found.rows])
    best = max(f1_score(truth, each >= cut) for cut in each)
    assert found.record.metrics["f1"] == pytest.approx(best, abs=1e-6)
    assert tuned.record.metrics["f1"] == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("name", ["tags", "image", "topic", "gated", "gbdt"])
def test_a_loaded_model_says_of_bare_rows_what_evaluate_wrote(hub, run, name):
    from hfpipe.loading import load_pushed

    tuned, found = run(name)
    model = load_pushed(hub, tuned.model.repo_id)
    columns = set(model.processor.columns)
    bare = [{key: row[key] for key in row if key in columns} for row in rows(48, 3)[:7]]
    for said, written in zip(model.predict(bare, batch_size=3), found.rows, strict=False):
        assert said["truth"] is None
        for key in ("prediction", "prediction_log", "scores"):
            if isinstance(written.get(key), str | list) and key != "scores":
                assert said[key] == written[key]
            elif key in written:
                assert said[key] == pytest.approx(written[key], rel=1e-4, abs=2e-6)


def test_a_log_target_is_told_in_both_units(run):
    _, found = run("ridge")
    for row, given in zip(found.rows, rows(48, 3), strict=True):
        assert row["truth"] == pytest.approx(given["views"], rel=1e-4)
        assert row["truth_log"] == pytest.approx(np.log1p(given["views"]), rel=1e-4)
        assert row["error"] == pytest.approx(row["prediction_log"] - row["truth_log"], abs=1e-3)


def test_gate_weights_are_told_of_all_rows_and_of_every_slice(run):
    _, found = run("gated")
    assert set(found.record.slices["channel"]) == {"a", "b", "c"}
    for values in (*found.record.slices["channel"].values(), *found.record.slices["all"].values()):
        assert values["gate_weight.video"] + values["gate_weight.audio"] == pytest.approx(1)
        assert 0 < values["gate_weight.audio"] < 1
    assert sum(each["n"] for each in found.record.slices["channel"].values()) == 48


@pytest.mark.parametrize("strategy", ["max_pool"])
def test_a_strategy_of_a_table_is_that_of_training(hub, run, dataset, tmp_path, strategy):
    model = {"kind": "ridge", "config": {"strategy": strategy}}
    views = {"label": "views", "task": "regression", "log1p": True}
    tuned = tune(hub, tmp_path, f"kind-{strategy}", dataset, model, TABLE, **views)
    held = scores(hub, tmp_path, tuned, split="validation")
    assert held.record.metrics["rmse_log"] == pytest.approx(tuned.record.metrics["rmse_log"])
    assert held.record.metrics["rmse_log"] != pytest.approx(
        run("ridge")[0].record.metrics["rmse_log"]
    )
    assert json.loads(pushed_bytes(hub, tuned, "tabular.json"))["strategy"] == strategy


@pytest.mark.parametrize(
    ("name", "weights"), [("topic", "model.safetensors"), ("gbdt", "tabular.skops")]
)
def test_the_test_split_cannot_influence_anything(hub, tiny_bert, run, tmp_path, name, weights):
    poison = [
        {**row, "video": [1e9], "audio": None, "channel": "unheard of", "size": 1e9, "views": -5.0}
        for row in rows(9, 4)
    ]
    poisoned = push(hub, f"kinds-poisoned-{name}", test=poison)
    other = tune(hub, tmp_path, f"kind-poisoned-{name}", poisoned, **plan(tiny_bert)[name])
    tuned, _ = run(name)
    both = [content_of(pushed_bytes(hub, each, weights)) for each in (other, tuned)]
    assert both[0] == both[1]
    for path in ("processor.json", "processor.safetensors"):
        if path in pushed_files(hub, tuned):
            assert pushed_bytes(hub, other, path) == pushed_bytes(hub, tuned, path), path
    assert other.record.metrics == tuned.record.metrics


def content_of(weights: bytes) -> list[bytes]:
    """Of a skops file its arrays, since its clock and its ids differ; else the bytes."""
    if not weights.startswith(b"PK"):
        return [weights]
    with ZipFile(io.BytesIO(weights)) as file:
        arrays = [file.read(name) for name in file.namelist() if name.endswith(".npy")]
    assert len(arrays) > 20  # of 20 trees
    return sorted(arrays)
