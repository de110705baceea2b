"""Yes-or-no metrics against scikit-learn, with ties, weights, one class and no rows."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from hfpipe.errors import RunError, UserError
from hfpipe.metrics.binary import RANKINGS, RATES, binary_metrics, threshold_metrics, undefined
from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.metrics.thresholds import best_threshold, calculate_metrics_threshold

EXACT = {"rel": 1e-12, "abs": 1e-12}
SKLEARN_RATES = {
    "accuracy": sk.accuracy_score,
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "f1": sk.f1_score,
    "macro_f1": lambda *a, **k: sk.f1_score(*a, average="macro", **k),
    "balanced_accuracy": sk.balanced_accuracy_score,
    "mcc": sk.matthews_corrcoef,
}
SKLEARN_RANKINGS = {
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "log_loss": lambda *a, **k: sk.log_loss(*a, labels=[0, 1], **k),
    "brier": sk.brier_score_loss,
}


@st.composite
def cases(draw):
    """Truth (often of one class), scores with many ties, weights (some 0) and a threshold."""
    rows = draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = draw(st.sampled_from([1, 3, 10, 1000]))
    scores = generator.integers(0, steps + 1, rows) / steps
    truth = (generator.random(rows) < draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))).astype(int)
    weights = generator.integers(0, 4, rows) / 3 if draw(st.booleans()) else None
    threshold = draw(st.sampled_from([0.0, 0.3, 0.5, 1.0, 1.5]))
    return truth, scores, threshold, weights


@given(cases())
@settings(max_examples=30, deadline=None)
def test_metrics_equal_scikit_learn_where_they_are_defined(case):
    truth, scores, threshold, weights = case
    found = binary_metrics(truth, scores, threshold, weights)
    kept = slice(None) if weights is None else weights > 0
    options = {} if weights is None else {"sample_weight": weights[kept]}
    guess = (scores >= threshold).astype(int)[kept]
    assert set(found) == {*RATES, *RANKINGS} == {*SKLEARN_RATES, *SKLEARN_RANKINGS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in found.items():
            if value is None:
                continue
            theirs, said = (
                (SKLEARN_RATES[name], guess)
                if name in SKLEARN_RATES
                else (SKLEARN_RANKINGS[name], scores[kept])
            )
            assert value == pytest.approx(theirs(truth[kept], said, **options), **EXACT), name


@given(cases())
@settings(max_examples=80, deadline=None)
def test_a_metric_is_none_exactly_where_its_reason_holds(case):
    truth, scores, threshold, weights = case
    counted = np.ones(len(truth), bool) if weights is None else weights > 0
    true, said = truth[counted].astype(bool), (scores >= threshold)[counted]
    found = binary_metrics(*case)
    none = {name for name, value in found.items() if value is None}
    expected = {
        "precision": not said.any(),
        "recall": not true.any(),
        "f1": not (true.any() or said.any()),
        "balanced_accuracy": true.all() or not true.any(),
        "mcc": len(set(true)) < 2 or len(set(said)) < 2,
        "roc_auc": len(set(true)) < 2,
        "average_precision": not true.any(),
    }
    if not counted.any():
        assert none == set(found)
    else:
        assert none == {name for name, is_none in expected.items() if is_none}
    assert set(undefined(*case)) == none


def test_reasons_name_what_is_missing():
    assert undefined([0, 0], [0.1, 0.2]) == {
        "precision": "no row predicted positive",
        "recall": "no positive row",
        "f1": "no positive row and no row predicted positive",
        "balanced_accuracy": "no positive row",
        "mcc": "no positive row and no row predicted positive",
        "roc_auc": "no positive row",
        "average_precision": "no positive row",
    }
    assert set(undefined([], []).values()) == {"no rows"}
    assert undefined([0, 1], [0.1, 0.9]) == {}


def test_no_rows_give_none_everywhere():
    assert set(binary_metrics([], []).values()) == {None}
    assert set(binary_metrics([1, 0], [0.2, 0.3], weights=[0, 0]).values()) == {None}
    assert best_threshold([], []).reason == "no positive row"


def test_every_name_has_a_direction():
    assert set(binary_metrics([0, 1], [0.2, 0.6])) <= set(DIRECTIONS)


@given(cases(), st.sampled_from(sorted(RATES)))
@settings(max_examples=80, deadline=None)
def test_no_threshold_beats_the_best(case, metric):
    truth, scores, _, weights = case
    best = best_threshold(truth, scores, metric, weights)
    mass = np.ones(len(truth)) if weights is None else weights
    if not mass[truth == 1].sum() or not mass[truth == 0].sum():
        assert best.threshold is None
        assert best.value is None
        assert best.reason in ("no positive row", "no negative row")
        return
    candidates = [-1.0, *np.unique(scores), 2.0]
    values = [threshold_metrics(truth, scores, at, weights)[metric] for at in candidates]
    top = max(value for value in values if value is not None)
    assert best.value == pytest.approx(top, **EXACT)
    assert threshold_metrics(truth, scores, best.threshold, weights)[metric] == best.value
    # The highest of the equally good: every candidate above calls fewer rows 1, and is worse.
    for at, value in zip(candidates, values, strict=True):
        if (scores >= at).sum() < (scores >= best.threshold).sum():
            assert value is None or value < top - 1e-13 or not changes(scores, mass, at, best)


def changes(scores, mass, at, best):
    """Whether rows that weigh something lie between two thresholds."""
    between = (scores >= best.threshold) & (scores < at)
    return mass[between].sum() > 0


def test_the_threshold_lies_between_scores_so_that_rounding_changes_nothing():
    best = best_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9])
    assert best.threshold == pytest.approx(0.4)
    assert best.value == 1.0


def test_logits_and_neighbouring_floats_have_a_threshold_too():
    low = 1.0
    high = np.nextafter(low, 2)
    assert best_threshold([0, 1], [low, high]).threshold == high
    assert best_threshold([0, 1], [-1e308, 1e308]).value == 1.0
    assert best_threshold([1, 0], [0.3, 0.3], "accuracy").threshold > 0.3


def test_calculate_metrics_threshold_tunes_where_none_is_given():
    truth, scores = [0, 0, 1, 1], [0.1, 0.2, 0.3, 0.9]
    assert calculate_metrics_threshold(truth, scores)["f1"] == 1.0
    at_half = calculate_metrics_threshold(truth, scores, 0.5)
    assert (at_half["threshold"], at_half["recall"]) == (0.5, 0.5)
    assert calculate_metrics_threshold([0, 0], [0.1, 0.2])["threshold"] is None


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([0, 2], [0.1, 0.2]), UserError, "row 2: truth is neither 0 nor 1"),
        (([0, np.nan], [0.1, 0.2]), UserError, "row 2: truth is neither 0 nor 1"),
        (([0], [0.1, 0.2]), UserError, "truth (1,), scores (2,)"),
        (([0, 1], [[0.1, 0.9]] * 2), UserError, "they must hold one number a row"),
        (([0, 1], [0.1, np.inf]), RunError, "row 2: the model's score is not finite"),
        (([0, 1], [0.1, 1.5]), RunError, "apply a sigmoid"),
        (([0, 1], [0.1, 0.5], 0.5, [1, -1]), UserError, "row 2: its weight is not a finite"),
    ],
)
def test_what_cannot_be_scored_is_refused(arguments, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        binary_metrics(*arguments)


def test_an_unknown_threshold_metric_is_refused():
    with pytest.raises(UserError, match="did you mean 'recall'"):
        best_threshold([0, 1], [0.1, 0.2], "recal")
