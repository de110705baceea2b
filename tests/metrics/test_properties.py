"""Every metric against scikit-learn or an obvious loop, on random inputs with ties and gaps."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from hfpipe.metrics.calibration import brier, ece, log_loss
from hfpipe.metrics.classification import (
    accuracy,
    classification_metrics,
    confusion_matrix,
    macro_f1,
    macro_precision,
    macro_recall,
    per_class,
    top_k_accuracy,
    weighted_f1,
)
from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.metrics.scores import predicted_classes, ranked_classes

EXACT = {"rel": 1e-12, "abs": 1e-12}


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


@given(cases())
@settings(max_examples=40, deadline=None)
def test_class_metrics_equal_scikit_learn(case):
    truth, scores = case
    guess = predicted_classes(scores)
    every = range(scores.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            accuracy: sk.accuracy_score(truth, guess),
            macro_f1: sk.f1_score(truth, guess, average="macro"),
            weighted_f1: sk.f1_score(truth, guess, average="weighted"),
            macro_precision: sk.precision_score(truth, guess, average="macro"),
            macro_recall: sk.recall_score(truth, guess, average="macro"),
            log_loss: sk.log_loss(truth, scores, labels=list(every)),
        }
        names = np.array([str(label) for label in every])
        positive = scores[:, 1] if len(names) == 2 else scores
        theirs = sk.brier_score_loss(
            names[truth], positive, labels=names, **({"pos_label": "1"} if len(names) == 2 else {})
        )
    for ours, value in expected.items():
        assert ours(truth, scores) == pytest.approx(value, **EXACT), ours.__name__
    assert brier(truth, scores) == pytest.approx(theirs, **EXACT)
    assert (
        confusion_matrix(truth, scores) == sk.confusion_matrix(truth, guess, labels=every)
    ).all()


@given(cases())
@settings(max_examples=80, deadline=None)
def test_top_k_equals_a_loop_over_sorted_labels(case):
    truth, scores = case
    classes = scores.shape[1]
    for k in range(1, classes + 1):
        hits = 0
        for true, row in zip(truth, scores, strict=True):
            best_first = sorted(range(classes), key=lambda index: (-row[index], index))
            hits += int(true) in best_first[:k]
        assert top_k_accuracy(truth, scores, k) == pytest.approx(hits / len(truth), **EXACT)
    assert top_k_accuracy(truth, scores, 1) == accuracy(truth, scores)
    assert top_k_accuracy(truth, scores, classes) == 1.0


@given(cases())
@settings(max_examples=80, deadline=None)
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


@given(cases(), st.sampled_from([1, 5, 15]))
@settings(max_examples=80, deadline=None)
def test_ece_equals_a_loop_over_bins(case, bins):
    truth, scores = case
    guess, sure = predicted_classes(scores), scores.max(axis=1)
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = [i for i, value in enumerate(sure) if low < value <= high]
        if inside:
            right = np.mean([guess[i] == truth[i] for i in inside])
            total += len(inside) * abs(right - np.mean([sure[i] for i in inside]))
    assert ece(truth, scores, bins) == pytest.approx(total / len(truth), abs=1e-9)


@given(cases())
@settings(max_examples=40, deadline=None)
def test_the_flat_dict_has_standard_names_and_finite_numbers(case):
    truth, scores = case
    found = classification_metrics(truth, scores)
    assert set(found) <= set(DIRECTIONS)
    assert found["accuracy"] == found["top_1_accuracy"]
    assert ("top_3_accuracy" in found) == (scores.shape[1] >= 3)
    assert ("f1" in found) == (scores.shape[1] == 2)
    assert all(value is None or math.isfinite(value) for value in found.values())
    only_two_class = {"precision", "recall", "f1"}
    assert all(value is not None for name, value in found.items() if name not in only_two_class)


def test_ties_rank_in_label_order():
    assert ranked_classes([[0.25, 0.25, 0.5, 0.0]]).tolist() == [[2, 0, 1, 3]]
