"""Every metric against scikit-learn or an obvious loop, on random inputs with ties and gaps."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from hfpipe.metrics.calibration import brier, classwise_ece, ece, log_loss, reliability
from hfpipe.metrics.class_rates import RATES
from hfpipe.metrics.classification import (
    class_rate,
    classification_metrics,
    confusion_matrix,
    per_class,
    top_k_accuracy,
    undefined,
)
from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.metrics.scores import predicted_classes, ranked_classes

EXACT = {"rel": 1e-12, "abs": 1e-12}


def assert_equal(found, expected):
    """None in the same places, and numbers equal to twelve digits."""
    assert {name for name, value in found.items() if value is None} == {
        name for name, value in expected.items() if value is None
    }
    numbers = {name: value for name, value in expected.items() if value is not None}
    assert {name: found[name] for name in numbers} == pytest.approx(numbers, **EXACT)


SKLEARN_RATES = {
    "accuracy": sk.accuracy_score,
    "micro_f1": lambda *a, **k: sk.f1_score(*a, average="micro", **k),
    "macro_f1": lambda *a, **k: sk.f1_score(*a, average="macro", **k),
    "weighted_f1": lambda *a, **k: sk.f1_score(*a, average="weighted", **k),
    "macro_precision": lambda *a, **k: sk.precision_score(*a, average="macro", **k),
    "macro_recall": lambda *a, **k: sk.recall_score(*a, average="macro", **k),
    "balanced_accuracy": sk.balanced_accuracy_score,
    "mcc": sk.matthews_corrcoef,
}


@st.composite
def cases(draw):
    """Truth and probabilities of 2 to 6 classes: coarse steps make ties, few rows make gaps."""
    classes = draw(st.integers(2, 6))
    rows = draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = draw(st.sampled_from([2, 4, 1000]))
    scores = generator.integers(0, steps + 1, (rows, classes)) / steps
    scores[scores.sum(axis=1) == 0] = 1.0
    used = draw(st.integers(1, classes))
    return generator.integers(0, used, rows), scores / scores.sum(axis=1, keepdims=True)


@st.composite
def weighed(draw):
    """The same with weights, some 0; or without."""
    truth, scores = draw(cases())
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = generator.integers(0, 4, len(truth)) / 3 if draw(st.booleans()) else None
    return truth, scores, weights


@given(weighed())
@settings(max_examples=25, deadline=None)
def test_class_metrics_equal_scikit_learn(case):
    truth, scores, weights = case
    found = classification_metrics(*case)
    kept = slice(None) if weights is None else weights > 0
    options = {} if weights is None else {"sample_weight": weights[kept]}
    if not len(truth[kept]):
        assert set(found.values()) == {None}
        return
    true, sure, guess = truth[kept], scores[kept], predicted_classes(scores)[kept]
    every = range(scores.shape[1])
    names = np.array([str(label) for label in every])
    two = len(names) == 2
    positive = {"pos_label": "1"} if two else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {name: each(true, guess, **options) for name, each in SKLEARN_RATES.items()}
        expected["log_loss"] = sk.log_loss(true, sure, labels=list(every), **options)
        expected["brier"] = sk.brier_score_loss(
            names[true], sure[:, 1] if two else sure, labels=names, **positive, **options
        )
        areas = {"macro_roc_auc": sk.roc_auc_score}
        areas["macro_average_precision"] = sk.average_precision_score
        for name, each in areas.items():
            whole = set(true) == set(every)
            values = [each(true == at, sure[:, at], **options) for at in every] if whole else []
            expected[name] = np.mean(values) if whole else None
    if len(set(true)) < 2 or len(set(guess)) < 2:
        expected["mcc"] = None
    assert set(RATES) == set(SKLEARN_RATES)
    assert_equal({name: found[name] for name in expected}, expected)
    assert class_rate("macro_f1", *case) == pytest.approx(expected["macro_f1"], **EXACT)
    assert brier(*case) == pytest.approx(expected["brier"], **EXACT)
    assert log_loss(*case) == pytest.approx(expected["log_loss"], **EXACT)
    table = sk.confusion_matrix(true, guess, labels=every, **options)
    assert confusion_matrix(*case) == pytest.approx(table, **EXACT)


@given(weighed())
@settings(max_examples=25, deadline=None)
def test_a_metric_is_none_exactly_where_a_reason_is_given(case):
    truth, scores, weights = case
    found = classification_metrics(*case)
    reasons = undefined(truth, scores, None, weights)
    assert set(reasons) == {name for name, value in found.items() if value is None}
    assert all(reasons.values())


@given(weighed())
@settings(max_examples=25, deadline=None)
def test_weights_of_whole_numbers_are_copies_of_rows(case):
    truth, scores, weights = case
    times = np.ones(len(truth), int) if weights is None else (3 * weights).round().astype(int)
    copied = classification_metrics(np.repeat(truth, times), np.repeat(scores, times, axis=0))
    assert_equal(classification_metrics(truth, scores, times), copied)


@given(cases())
@settings(max_examples=25, deadline=None)
def test_top_k_equals_a_loop_over_sorted_labels(case):
    truth, scores = case
    classes = scores.shape[1]
    for k in range(1, classes + 1):
        hits = 0
        for true, row in zip(truth, scores, strict=True):
            best_first = sorted(range(classes), key=lambda index: (-row[index], index))
            hits += int(true) in best_first[:k]
        assert top_k_accuracy(truth, scores, k) == pytest.approx(hits / len(truth), **EXACT)
    assert top_k_accuracy(truth, scores, 1) == class_rate("accuracy", truth, scores)
    assert top_k_accuracy(truth, scores, classes) == 1.0


@given(cases())
@settings(max_examples=25, deadline=None)
def test_per_class_equals_counting_by_hand(case):
    truth, scores = case
    guess = predicted_classes(scores)
    for index, found in enumerate(per_class(truth, scores).values()):
        hit = sum(1 for t, g in zip(truth, guess, strict=True) if t == index == g)
        true, said = int((truth == index).sum()), int((guess == index).sum())
        assert found["support"] == true
        assert found["precision"] == (pytest.approx(hit / said) if said else None)
        assert found["recall"] == (pytest.approx(hit / true) if true else None)
        assert found["f1"] == (pytest.approx(2 * hit / (true + said)) if true + said else None)


def slow_error(sure, right, weights, bins):
    """Calibration error of one column, bin by bin and row by row."""
    total = 0.0
    for low, high in itertools.pairwise(np.linspace(0, 1, bins + 1)):
        inside = [i for i, value in enumerate(sure) if low < value <= high or value == low == 0]
        mass = sum(weights[i] for i in inside)
        if mass:
            share = sum(weights[i] * right[i] for i in inside) / mass
            total += mass * abs(share - sum(weights[i] * sure[i] for i in inside) / mass)
    return total / sum(weights)


@given(weighed(), st.sampled_from([1, 5, 15]))
@settings(max_examples=25, deadline=None)
def test_ece_and_class_wise_ece_equal_a_loop_over_bins(case, bins):
    truth, scores, weights = case
    mass = np.ones(len(truth)) if weights is None else weights
    guess, sure = predicted_classes(scores), scores.max(axis=1)
    if not mass.sum():
        assert ece(truth, scores, bins, weights) is classwise_ece(truth, scores, bins, weights)
        return
    expected = slow_error(sure, guess == truth, mass, bins)
    assert ece(truth, scores, bins, weights) == pytest.approx(expected, **EXACT)
    assert reliability(sure, guess == truth, bins, weights).error == pytest.approx(
        expected, **EXACT
    )
    each = [slow_error(scores[:, at], truth == at, mass, bins) for at in range(scores.shape[1])]
    found = classwise_ece(truth, scores, bins, weights)
    assert found == pytest.approx(np.mean(each), **EXACT)


@given(weighed())
@settings(max_examples=25, deadline=None)
def test_per_class_with_weights_equals_scikit_learn(case):
    truth, scores, weights = case
    assume(weights is None or weights.sum() > 0)  # scikit-learn refuses no weight at all
    options = {"labels": range(scores.shape[1]), "zero_division": np.nan}
    theirs = sk.precision_recall_fscore_support(
        truth, predicted_classes(scores), sample_weight=weights, **options
    )
    names = ("precision", "recall", "f1", "support")
    for index, found in enumerate(per_class(truth, scores, None, weights).values()):
        row = {name: values[index] for name, values in zip(names, theirs, strict=True)}
        assert_equal(found, {name: None if np.isnan(each) else each for name, each in row.items()})


@given(cases())
@settings(max_examples=25, deadline=None)
def test_the_flat_dict_has_standard_names_and_finite_numbers(case):
    truth, scores = case
    found = classification_metrics(truth, scores)
    assert set(found) <= set(DIRECTIONS)
    assert found["accuracy"] == found["top_1_accuracy"]
    assert ("top_3_accuracy" in found) == (scores.shape[1] >= 3)
    assert ("f1" in found) == (scores.shape[1] == 2)
    assert all(value is None or math.isfinite(value) for value in found.values())
    sometimes = {"precision", "recall", "f1", "mcc", "macro_roc_auc", "macro_average_precision"}
    assert all(value is not None for name, value in found.items() if name not in sometimes)


def test_ties_rank_in_label_order():
    assert ranked_classes([[0.25, 0.25, 0.5, 0.0]]).tolist() == [[2, 0, 1, 3]]
