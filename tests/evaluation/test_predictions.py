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
    write_jsonl,
)
from hfpipe.inputs.labels import label_indices
from hfpipe.metrics.classification import classification_metrics

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
