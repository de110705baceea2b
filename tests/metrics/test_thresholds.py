"""Thresholds against an obvious loop over all candidates, for every form of an aim."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from hfpipe.errors import UserError
from hfpipe.metrics.aims import FORMS, check_aim
from hfpipe.metrics.binary import RATES, threshold_metrics
from hfpipe.metrics.multi_label import multi_label_metrics
from hfpipe.metrics.tasks import task_of
from hfpipe.metrics.thresholds import (
    best_per_label,
    best_threshold,
    best_thresholds,
    threshold_curve,
)

AIMS = [
    *FORMS,
    "f2",
    "f1.5",
    "precision_at_recall=0.5",
    "precision_at_recall=1",
    "recall_at_precision=0.6",
    "recall_at_precision=1",
    "cost=5:1",
    "cost=0.5:0.1",
]


@st.composite
def cases(draw):
    """Truth, scores with many ties and weights of quarters, some 0: sums of them are exact."""
    rows = draw(st.integers(1, 30))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = draw(st.sampled_from([1, 3, 10, 1000]))
    scores = generator.integers(0, steps + 1, rows) / steps
    truth = (generator.random(rows) < draw(st.sampled_from([0.1, 0.5, 0.9]))).astype(int)
    weights = generator.integers(0, 4, rows) / 4 if draw(st.booleans()) else np.ones(rows)
    return truth, scores, weights


def merit(aim, truth, said, weights):
    """What an aim thinks of predictions, higher is better; None where they are no choice."""
    tp, fp = weights[(truth == 1) & said].sum(), weights[(truth == 0) & said].sum()
    fn, tn = weights[(truth == 1) & ~said].sum(), weights[(truth == 0) & ~said].sum()
    precision = tp / (tp + fp) if tp + fp else None
    recall = tp / (tp + fn)
    name, _, number = aim.partition("=")
    if name == "cost":
        one, other = (float(each) for each in number.split(":"))
        return -(one * fp + other * fn)
    if name == "precision_at_recall":
        return precision if recall >= float(number) else None
    if name == "recall_at_precision":
        return None if precision is None or precision < float(number) else recall
    if name == "youden":
        return recall + tn / (tn + fp) - 1
    if name in RATES:
        return threshold_metrics(truth, said.astype(float), 0.5, weights)[name]
    square = float(name[1:]) ** 2
    both = square * (precision or 0) + recall
    return (1 + square) * (precision or 0) * recall / both if both else 0.0


@pytest.mark.parametrize("aim", AIMS)
@given(case=cases())
@settings(max_examples=15, deadline=None)
def test_every_aim_finds_what_a_loop_over_all_candidates_finds(aim, case):
    truth, scores, weights = case
    best = best_threshold(truth, scores, aim, weights)
    if not weights[truth == 1].sum() or not weights[truth == 0].sum():
        assert (best.threshold, best.value) == (None, None)
        assert best.reason in ("no positive row", "no negative row")
        return
    found = {}
    for at in [np.inf, *np.unique(scores)[::-1]]:
        found[at] = merit(aim, truth, scores >= at, weights)
    choices = {at: value for at, value in found.items() if value is not None}
    if not choices:
        assert best.threshold is None
        reasons = {"mcc": "mcc is not defined at any threshold"}
        assert best.reason.startswith(reasons.get(aim, "no threshold has precision"))
        return
    top = max(choices.values())
    highest = max(at for at, value in choices.items() if value >= top - 1e-12)
    assert ((scores >= best.threshold) == (scores >= highest)).all()
    told = -best.value if aim.startswith("cost") else best.value
    assert told == pytest.approx(top, rel=1e-12, abs=1e-12)
    assert best.reason is None


def test_no_threshold_beats_the_best_of_three_places():
    # 0.8 is 1, 0.6 is 0, 0.4 and 0.1 are 1 and 0: F1 likes 0.25, a dear false positive 0.7.
    truth, scores = [0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8]
    chosen = {aim: best_threshold(truth, scores, aim) for aim in ("f1", "f0.5", "cost=5:1")}
    assert {aim: best.threshold for aim, best in chosen.items()} == pytest.approx(
        {"f1": 0.25, "f0.5": 0.7, "cost=5:1": 0.7}
    )
    assert chosen["cost=5:1"].value == 1.0
    assert best_threshold(truth, scores, "cost=1:5").value == 1.0
    assert best_threshold(truth, scores, "precision_at_recall=0.9").value == pytest.approx(2 / 3)
    assert best_threshold(truth, scores, "recall_at_precision=0.9").value == 0.5


def test_a_precision_out_of_reach_gives_none_and_says_how_high_it_gets():
    best = best_threshold([0, 1, 0], [0.1, 0.4, 0.8], "recall_at_precision=0.9")
    assert (best.threshold, best.value) == (None, None)
    assert best.reason == "no threshold has precision 0.9: the highest is 0.5"


def test_a_cost_of_rows_that_weigh_next_to_nothing_is_not_a_tie():
    truth, scores = [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4]
    light = best_threshold(truth, scores, "cost=1:5", [1e-14] * 4)
    assert light.threshold == best_threshold(truth, scores, "cost=1:5").threshold
    assert light.value == pytest.approx(1e-14, rel=1e-9, abs=0)


def test_f_beta_is_that_of_scikit_learn():
    draw = np.random.default_rng(0)
    truth, scores = draw.integers(0, 2, 50), draw.integers(0, 20, 50) / 20
    for beta in (0.5, 1.5, 2):
        best = best_threshold(truth, scores, f"f{beta}")
        theirs = sk.fbeta_score(truth, scores >= best.threshold, beta=beta)
        assert best.value == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("aim", AIMS)
def test_every_form_is_an_aim(aim):
    check_aim(aim)


@pytest.mark.parametrize(
    ("aim", "message"),
    [
        ("recal", "no threshold aim 'recal'; did you mean 'recall'"),
        ("zzz", "'recall_at_precision=0.9', 'cost=1:5'"),
        ("f0", "no threshold aim 'f0'"),
        ("f-1", "no threshold aim 'f-1'"),
        ("f1=2", "no threshold aim 'f1=2'"),
        ("", "no threshold aim ''"),
        ("cost", "did you mean 'cost=1:5'"),
        ("cost=1", "two numbers above 0, as in cost=1:5"),
        ("cost=1:2:3", "two numbers above 0"),
        ("cost=0:5", "two numbers above 0"),
        ("cost=1:nan", "two numbers above 0"),
        ("precision_at_recall=1.5", "give the recall above 0 and up to 1"),
        ("precision_at_recall=", "as in precision_at_recall=0.9"),
        ("recall_at_precision=90%", "give the precision above 0 and up to 1"),
        ("recall_at_precision", "did you mean 'recall_at_precision=0.9'"),
    ],
)
def test_what_is_no_aim_is_refused_in_one_line(aim, message):
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        check_aim(aim)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError):
        best_threshold([0, 1], [0.1, 0.2], aim)


@given(cases(), st.sampled_from([4, 200]))
@settings(max_examples=40, deadline=None)
def test_the_curve_holds_what_scikit_learn_says_at_its_thresholds(case, points):
    truth, scores, weights = case
    curve = threshold_curve(truth, scores, points, weights)
    cuts = len(np.unique(scores)) + 1
    assert (np.diff(curve.threshold) > 0).all()
    assert len(curve.threshold) == cuts if cuts <= points else 2 <= len(curve.threshold) <= points
    assert (scores >= curve.threshold[0]).all()
    assert not (scores >= curve.threshold[-1]).any()
    rows = zip(curve.threshold, curve.precision, curve.recall, curve.f1, curve.share, strict=True)
    for at, *told, share in rows:
        expected = threshold_metrics(truth, scores, at, weights)
        for name, value in zip(("precision", "recall", "f1"), told, strict=True):
            assert (None if np.isnan(value) else value) == pytest.approx(expected[name], abs=1e-12)
        if weights.sum():
            assert share == pytest.approx(weights[scores >= at].sum() / weights.sum(), abs=1e-12)


def test_a_curve_of_many_scores_is_thinned_out_and_keeps_its_shape():
    draw = np.random.default_rng(0)
    truth = draw.random(5000) < 0.05
    scores = np.where(truth, draw.beta(4, 2, 5000), draw.beta(1, 30, 5000))
    curve = threshold_curve(truth, scores)
    assert 150 <= len(curve.threshold) <= 200
    # Nowhere on the way from the lowest to the highest score is there a hole.
    assert np.diff(curve.threshold).max() < 0.03
    assert np.abs(np.diff(curve.share)).max() < 0.02
    assert curve.f1.max() == pytest.approx(best_threshold(truth, scores).value, abs=0.01)
    assert [len(each) for each in vars(threshold_curve([], [])).values()] == [0] * 5


@given(cases(), st.sampled_from(["f1", "youden", "cost=1:5"]))
@settings(max_examples=25, deadline=None)
def test_every_label_has_the_threshold_that_it_would_have_alone(case, aim):
    truth, scores, _ = case
    marks, values = np.stack([truth, 1 - truth], 1), np.stack([scores, 1 - scores**2], 1)
    found = best_thresholds(marks, values, ["a", "b"], aim)
    for at, label in enumerate(["a", "b"]):
        alone = best_threshold(marks[:, at], values[:, at], aim).threshold
        assert found[label] == (0.5 if alone is None else alone)


def test_a_label_with_one_class_keeps_a_half_and_says_why():
    truth, scores = [[1, 0, 1], [0, 0, 1]], [[0.3, 0.1, 0.2], [0.1, 0.3, 0.4]]
    best = best_per_label(truth, scores, ["a", "b", "c"])
    assert {label: each.reason for label, each in best.items()} == {
        "a": None,
        "b": "no positive row",
        "c": "no negative row",
    }
    task = task_of("multi_label", ["a", "b", "c"])
    assert task.best_threshold(truth, scores) == pytest.approx({"a": 0.2, "b": 0.5, "c": 0.5})
    assert task.no_choice(truth, scores) == {"b": "no positive row", "c": "no negative row"}
    assert task.best_threshold([[1, 0, 1]], [[0.3, 0.1, 0.2]]) is None


def test_thresholds_by_label_find_their_columns_whatever_their_order():
    task = task_of("multi_label", ["a", "b"])
    truth, scores = [[1, 0], [0, 1]], [[0.3, 0.6], [0.1, 0.9]]
    chosen = {"b": 0.7, "a": 0.2}
    assert task.choices(scores, chosen).tolist() == truth
    assert task.metrics(truth, scores, chosen)["accuracy"] == 1.0
    assert task.metrics(truth, scores)["accuracy"] == 0.5
    assert task.metrics(truth, scores, chosen) == multi_label_metrics(truth, scores, [0.2, 0.7])
    assert task.per_class(truth, scores, chosen)["b"]["precision"] == 1.0
    assert task.used_threshold(chosen) == {"a": 0.2, "b": 0.7}
    assert list(task.used_threshold(chosen)) == ["a", "b"]
    assert task.used_threshold(None) == 0.5


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        ({"a": 0.5}, "label 'b' has no threshold"),
        ({"a": 0.5, "b": 0.5, "bb": 0.1}, "threshold of 'bb': no such label; did you mean 'b'"),
    ],
)
def test_thresholds_of_other_labels_are_refused(threshold, message):
    with pytest.raises(UserError, match=re.escape(message)):
        task_of("multi_label", ["a", "b"]).choices([[0.1, 0.2]], threshold)
    with pytest.raises(UserError, match="3 thresholds for 2 labels"):
        multi_label_metrics([[0, 1]], [[0.1, 0.2]], [0.1, 0.2, 0.3])
    with pytest.raises(UserError, match="need the labels"):
        multi_label_metrics([[0, 1]], [[0.1, 0.2]], {"a": 0.1, "b": 0.2})


@pytest.mark.parametrize("name", ["classification", "regression"])
def test_a_threshold_asked_of_a_task_without_one_is_refused_in_one_line(name):
    task = task_of(name, ["a", "b", "c"])
    told = f"a {name} task has none, leave it out; yes-or-no and multi-label tasks have"
    with pytest.raises(UserError, match=f"threshold aim 'f1': {told}"):
        task.check_aim("f1")
    truth, scores = ([0], [[0.2, 0.3, 0.5]]) if name == "classification" else ([1.0], [2.0])
    with pytest.raises(UserError, match=f"threshold 0.3: {told}"):
        task.metrics(truth, scores, 0.3)
    assert task.used_threshold(None) is None
    assert task.best_threshold(truth, scores) is None
    assert task.no_choice(truth, scores) == {}


def test_a_yes_or_no_task_has_one_threshold():
    task = task_of("binary", ["no", "yes"])
    with pytest.raises(UserError, match="one threshold, not one for each label"):
        task.metrics([0, 1], [0.1, 0.2], {"no": 0.1, "yes": 0.2})
    assert task.best_threshold([0, 1], [0.2, 0.6], "recall_at_precision=1") == pytest.approx(0.4)
    assert task.no_choice([1, 1], [0.2, 0.6]) == {"yes": "no negative row"}
    task.check_aim("cost=1:5")
    with pytest.raises(UserError, match="no threshold aim 'f3x'"):
        task.check_aim("f3x")
