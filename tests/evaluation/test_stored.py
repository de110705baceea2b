"""A result read back: arrays that give the record's own numbers, and broken files named."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hfpipe.errors import UserError
from hfpipe.evaluation.matching import check_same, match
from hfpipe.evaluation.predictions import task_rows, write_jsonl
from hfpipe.evaluation.record import evaluation_record
from hfpipe.evaluation.stored import Stored, arrays, read_result
from hfpipe.metrics.tasks import task_of

DRAW = np.random.default_rng(0)
ROWS = 400
ABC = ["a", "b", "c"]


def stored(task, truth, scores, threshold=None, name="run", **more) -> Stored:
    """A result as 'evaluate' leaves it, read back from its folder."""
    ids = more.pop("ids", [f"r{at}" for at in range(len(truth))])
    place = {"model": "ada/m", "dataset": "ada/d", "dataset_revision": "1", "split": "test"}
    record = evaluation_record(task, truth, scores, threshold=threshold, **{**place, **more})
    rows = task_rows(task, ids, [{"text": "x"}] * len(ids), truth, scores, record.threshold)
    return Stored(record, [json.loads(json.dumps(row)) for row in rows], {}, name)


def cases():
    classes = DRAW.integers(0, 3, ROWS)
    classes[:5] = -1  # without a label
    yield "classification", task_of("classification", ABC), classes, DRAW.dirichlet([1] * 3, ROWS)
    yes = (DRAW.random(ROWS) < 0.3).astype(float)
    yes[:5] = np.nan
    yield "binary", task_of("binary", ["no", "yes"]), yes, DRAW.random(ROWS)
    marks = (DRAW.random((ROWS, 3)) < 0.4).astype(float)
    marks[:5] = np.nan
    yield "multi_label", task_of("multi_label", ABC), marks, DRAW.random((ROWS, 3))
    numbers = DRAW.normal(8, 2, ROWS)
    numbers[:5] = np.nan
    for log1p in (False, True):
        task = task_of("regression", log1p=log1p)
        yield f"regression {log1p}", task, numbers, numbers[::-1] + DRAW.normal(size=ROWS)


CASES = {name: case for name, *case in cases()}


@pytest.mark.parametrize("name", CASES)
def test_arrays_are_the_models_own_to_six_digits_and_give_its_metrics(name, tmp_path):
    task, truth, scores = CASES[name]
    scores = np.where(np.isnan(scores), 0.5, scores)
    threshold = 0.4321987654321 if task.default_threshold else None
    made = stored(task, truth, scores, threshold)
    made.record.write(tmp_path / "metrics.json")
    write_jsonl(tmp_path / "predictions.jsonl", made.rows)
    found = read_result(tmp_path)
    assert found.task == task
    assert found.name == str(tmp_path)
    assert "inputs" not in found.rows[0]
    ids, true, said, groups = arrays(found, task)
    labelled = task.labelled(truth)
    assert ids == [f"r{at}" for at in range(ROWS) if labelled[at]]
    assert groups is None
    np.testing.assert_allclose(true, truth[labelled], rtol=1e-6)
    np.testing.assert_allclose(said, scores[labelled], rtol=1e-6, atol=1e-6)
    again = task.metrics(true, said, found.record.threshold)
    assert again == pytest.approx(found.record.metrics, rel=1e-5, abs=1e-5)


def test_rounding_moves_no_row_over_the_threshold():
    task, at = task_of("binary", ["no", "yes"]), 0.3000000004
    made = stored(task, [0, 1, 1, 0], [0.30000000035, 0.30000000045, 0.9, 0.1], at)
    assert [row["score"] for row in made.rows] == [0.3, 0.3, 0.9, 0.1]
    _, truth, scores, _ = arrays(made, task)
    assert task.metrics(truth, scores, at)["accuracy"] == 1.0
    assert np.abs(scores - [0.3, 0.3, 0.9, 0.1]).max() < 1e-9
    several = task_of("multi_label", ["a", "b"])
    limits = {"a": at, "b": 0.5}
    made = stored(several, [[1, 0], [0, 1]], [[0.30000000045, 0.2], [0.30000000035, 0.9]], limits)
    _, truth, scores, _ = arrays(made, several)
    assert several.metrics(truth, scores, limits)["accuracy"] == 1.0


def test_rounding_changes_no_rank_and_makes_nothing_impossible():
    task = task_of("classification", ABC)
    made = stored(task, [1, 0], [[0.4, 0.4000001, 0.1999999], [2e-8, 3e-8, 1 - 5e-8]])
    _, truth, scores, _ = arrays(made, task)
    assert task.metrics(truth, scores)["accuracy"] == made.record.metrics["accuracy"] == 0.5
    assert task.metrics(truth, scores)["top_2_accuracy"] == 0.5
    assert made.record.metrics["log_loss"] == pytest.approx(9.32, abs=0.01)
    assert task.metrics(truth, scores)["log_loss"] == pytest.approx(9.32, abs=0.01)
    # An earlier hfpipe wrote 2e-8 as 0: its logarithm is -17.7, float64's epsilon makes it -36.
    for row in made.rows:
        row["scores"] = [round(score, 6) for score in row["scores"]]
    _, truth, scores, _ = arrays(made, task)
    assert task.metrics(truth, scores)["log_loss"] == pytest.approx(8.06, abs=0.01)


def test_labels_in_another_order_are_brought_into_the_tasks():
    ours, theirs = (task_of("classification", labels) for labels in (["a", "b"], ["b", "a"]))
    made = stored(theirs, [0, 1], [[0.9, 0.1], [0.3, 0.7]])
    _, truth, scores, _ = arrays(made, ours)
    assert truth.tolist() == [1, 0]
    assert scores.tolist() == [[0.1, 0.9], [0.7, 0.3]]


def test_groups_are_told_only_where_all_rows_have_one():
    task = task_of("binary", ["no", "yes"])
    made = stored(task, [0, 1], [0.2, 0.7])
    for row, group in zip(made.rows, ["x", 7], strict=True):
        row["group"] = group
    assert arrays(made, task)[3] == ["x", "7"]
    del made.rows[1]["group"]
    assert arrays(made, task)[3] is None


BROKEN = {
    "a label of another model": ({"labels": ["a", "x"]}, ("row 'r1'", "'x'")),
    "a truth of another model": ({"truth": "x"}, ("row 'r1'", "'x'")),
    "too few scores": ({"scores": [0.4]}, ("row 'r1'", "one score for each of 2 labels")),
    "a score that is none": ({"scores": [None, 0.1]}, ("row 'r1'",)),
    "an infinite score": ({"scores": [float("inf"), 0.1]}, ("row 'r1'", "not a number")),
    "a score above 1": ({"scores": [1.5, 0.1]}, ("row 'r1'", "not a number")),
    "the same id": ({"row_id": "r0"}, ("row 'r0'", "2 times")),
}


@pytest.mark.parametrize(("change", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_row_is_named(change, says):
    task = task_of("classification", ["a", "b"])
    made = stored(task, [0, 1], [[0.9, 0.1], [0.3, 0.7]], name="runs/x")
    made.rows[1].update(change)
    with pytest.raises(UserError) as caught:
        arrays(made, task)
    for words in ("runs/x", "predictions.jsonl", *says):
        assert words in str(caught.value)


def test_recipes_are_read_from_what_is_there(tmp_path):
    stored(task_of("regression"), [1.0], [2.0]).record.write(tmp_path / "metrics.json")
    assert read_result(tmp_path).config == {}
    assert read_result(tmp_path).rows == []
    (tmp_path / "run.json").write_text('{"config": {"model": {"base": "x"}}}')
    assert read_result(tmp_path).config == {"model": {"base": "x"}}
    (tmp_path / "config.yaml").write_text("model: {base: y}\n")
    assert read_result(tmp_path).config == {"model": {"base": "y"}}
    (tmp_path / "config.yaml").write_text("model: {base: y\n")
    with pytest.raises(UserError, match="config.yaml: cannot be read as a recipe"):
        read_result(tmp_path)


def test_a_folder_without_metrics_says_what_to_give(tmp_path):
    with pytest.raises(UserError, match="no metrics.json in it: give a folder that"):
        read_result(tmp_path)


def two(**other) -> list[Stored]:
    task = task_of("binary", other.pop("labels", ["no", "yes"]))
    first = stored(task_of("binary", ["no", "yes"]), [0, 1], [0.2, 0.7], name="A")
    return [first, stored(task, [0, 1], [0.2, 0.7], name="B", **{"model": "ada/b", **other})]


APART = {
    "dataset": ({"dataset": "ada/e"}, ("dataset 'ada/d' against 'ada/e'",)),
    "revision": ({"dataset_revision": "2"}, ("revision of the dataset '1' against '2'",)),
    "split": ({"split": "validation"}, ("split 'test' against 'validation'", "--split")),
}


@pytest.mark.parametrize(("other", "says"), APART.values(), ids=APART)
def test_another_test_set_is_refused_with_the_command_that_mends_it(other, says):
    with pytest.raises(UserError) as caught:
        check_same(two(**other))
    for words in ("A and B", *says, "hfpipe evaluate ada/b --dataset ada/d@1 --split test"):
        assert words in str(caught.value)


def test_another_question_is_refused():
    with pytest.raises(UserError, match="A and B .*: labels 'no', 'yes' against 'yes', 'no'"):
        check_same(two(labels=["yes", "no"]))
    first, _ = two()
    numbers = stored(task_of("regression"), [1.0, 2.0], [1.5, 2.0], name="B")
    with pytest.raises(UserError, match="task 'binary' against 'regression'"):
        check_same([first, numbers])


def test_one_file_in_two_places_is_one_test_set():
    same = {"dataset_revision": "sha256:ab", "split": None}
    first, second = two(**same)
    moved = replace(first, record=replace(first.record, dataset="old/rows.csv", **same))
    check_same([moved, second])
    other = replace(second, record=replace(second.record, dataset_revision="sha256:cd"))
    with pytest.raises(UserError, match="--file old/rows.csv"):
        check_same([moved, other])


def test_rows_are_matched_by_id_and_those_that_not_all_have_are_counted():
    task = task_of("binary", ["no", "yes"])
    first = stored(task, [0, 1, 1], [0.1, 0.8, 0.6], ids=["x", "y", "z"], name="A")
    second = stored(task, [1, 0, 1, 0], [0.7, 0.2, 0.9, 0.3], ids=["y", "x", "w", "v"], name="B")
    found = match([first, second], task)
    assert found.row_ids == ["x", "y"]
    assert found.truth.tolist() == [0, 1]
    assert found.scores["B"].tolist() == [0.2, 0.7]
    assert found.left_out == {"A": 1, "B": 2}


def test_rows_without_match_or_with_another_truth_are_refused():
    task = task_of("binary", ["no", "yes"])
    first = stored(task, [0, 1], [0.1, 0.8], ids=["x", "y"], name="A")
    with pytest.raises(UserError, match="A and B have no labelled row in common"):
        match([first, stored(task, [0, 1], [0.1, 0.8], ids=["p", "q"], name="B")], task)
    with pytest.raises(UserError, match="A and B say another truth of row 'y'"):
        match([first, stored(task, [0, 0], [0.1, 0.8], ids=["x", "y"], name="B")], task)
