"""Tasks: logits to scores, the metrics of each, thresholds, and which names there are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from hfpipe.errors import RunError, UserError
from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.metrics.tasks import TASKS, task_of

LABELS = ["a", "b", "c"]


def test_an_unknown_task_is_named_with_the_nearest():
    with pytest.raises(UserError, match="no task 'binray'; did you mean 'binary'"):
        task_of("binray")


@pytest.mark.parametrize(
    ("name", "logits", "scores"),
    [
        ("classification", [[0.0, 0.0, math.log(2)]], [[0.25, 0.25, 0.5]]),
        ("binary", [[0.0], [math.log(3)]], [0.5, 0.75]),
        ("binary", [0.0, -math.log(3)], [0.5, 0.25]),
        ("binary", [[1.0, 1.0 + math.log(3)]], [0.75]),
        ("multi_label", [[0.0, math.log(3), -math.log(3)]], [[0.5, 0.75, 0.25]]),
        ("regression", [[1.5], [-2.0]], [1.5, -2.0]),
    ],
)
def test_logits_become_scores(name, logits, scores):
    found = task_of(name, LABELS).scores(np.array(logits, np.float32))
    assert found.dtype == np.float64
    assert np.allclose(found, scores, atol=1e-7)
    assert found.shape == np.shape(scores)


def test_large_logits_do_not_overflow():
    assert task_of("binary").scores([1e4, -1e4]).tolist() == [1.0, 0.0]
    assert task_of("binary").scores([[-1e4, 1e4]]).tolist() == [1.0]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("classification", (2, 2)), ("binary", (2, 3)), ("multi_label", (2,)), ("regression", (2, 2))],
)
def test_logits_of_another_shape_are_refused(name, shape):
    with pytest.raises(RunError, match="logits have shape"):
        task_of(name, LABELS).scores(np.zeros(shape))


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("labels", [["a", "b"], LABELS])
@pytest.mark.parametrize("log1p", [False, True])
def test_metric_names_are_those_of_the_metrics_and_have_a_direction(name, labels, log1p):
    task = task_of(name, labels, log1p)
    rows, classes = 6, len(labels)
    shape = (rows, classes) if name == "multi_label" else (rows,)
    truth = np.arange(np.prod(shape)).reshape(shape) % 2
    scores = np.random.default_rng(0).random((rows, classes) if name != "binary" else rows)
    if name == "classification":
        scores /= scores.sum(axis=1, keepdims=True)
    if name == "regression":
        scores = scores[:, 0]
    assert list(task.metrics(truth, scores)) == task.metric_names()
    assert set(task.metric_names()) <= set(DIRECTIONS)
    assert task.primary in task.metric_names()


def test_which_metric_decides():
    decide = {name: task_of(name, LABELS, log1p=True).primary for name in TASKS}
    assert decide == {
        "classification": "accuracy",
        "binary": "roc_auc",
        "multi_label": "macro_f1",
        "regression": "rmse_log",
    }
    assert task_of("regression").primary == "rmse_raw"


def test_which_rows_are_labelled():
    nan = math.nan
    assert task_of("classification", LABELS).labelled([0, -1, 2]).tolist() == [True, False, True]
    assert task_of("binary").labelled(np.float32([1, nan])).tolist() == [True, False]
    assert task_of("regression").labelled(np.float32([nan, -5])).tolist() == [False, True]
    assert task_of("multi_label", ["a", "b"]).labelled([[0, 1], [nan, nan]]).tolist() == [
        True,
        False,
    ]


def test_no_rows_have_no_metrics():
    for name in TASKS:
        task = task_of(name, LABELS)
        truth = np.zeros((0, 3)) if name == "multi_label" else np.zeros(0)
        scores = np.zeros((0, 3)) if name in ("classification", "multi_label") else np.zeros(0)
        assert set(task.metrics(truth, scores).values()) == {None}, name
        assert task.undefined(truth, scores) == dict.fromkeys(task.metric_names(), "no rows")


@pytest.mark.parametrize("name", TASKS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 6))
def test_every_none_has_a_reason_and_every_reason_a_none(name, seed, rows):
    draw, task = np.random.default_rng(seed), task_of(name, LABELS, log1p=True)
    matrix = name in ("classification", "multi_label")
    scores = draw.integers(1, 4, (rows, 3) if matrix else rows) / 4
    if name == "classification":
        scores /= scores.sum(axis=1, keepdims=True)
    truth = draw.integers(0, 2, (rows, 3) if name == "multi_label" else rows)
    found = task.metrics(truth, scores)
    reasons = task.undefined(truth, scores)
    assert set(reasons) == {metric for metric, value in found.items() if value is None}
    assert all(reason and "\n" not in reason for reason in reasons.values())


def test_binary_calibration_is_of_the_positive_class():
    # Two bins: 0.2 with a quarter positive (off by 0.05), 0.9 with all (off by 0.1).
    truth, scores = [1, 0, 0, 0, 1, 1], [0.2] * 4 + [0.9] * 2
    found = task_of("binary").metrics(truth, scores)["ece"]
    assert found == pytest.approx((4 * 0.05 + 2 * 0.1) / 6)


def test_per_class_is_at_the_threshold():
    found = task_of("binary", ["no", "yes"]).per_class([0, 1, 1], [0.2, 0.3, 0.9], 0.25)
    assert found == {
        "no": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1},
        "yes": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 2},
    }
    several = task_of("multi_label", ["a", "b"])
    found = several.per_class([[1, 0], [1, 0]], [[0.9, 0.6], [0.2, 0.1]])
    assert found["a"]["recall"] == 0.5
    assert found["a"]["average_precision"] == 1.0
    assert found["b"] | {"precision": 0} == {
        "precision": 0,
        "recall": None,
        "f1": 0.0,
        "support": 0,
        "roc_auc": None,
        "average_precision": None,
    }
    assert task_of("regression").per_class([1.0], [2.0]) == {}


def test_only_what_has_a_threshold_gets_one():
    assert task_of("binary").best_threshold([0, 1], [0.2, 0.6]) == pytest.approx(0.4)
    several = task_of("multi_label", ["a", "b"])
    truth, scores = [[1, 0], [1, 1]], [[0.3, 0.1], [0.4, 0.35]]
    found = several.best_threshold(truth, scores)
    assert found == pytest.approx({"a": 0.5, "b": 0.225})
    assert several.metrics([[0, 0], [1, 1]], scores, {"a": 0.35, "b": 0.3})["accuracy"] == 1.0
    assert task_of("binary").best_threshold([1, 1], [0.2, 0.6]) is None
    assert task_of("classification", LABELS).best_threshold([0], [[1, 0, 0]]) is None
    assert task_of("regression").best_threshold([0.0], [1.0]) is None


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=25),
    at=st.integers(0, 5),
)
def test_binary_metrics_at_a_threshold_are_those_counted_by_hand(rows, at):
    truth = np.array([yes for yes, _ in rows], np.float32)
    scores, threshold = np.array([score / 4 for _, score in rows]), at / 4
    found = task_of("binary").metrics(truth, scores, threshold)
    pairs = [(bool(yes), score >= threshold) for yes, score in zip(truth, scores, strict=True)]
    tp, fp = pairs.count((True, True)), pairs.count((False, True))
    fn, tn = pairs.count((True, False)), pairs.count((False, False))

    def ratio(part, whole):
        return part / whole if whole else None

    recall, other = ratio(tp, tp + fn), ratio(tn, tn + fp)
    assert found["accuracy"] == pytest.approx((tp + tn) / len(rows))
    assert found["precision"] == ratio(tp, tp + fp)
    assert found["recall"] == recall
    assert found["f1"] == pytest.approx(ratio(2 * tp, 2 * tp + fp + fn))
    balanced = None if recall is None or other is None else (recall + other) / 2
    assert found["balanced_accuracy"] == pytest.approx(balanced)
    won = [
        (mine > theirs) + (mine == theirs) / 2
        for mine in scores[truth == 1]
        for theirs in scores[truth == 0]
    ]
    assert found["roc_auc"] == pytest.approx(ratio(sum(won), len(won)))
    assert found["brier"] == pytest.approx(float(np.mean((scores - truth) ** 2)))


@settings(max_examples=15, deadline=None)
@given(data=st.data(), rows=st.integers(1, 12), at=st.integers(0, 4))
def test_multi_label_metrics_are_those_counted_by_hand(data, rows, at):
    cells = st.lists(
        st.tuples(st.booleans(), st.integers(0, 4)), min_size=3 * rows, max_size=3 * rows
    )
    found = data.draw(cells)
    truth = np.array([yes for yes, _ in found], float).reshape(rows, 3)
    scores = np.array([score / 4 for _, score in found]).reshape(rows, 3)
    chosen = scores >= at / 4
    metrics = task_of("multi_label", LABELS).metrics(truth, scores, at / 4)
    assert metrics["accuracy"] == sum((truth[r] == chosen[r]).all() for r in range(rows)) / rows
    assert metrics["hamming_loss"] == pytest.approx((truth != chosen).sum() / truth.size)
    each = []
    for label in range(3):
        both = int((truth[:, label] * chosen[:, label]).sum())
        either = int(truth[:, label].sum() + chosen[:, label].sum())
        if either:
            each.append(2 * both / either)
    assert metrics["macro_f1"] == (pytest.approx(np.mean(each)) if each else None)
    pooled = truth.sum() + chosen.sum()
    micro = 2 * (truth * chosen).sum() / pooled if pooled else None
    assert metrics["micro_f1"] == pytest.approx(micro)
    areas = [
        sk.roc_auc_score(truth[:, label], scores[:, label])
        for label in range(3)
        if 0 < truth[:, label].sum() < rows
    ]
    assert metrics["macro_roc_auc"] == (pytest.approx(np.mean(areas)) if areas else None)


def test_regression_metrics_have_the_scale_that_is_learned():
    truth, guess = np.log1p([0.0, 3.0]), np.log1p([0.0, 7.0])
    assert task_of("regression", log1p=True).metrics(truth, guess)["mae_raw"] == pytest.approx(2.0)
    assert task_of("regression").metrics([0.0, 3.0], [0.0, 7.0])["mae_raw"] == pytest.approx(2.0)
    assert task_of("regression", log1p=True).raw(truth).tolist() == pytest.approx([0.0, 3.0])
