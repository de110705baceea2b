"""Regression metrics against scikit-learn and scipy, and where they are not defined."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from hfpipe.errors import RunError, UserError
from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.metrics.regression import r2, regression_metrics, rmse, spearman, undefined

EXACT = {"rel": 1e-12, "abs": 1e-12}


@st.composite
def cases(draw):
    """log1p targets and predictions with ties, often all equal, and weights (some 0)."""
    rows = draw(st.integers(1, 30))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = draw(st.sampled_from([1, 3, 1000]))
    truth, guess = generator.integers(0, steps, (2, rows)) / steps * 12 + 0.1
    weights = generator.integers(0, 4, rows) / 3 if draw(st.booleans()) else None
    return truth, guess, weights


@given(cases())
@settings(max_examples=60, deadline=None)
def test_metrics_equal_scikit_learn_where_they_are_defined(case):
    truth, guess, weights = case
    found = regression_metrics(truth, guess, weights=weights)
    if weights is not None and not weights.sum():
        assert {value for name, value in found.items() if name != "spearman"} == {None}
        return
    options = {"sample_weight": weights}
    raw = np.expm1(truth), np.expm1(guess)
    expected = {
        "rmse_log": sk.root_mean_squared_error(truth, guess, **options),
        "mae_log": sk.mean_absolute_error(truth, guess, **options),
        "rmse_raw": sk.root_mean_squared_error(*raw, **options),
        "mae_raw": sk.mean_absolute_error(*raw, **options),
    }
    counted = truth if weights is None else truth[weights > 0]
    if len(set(counted)) > 1:
        expected["r2_log"] = sk.r2_score(truth, guess, **options)
        expected["r2_raw"] = sk.r2_score(*raw, **options)
    if len(set(truth)) > 1 and len(set(guess)) > 1:
        expected["spearman"] = stats.spearmanr(truth, guess).statistic
    defined = {name: value for name, value in found.items() if value is not None}
    assert defined == pytest.approx(expected, **EXACT)
    assert set(undefined(truth, guess, weights=weights)) == set(found) - set(defined)


def test_the_raw_scale_is_expm1_of_the_log_scale():
    views, guesses = np.array([0.0, 99.0, 1e6]), np.array([9.0, 99.0, 5e5])
    found = regression_metrics(np.log1p(views), np.log1p(guesses))
    assert found["mae_raw"] == pytest.approx((9 + 0 + 5e5) / 3)
    raw = regression_metrics(views, guesses, log1p=False)
    for name in ("mae_raw", "rmse_raw", "r2_raw"):
        assert raw[name] == pytest.approx(found[name])
    assert found["r2_raw"] < 0.8 < found["r2_log"]
    assert set(raw) == {"rmse_raw", "mae_raw", "r2_raw", "spearman"}
    assert set(raw) | set(found) <= set(DIRECTIONS)


def test_a_constant_target_has_no_r2_though_its_mean_is_rounded():
    assert r2([0.1] * 3, [0.2, 0.1, 0.3]) is None
    assert undefined([0.1] * 3, [0.2, 0.1, 0.3]) == {
        "r2_log": "all targets are equal",
        "r2_raw": "all targets are equal",
        "spearman": "all targets are equal",
    }


def test_equal_predictions_have_no_rank_correlation():
    assert spearman([1, 2, 3], [5, 5, 5]) is None
    assert undefined([1, 2, 3], [5, 5, 5]) == {"spearman": "all predictions are equal"}


def test_a_prediction_too_large_for_the_raw_scale_gives_none_there_only():
    found = regression_metrics([1.0, 2.0], [1.0, 900.0])
    assert found["rmse_raw"] is None
    assert found["mae_raw"] is None
    assert found["r2_raw"] is None
    assert found["rmse_log"] == pytest.approx(898 / np.sqrt(2))
    assert undefined([1.0, 2.0], [1.0, 900.0])["mae_raw"] == "a value is beyond the largest number"
    assert rmse([0.0], [1e200]) is None


def test_no_rows_give_none_everywhere():
    assert set(regression_metrics([], []).values()) == {None}
    assert set(undefined([], []).values()) == {"no rows"}


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([0.0, np.nan], [1, 2]), UserError, "row 2: its target is not a finite number"),
        (([0.0, 1.0], [np.inf, 2]), RunError, "row 1: the model's prediction is not finite"),
        (([0.0, 1.0], [1.0]), UserError, "truth (2,), predictions (1,)"),
        (([0.0, 1.0], [[1, 2], [3, 4]]), UserError, "one number a row"),
    ],
)
def test_what_cannot_be_scored_is_refused(arguments, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        regression_metrics(*arguments)


def test_a_column_is_taken_for_its_numbers():
    assert rmse([1.0, 2.0], [[1.0], [4.0]]) == pytest.approx(np.sqrt(2))
