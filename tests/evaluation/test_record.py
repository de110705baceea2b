"""metrics.json: the keys of the contract, JSON any reader takes, and broken files named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hfpipe.errors import UserError
from hfpipe.evaluation.record import EvaluationRecord, evaluation_record, read_record
from hfpipe.metrics.tasks import task_of

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
    "undefined",
    "interval_method",
    "threshold_for",
    "calibration",
    "worst_slices",
    "differences",
]
TWO = task_of("classification", ["a", "b"])
BINARY = task_of("binary", ["no", "yes"])
NAN = float("nan")


@pytest.fixture
def record():
    scores = np.random.default_rng(0).dirichlet(np.ones(3), 50)
    return evaluation_record(
        task_of("classification", ["a", "b", "c"]),
        np.arange(50) % 3,
        scores,
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
    record = evaluation_record(TWO, [-1, 0], [[0.1, 0.9], [0.8, 0.2]], model="m")
    assert (record.n, record.metrics["accuracy"]) == (1, 1.0)


def test_no_labelled_row_at_all_gives_null_metrics(tmp_path):
    record = evaluation_record(TWO, [-1], [[0.1, 0.9]], model="m")
    found = read_record(record.write(tmp_path / "metrics.json"))
    assert found.n == 0
    assert set(found.metrics.values()) == {None}


def test_a_record_of_an_earlier_hfpipe_is_read_without_what_it_has_not(record, tmp_path):
    path = record.write(tmp_path / "metrics.json")
    found = json.loads(path.read_text())
    for name in KEYS[KEYS.index("undefined") :]:
        del found[name]
    path.write_text(json.dumps(found))
    old = read_record(path)
    assert (old.metrics, old.undefined, old.calibration) == (record.metrics, {}, None)


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


def test_a_binary_record_has_its_threshold_and_classes():
    record = evaluation_record(
        BINARY, [0, 1, 1, NAN], [0.2, 0.3, 0.9, 0.5], model="m", threshold=0.25, temperature=1.5
    )
    assert (record.n, record.threshold, record.temperature) == (3, 0.25, 1.5)
    assert record.metrics["f1"] == record.metrics["roc_auc"] == 1.0
    assert list(record.per_class) == ["no", "yes"]
    assert record.task == "text-classification"
    usual = evaluation_record(BINARY, [0, 1], [0.2, 0.3], model="m")
    assert (usual.threshold, usual.metrics["recall"]) == (0.5, 0.0)


def test_a_regression_record_has_no_classes_and_no_threshold(tmp_path):
    task = task_of("regression", log1p=True)
    record = evaluation_record(task, np.log1p([1.0, 3.0]), np.log1p([1.0, 7.0]), model="m")
    assert (record.task, record.per_class, record.threshold) == ("tabular-regression", {}, None)
    assert record.metrics["mae_raw"] == pytest.approx(2.0)
    named = evaluation_record(task, [1.0], [2.0], model="m", hub_task="image-classification")
    assert named.task == "image-classification"
    assert read_record(record.write(tmp_path / "metrics.json")) == record


def test_a_multi_label_record_counts_rows_not_cells():
    task = task_of("multi_label", ["a", "b"])
    truth = [[1, 0], [1, 1], [NAN, NAN]]
    record = evaluation_record(task, truth, [[0.9, 0.2], [0.8, 0.1], [0.5, 0.5]], model="m")
    assert (record.n, record.metrics["accuracy"]) == (2, 0.5)
    assert record.per_class["b"]["recall"] == 0.0


def test_slices_have_the_metrics_of_their_rows_alone():
    record = evaluation_record(
        BINARY,
        [1, 0, 1, 0, NAN, 1],
        [0.9, 0.8, 0.2, 0.1, 0.9, 0.7],
        model="m",
        slices={
            "lang": ["en", "en", "de", "de", "de", "de"],
            "year": [2020, 2020, None, NAN, 2020, 2021],
        },
    )
    assert list(record.slices) == ["lang", "year"], "without extras there is no slice of all rows"
    german, english = record.slices["lang"]["de"], record.slices["lang"]["en"]
    assert (german["n"], english["n"]) == (3, 2), "a row without a label counts in no slice"
    assert german["accuracy"] == pytest.approx(2 / 3)
    assert english["precision"] == 0.5
    assert {year: each["n"] for year, each in record.slices["year"].items()} == {
        "(missing)": 2,
        "2020": 2,
        "2021": 1,
    }
    assert record.slices["year"]["2021"]["roc_auc"] is None, "one class alone has none"


def test_only_the_most_frequent_values_get_a_slice():
    values = [f"size {at}" for at in range(30) for _ in range(at + 1)]
    truth = np.arange(len(values)) % 2
    record = evaluation_record(
        BINARY, truth, np.full(len(values), 0.5), model="m", slices={"size": values}
    )
    assert list(record.slices["size"]) == [f"size {at}" for at in range(29, 9, -1)]


def test_the_models_own_numbers_are_averaged_in_every_slice(tmp_path):
    record = evaluation_record(
        BINARY,
        [1, 0, NAN, 1],
        [0.9, 0.1, 0.5, 0.5],
        model="m",
        slices={"lang": ["en", "de", "de", "en"]},
        extras={
            "gate_weight.video": np.array([0.2, 0.4, 9.0, 0.4]),
            "gate": np.array([[1.0, NAN], [0.0, NAN], [0.0, 1.0], [0.5, 0.5]]),
        },
    )
    assert record.slices["all"]["all"]["n"] == 3
    assert record.slices["all"]["all"]["gate_weight.video"] == pytest.approx(1.0 / 3)
    english = record.slices["lang"]["en"]
    assert english["gate_weight.video"] == pytest.approx(0.3)
    assert (english["gate.0"], english["gate.1"]) == (0.75, 0.5)
    assert record.slices["lang"]["de"]["gate.1"] is None
    assert "gate_weight.video" not in record.metrics
    assert read_record(record.write(tmp_path / "metrics.json")) == record


def test_another_number_of_rows_is_told():
    for given in ({"slices": {"lang": ["en"]}}, {"extras": {"lang": np.ones(3)}}):
        with pytest.raises(ValueError, match="lang has . rows, and there are scores of 2"):
            evaluation_record(BINARY, [0, 1], [0.1, 0.2], model="m", **given)
