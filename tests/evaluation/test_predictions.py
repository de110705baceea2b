"""predictions.jsonl: order, ranking, correctness flags, and a file that is whole or absent."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from hfpipe.errors import UserError
from hfpipe.evaluation.predictions import (
    prediction_rows,
    read_jsonl,
    task_rows,
    write_jsonl,
)
from hfpipe.inputs.labels import label_indices
from hfpipe.metrics.classification import classification_metrics
from hfpipe.metrics.tasks import task_of

LABELS = ["animal", "plant", "tool", "place"]


def rows_of(scores, truth, labels=LABELS):
    ids = [f"row-{index}" for index in range(len(scores))]
    shown = [{"text": f"text {index}"} for index in range(len(scores))]
    return list(prediction_rows(ids, shown, truth, scores, labels))


def test_a_row_has_what_the_design_names():
    (row,) = rows_of([[0.1, 0.2, 0.3, 0.4]], ["plant"])
    assert row == {
        "row_id": "row-0",
        "inputs": {"text": "text 0"},
        "truth": "plant",
        "prediction": "place",
        "labels": ["place", "tool", "plant", "animal"],
        "scores": [0.4, 0.3, 0.2, 0.1],
        "top_1_correct": False,
        "top_2_correct": False,
        "top_3_correct": True,
    }


def test_flags_add_up_to_the_metrics_even_with_ties():
    generator = np.random.default_rng(3)
    scores = generator.integers(1, 4, (500, 4)).astype(float)
    scores /= scores.sum(axis=1, keepdims=True)
    truth = generator.integers(0, 4, 500)
    rows = rows_of(scores, [LABELS[index] for index in truth])
    found = classification_metrics(truth, scores)
    for k in (1, 2, 3):
        share = sum(row[f"top_{k}_correct"] for row in rows) / 500
        assert share == pytest.approx(found[f"top_{k}_accuracy"], abs=1e-12)


def test_no_label_gives_null_flags_and_an_unknown_label_is_wrong():
    unlabelled, unknown = rows_of([[1, 0, 0, 0]] * 2, [None, "mineral"])
    assert [unlabelled[f"top_{k}_correct"] for k in (1, 2, 3)] == [None, None, None]
    assert unlabelled["prediction"] == "animal"
    assert [unknown[f"top_{k}_correct"] for k in (1, 2, 3)] == [False, False, False]


def test_two_classes_have_no_top_3():
    (row,) = rows_of([[0.2, 0.8]], ["b"], ["a", "b"])
    assert (row["top_1_correct"], row["top_2_correct"], row["top_3_correct"]) == (True, True, None)


def test_the_file_keeps_the_order_and_any_text(tmp_path):
    rows = rows_of(np.full((3, 4), 0.25), ["plant", None, "tool"])
    rows[0]["inputs"] = {"text": 'naïve "quotes"\n\u2028 new line', "n": np.float64("nan")}
    path = tmp_path / "deep" / "predictions.jsonl"
    assert write_jsonl(path, rows) == 3
    assert len(path.read_bytes().splitlines()) == 3
    back = list(read_jsonl(path))
    assert [row["row_id"] for row in back] == ["row-0", "row-1", "row-2"]
    assert back[0]["inputs"] == {"text": 'naïve "quotes"\n\u2028 new line', "n": None}


def test_a_failure_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text("old\n")

    def rows():
        yield {"row_id": "1"}
        raise RuntimeError("the model failed")

    with pytest.raises(RuntimeError):
        write_jsonl(path, rows())
    assert path.read_text() == "old\n"
    assert [item.name for item in tmp_path.iterdir()] == ["predictions.jsonl"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_jsonl(tmp_path / "file" / "predictions.jsonl", [])


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(UserError, match=re.escape("predictions.jsonl: line 2 is not JSON")):
        list(read_jsonl(path))
    path.write_text(json.dumps([1]))
    with pytest.raises(UserError, match="line 1 is not a JSON object"):
        list(read_jsonl(path))


def test_label_indices_names_the_foreign_label_and_the_nearest():
    assert label_indices(["tool", None, "animal"], LABELS).tolist() == [2, -1, 0]
    with pytest.raises(UserError, match=r"test split: label 'plantt'.*did you mean 'plant'"):
        label_indices(["plantt"], LABELS, "test split")


def told(task, truth, scores, **more):
    """The rows without their ids and inputs."""
    ids = [f"row-{index}" for index in range(len(truth))]
    found = list(task_rows(task, ids, [{"text": "x"}] * len(truth), truth, scores, **more))
    assert [row.pop("row_id") for row in found] == ids
    assert [row.pop("inputs") for row in found] == [{"text": "x"}] * len(truth)
    return found


def test_classification_rows_are_ranked_whatever_they_come_from():
    task = task_of("classification", LABELS)
    ranked = rows_of([[0.1, 0.2, 0.3, 0.4]] * 2, ["plant", None])
    found = list(
        task_rows(task, ["row-0", "row-1"], [row["inputs"] for row in ranked], [1, -1],
                  [[0.1, 0.2, 0.3, 0.4]] * 2)
    )  # fmt: skip
    assert found == ranked


def test_a_binary_row_is_decided_by_the_threshold():
    task = task_of("binary", ["no", "yes"])
    low, high, unlabelled = told(task, [1, 0, float("nan")], [0.3, 0.7, 0.1], threshold=0.25)
    assert low == {
        "truth": "yes",
        "prediction": "yes",
        "labels": ["no", "yes"],
        "scores": [0.7, 0.3],
        "score": 0.3,
        "top_1_correct": True,
        "top_2_correct": True,
        "top_3_correct": None,
    }
    assert (high["labels"], high["prediction"], high["top_1_correct"]) == (
        ["yes", "no"],
        "yes",
        False,
    )
    assert (unlabelled["truth"], unlabelled["prediction"]) == (None, "no")
    assert unlabelled["top_1_correct"] is unlabelled["top_2_correct"] is None
    (usual,) = told(task, [1], [0.3])
    assert (usual["prediction"], usual["top_1_correct"]) == ("no", False)


def test_a_multi_label_row_has_lists():
    task = task_of("multi_label", ["a", "b", "c"])
    nan = float("nan")
    right, wrong, unlabelled = told(
        task, [[0, 1, 1], [0, 0, 0], [nan] * 3], [[0.1, 0.6, 0.9], [0.7, 0, 0], [0, 0, 0]]
    )
    assert right == {
        "truth": ["b", "c"],
        "prediction": ["b", "c"],
        "labels": ["c", "b", "a"],
        "scores": [0.9, 0.6, 0.1],
        "correct": True,
        "top_1_correct": None,
        "top_2_correct": None,
        "top_3_correct": None,
    }
    assert (wrong["truth"], wrong["prediction"], wrong["correct"]) == ([], ["a"], False)
    assert (unlabelled["truth"], unlabelled["correct"]) == (None, None)


def test_a_regression_row_is_in_the_unit_of_the_column(tmp_path):
    logs = task_of("regression", log1p=True)
    known, unknown = told(logs, np.log1p([99.0, np.nan]), np.log1p([9.0, 3.0]))
    assert known["truth"] == pytest.approx(99)
    assert known["prediction"] == pytest.approx(9)
    assert known["error"] == pytest.approx(-np.log(10), abs=1e-6)
    assert known["truth_log"] == pytest.approx(np.log(100), abs=1e-6)
    assert known["prediction_log"] == pytest.approx(np.log(10), abs=1e-6)
    assert unknown | {"prediction": 3, "prediction_log": 1} == {
        "truth": None,
        "prediction": 3,
        "error": None,
        "truth_log": None,
        "prediction_log": 1,
    }
    assert told(task_of("regression"), [2.0], [5.0]) == [
        {"truth": 2.0, "prediction": 5.0, "error": 3.0}
    ]


def test_a_prediction_beyond_all_numbers_is_null_in_the_file(tmp_path):
    rows = task_rows(task_of("regression", log1p=True), ["1"], [{}], [1.0], [800.0])
    write_jsonl(tmp_path / "p.jsonl", rows)
    (row,) = read_jsonl(tmp_path / "p.jsonl")
    assert (row["prediction"], row["prediction_log"]) == (None, 800.0)


def test_rows_must_be_as_many():
    with pytest.raises(ValueError, match="1 row ids, 1 inputs, 2 truths"):
        list(task_rows(task_of("binary"), ["1"], [{}], [0, 1], [0.5]))
