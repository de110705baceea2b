"""metrics.json: the keys of the contract, JSON any reader takes, and broken files named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hfpipe.errors import UserError
from hfpipe.evaluation.record import EvaluationRecord, classification_record, read_record

KEYS = [
    "model",
    "model_revision",
    "dataset",
    "dataset_revision",
    "split",
    "task",
    "n",
    "metrics",
    "intervals",
    "threshold",
    "temperature",
    "slices",
    "per_class",
    "baselines",
]


@pytest.fixture
def record():
    scores = np.random.default_rng(0).dirichlet(np.ones(3), 50)
    return classification_record(
        np.arange(50) % 3,
        scores,
        ["a", "b", "c"],
        model="local/topics",
        model_revision="1" * 40,
        dataset="local/rows",
        split="test",
        baselines={"majority": {"accuracy": 0.34}},
    )


def test_the_file_has_exactly_the_contracts_keys_and_reads_back(record, tmp_path):
    path = record.write(tmp_path / "run" / "metrics.json")
    assert list(json.loads(path.read_text())) == KEYS
    assert read_record(path) == record
    assert list(record.per_class) == ["a", "b", "c"]


def test_what_is_not_a_number_is_null(tmp_path):
    record = EvaluationRecord(
        model="m",
        model_revision=None,
        dataset=None,
        dataset_revision=None,
        split=None,
        task="text-classification",
        n=np.int64(2),
        metrics={"accuracy": np.float32(0.5), "f1": float("nan"), "ece": float("inf")},
    )
    text = record.write(tmp_path / "metrics.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text)["metrics"] == {"accuracy": 0.5, "f1": None, "ece": None}


def test_rows_without_a_label_do_not_count():
    record = classification_record([-1, 0], [[0.1, 0.9], [0.8, 0.2]], ["a", "b"], model="m")
    assert (record.n, record.metrics["accuracy"]) == (1, 1.0)


def test_no_labelled_row_at_all_gives_null_metrics(tmp_path):
    record = classification_record([-1], [[0.1, 0.9]], ["a", "b"], model="m")
    found = read_record(record.write(tmp_path / "metrics.json"))
    assert found.n == 0
    assert set(found.metrics.values()) == {None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.pop("metrics"), "key 'metrics' is missing"),
        (lambda found: found.update(metric={}), "unknown key 'metric'; did you mean 'metrics'"),
        (lambda found: found.update(n="many"), "'n' must be a whole number"),
        (lambda found: found.update(baselines=[]), "'baselines' must be an object"),
        (lambda found: found["metrics"].update(ece="low"), "metrics.ece is not a number"),
    ],
)
def test_a_broken_record_is_one_line(record, tmp_path, change, message):
    path = record.write(tmp_path / "metrics.json")
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))
    with pytest.raises(UserError, match=message) as caught:
        read_record(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_and_no_json_are_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_record(tmp_path / "metrics.json")
    (tmp_path / "metrics.json").write_text('{"model": ')
    with pytest.raises(UserError, match="not JSON"):
        read_record(tmp_path / "metrics.json")
