"""Calibration: what is fitted, when it is kept, and that nothing else about a row changes."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit, softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from hfpipe.errors import RunError, UserError
from hfpipe.metrics.binary import roc_auc
from hfpipe.metrics.calibration import ece, log_loss
from hfpipe.metrics.calibrators import (
    Calibration,
    Isotonic,
    Platt,
    Temperature,
    calibrator_of,
    fit_calibration,
)
from hfpipe.metrics.cross_fitting import folds_of
from hfpipe.metrics.tasks import task_of

BINARY = task_of("binary", ["no", "yes"])
LABELS = list("abcde")
CLASSES = task_of("classification", LABELS)


def drawn_classes(rows: int, seed: int = 0):
    """Logits of a calibrated model, and truth drawn from what it says."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, (rows, len(LABELS)))
    return (logits + generator.gumbel(size=logits.shape)).argmax(axis=1), logits


def drawn_binary(rows: int, slope: float = 1, intercept: float = 0, seed: int = 0):
    """Scores, and truth drawn from ``sigmoid(slope * logit(score) + intercept)``."""
    generator = np.random.default_rng(seed)
    scores = expit(generator.normal(0, 2, rows))
    return (generator.random(rows) < expit(slope * logit(scores) + intercept)).astype(int), scores


def test_an_overconfident_model_gets_its_temperature():
    truth, logits = drawn_classes(10_000)
    found = fit_calibration(CLASSES, truth, softmax(3 * logits, axis=1))
    assert found.calibrator.temperature == pytest.approx(3, rel=0.05)
    assert found.before["ece"] > 0.15
    assert found.after["ece"] < 0.02
    assert "temperature 2.99 is used: log loss falls from 1.6390 to 1.0850" in found.reason
    assert "10,000 validation rows" in found.reason
    fresh_truth, fresh = drawn_classes(10_000, seed=1)
    scores = softmax(3 * fresh, axis=1)
    calibrated = found.calibrator.apply(scores)
    assert ece(fresh_truth, calibrated) < 0.02 < 0.15 < ece(fresh_truth, scores)
    exact = softmax(3 * fresh / found.calibrator.temperature, axis=1)
    assert calibrated == pytest.approx(exact, rel=1e-9)


def test_the_temperature_is_the_best_one():
    truth, logits = drawn_classes(500)
    scores = softmax(0.5 * logits, axis=1)
    best = Temperature.fit(truth, scores).temperature
    losses = [log_loss(truth, Temperature(best * by).apply(scores)) for by in (0.99, 1, 1.01)]
    assert losses[1] < min(losses[0], losses[2])
    assert best == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("seed", range(4))
def test_a_calibrated_model_stays_as_it_is(seed):
    truth, logits = drawn_classes(2000, seed)
    several = fit_calibration(CLASSES, truth, softmax(logits, axis=1))
    yes_or_no = fit_calibration(BINARY, *drawn_binary(2000, seed=seed))
    for found, reason in ((several, "temperature .* is not used"), (yes_or_no, "Platt .* is not")):
        assert found.calibrator is None
        assert re.search(reason, found.reason)
        assert found.before == found.after
        assert found.before["ece"] < 0.05


def test_platt_finds_slope_and_intercept():
    truth, scores = drawn_binary(20_000, slope=0.4, intercept=-0.8)
    found = fit_calibration(BINARY, truth, scores)
    assert isinstance(found.calibrator, Platt)
    assert found.calibrator.slope == pytest.approx(0.4, rel=0.05)
    assert found.calibrator.intercept == pytest.approx(-0.8, rel=0.05)
    assert found.calibrator.temperature is None
    assert found.after["ece"] < 0.02 < 0.1 < found.before["ece"]
    assert found.after["log_loss"] < found.before["log_loss"]
    assert "isotonic regression" in found.reason  # which was tried and refused


def test_platt_equals_a_logistic_regression_on_smoothed_targets():
    truth, scores = drawn_binary(60, slope=0.7, intercept=0.3)
    positive, negative = truth.sum(), len(truth) - truth.sum()
    target = np.where(truth == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    twice = np.tile(logit(scores), 2)[:, None]
    model = LogisticRegression(C=1e12, solver="newton-cholesky", tol=1e-12)
    model.fit(twice, [1] * 60 + [0] * 60, sample_weight=np.r_[target, 1 - target])
    found = Platt.fit(truth, scores)
    assert found.slope == pytest.approx(model.coef_[0, 0], rel=1e-6)
    assert found.intercept == pytest.approx(model.intercept_[0], rel=1e-6)


def test_platt_is_finite_where_the_classes_do_not_overlap():
    found = Platt.fit([0] * 30 + [1] * 30, [0.2] * 30 + [0.8] * 30)
    # Lin, Lin and Weng: both sides are believed to 31 of 32.
    assert found.apply([0.2, 0.8]) == pytest.approx([1 / 32, 31 / 32], rel=1e-6)


def test_isotonic_equals_scikit_learn():
    truth, scores = drawn_binary(3000, slope=0.4)
    least = 1 / 3002
    theirs = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    theirs.fit(scores, truth)
    fresh = np.r_[np.random.default_rng(1).random(5000), 0, 1, scores]
    found = Isotonic.fit(truth, scores).apply(fresh)
    assert found == pytest.approx(theirs.predict(fresh), abs=1e-12)
    assert (found.min(), found.max()) == (least, 1 - least)


def stairs(rows: int, seed: int = 0):
    """Scores whose share of yes is no sigmoid of them: it rises, stays, and rises."""
    generator = np.random.default_rng(seed)
    scores = generator.random(rows)
    chance = np.select([scores < 0.2, scores < 0.8], [0.02, 0.5], 0.98)
    return (generator.random(rows) < chance).astype(int), scores


def test_isotonic_is_kept_only_where_it_clearly_beats_platt():
    truth, scores = stairs(3000)
    found = fit_calibration(BINARY, truth, scores)
    assert isinstance(found.calibrator, Isotonic)
    assert found.calibrator.apply([0.1, 0.5, 0.9]) == pytest.approx([0.02, 0.5, 0.98], abs=0.05)
    assert "with Platt scaling" in found.reason
    few = fit_calibration(BINARY, truth[:999], scores[:999])
    assert not isinstance(few.calibrator, Isotonic)
    assert "isotonic is tried from 1,000 rows and 50 of each class on" in few.reason
    rare = np.r_[np.flatnonzero(truth == 0), np.flatnonzero(truth == 1)[:49]]
    assert "isotonic is tried from" in fit_calibration(BINARY, truth[rare], scores[rare]).reason


def test_temperature_and_platt_keep_the_ranking():
    truth, logits = drawn_classes(500)
    scores = softmax(3 * logits, axis=1)
    calibrated = Temperature(2.5).apply(scores)
    assert (calibrated.argsort(axis=1) == scores.argsort(axis=1)).all()
    truth, scores = drawn_binary(500)
    scores = scores.round(2).clip(0.01, 0.99)  # with ties
    assert roc_auc(truth, Platt(0.3, -2).apply(scores)) == roc_auc(truth, scores)


@pytest.mark.parametrize(
    "calibrator",
    [
        Temperature(1 / 3),
        Platt(0.1 + 0.2, -2 / 3),
        Isotonic.fit(*drawn_binary(300)),
    ],
)
def test_json_keeps_every_bit(calibrator):
    read = calibrator_of(json.loads(json.dumps(calibrator.to_dict())))
    assert read == calibrator
    of = np.random.default_rng(0).dirichlet(np.ones(5), 100)
    scores = of if calibrator.name == "temperature" else of[:, 0]
    assert (read.apply(scores) == calibrator.apply(scores)).all()
    kept = Calibration(calibrator, "why", 300, {"log_loss": 0.1, "brier": 0.2, "ece": None})
    told = json.loads(json.dumps(kept.to_dict()))
    assert Calibration.from_dict(told) == kept
    assert (told["method"], told["after"]["ece"]) == (calibrator.name, None)


def test_none_is_told_and_read():
    assert calibrator_of(None) is None
    none = Calibration(None, "too few rows", 3)
    assert none.to_dict()["parameters"] == {}
    assert Calibration.from_dict(json.loads(json.dumps(none.to_dict()))) == none


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"method": "temperatur"}, "no calibration 'temperatur'; did you mean 'temperature'?"),
        ({"method": "platt", "slope": 1}, "'platt' has slope, intercept; given: slope"),
        ({"method": "platt", "slope": 1, "intercept": None}, "must be numbers"),
        ({"method": "temperature", "temperature": 0}, "the temperature is 0.0; it must be"),
        ({"method": "isotonic", "x": [0.5, 0.1], "y": [0.1, 0.5]}, "x must rise"),
    ],
)
def test_a_file_that_tells_nonsense_is_refused(told, message):
    with pytest.raises(UserError, match=re.escape(message)):
        calibrator_of(told)


def test_folds_keep_groups_together_and_classes_apart():
    generator = np.random.default_rng(0)
    owners = generator.integers(0, 200, 3000)
    truth = (owners % 10 == 0).astype(int)
    folds = folds_of(truth, owners)
    assert all(len(set(folds[owners == one])) == 1 for one in range(200))
    shares = [truth[folds == fold].mean() for fold in range(5)]
    assert max(shares) - min(shares) < 0.04
    assert np.bincount(folds) == pytest.approx(600, rel=0.1)
    assert (folds == folds_of(truth, owners)).all()
    assert (folds != folds_of(truth, owners, seed=1)).any()


def test_groups_keep_a_fit_from_knowing_its_own_rows():
    generator = np.random.default_rng(1)
    names = np.repeat([f"group {at}" for at in range(40)], 50)
    # Of a group all rows have one score and one truth, and the two have nothing in common.
    scores = np.repeat(generator.uniform(0.45, 0.55, 40), 50)
    truth = np.repeat(generator.permutation([0, 1] * 20), 50)
    fooled = fit_calibration(BINARY, truth, scores)
    assert isinstance(fooled.calibrator, Isotonic)
    assert fit_calibration(BINARY, truth, scores, groups=names).calibrator is None
    few = fit_calibration(BINARY, truth[:200], scores[:200], groups=names[:200])
    assert "the validation rows are of 4 groups, and it takes 5" in few.reason


def test_what_cannot_be_calibrated_says_why():
    truth, scores = drawn_binary(100)
    matrix = np.c_[scores, scores]
    for found, reason in (
        (fit_calibration(BINARY, truth[:10], scores[:10]), "10 labelled validation rows"),
        (fit_calibration(BINARY, [], []), "0 labelled validation rows"),
        (fit_calibration(BINARY, np.ones(100), scores), "all .* are of one class"),
        (fit_calibration(BINARY, 1 - truth, scores), "do not rise with the truth"),
        (fit_calibration(task_of("multi_label", ["a", "b"]), matrix > 0.5, matrix), "own"),
        (fit_calibration(task_of("regression"), truth, scores), "a number is no probability"),
    ):
        assert found.calibrator is None
        assert re.search(reason, found.reason), found.reason
    assert fit_calibration(BINARY, [], []).after == dict.fromkeys(("log_loss", "brier", "ece"))


def test_a_model_that_is_never_wrong_gets_no_temperature():
    _, logits = drawn_classes(200)
    scores = softmax(logits, axis=1)
    found = fit_calibration(CLASSES, scores.argmax(axis=1), scores)
    assert found.calibrator is None
    assert "ever colder" in found.reason


def test_probabilities_of_0_and_1_are_calibrated():
    generator = np.random.default_rng(0)
    said = generator.integers(0, 5, 2000)
    truth = np.where(generator.random(2000) < 0.9, said, (said + 1) % 5)
    found = fit_calibration(CLASSES, truth, np.eye(5)[said])
    chances = found.calibrator.apply(np.eye(5))
    assert chances.diagonal() == pytest.approx(0.9, abs=0.02)
    assert found.after["log_loss"] < 0.5 < 3 < found.before["log_loss"]
    yes = (said > 2).astype(float)
    positive = np.where(generator.random(2000) < 0.9, yes, 1 - yes)
    found = fit_calibration(BINARY, positive, yes)
    assert found.calibrator.apply([0.0, 1.0]) == pytest.approx([0.1, 0.9], abs=0.02)


@pytest.mark.parametrize(
    ("scores", "groups", "error"),
    [
        (np.full(60, np.nan), None, RunError),
        (np.full(60, 1.5), None, RunError),
        (np.full(61, 0.5), None, UserError),
        (np.full(60, 0.5), ["a"] * 59, UserError),
    ],
)
def test_what_does_not_fit_is_refused(scores, groups, error):
    with pytest.raises(error):
        fit_calibration(BINARY, [0, 1] * 30, scores, groups)


@st.composite
def hard_rows(draw):
    """Rows with ties, neighbours in float64, and zeros."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, classes = draw(st.integers(1, 20)), draw(st.integers(2, 6))
    scores = generator.integers(0, 4, (rows, classes)) * 10.0 ** draw(st.integers(-320, 0))
    scores += draw(st.sampled_from([0, 1e-300, 1.0]))
    scores[scores.sum(axis=1) == 0] = 1
    scores /= scores.sum(axis=1, keepdims=True)
    near = generator.random(scores.shape) < 0.3
    return np.where(near, np.nextafter(scores, 0), scores)


@given(hard_rows(), st.floats(-4.6, 6.9))
@settings(max_examples=150, deadline=None)
def test_any_temperature_gives_probabilities_and_the_same_best_class(scores, log_temperature):
    found = Temperature(float(np.exp(log_temperature))).apply(scores)
    assert found.shape == scores.shape
    assert np.isfinite(found).all()
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert (found.argmax(axis=1) == scores.argmax(axis=1)).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 30, 10**9]))
@settings(max_examples=60, deadline=None)
def test_platt_and_isotonic_never_turn_the_order_around(seed, steps):
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, steps + 1, 60) / steps
    truth = (generator.random(60) < scores).astype(int)
    asked = np.sort(np.r_[scores, np.nextafter(scores, 0), np.nextafter(scores, 1), 0, 1])
    for found in (Platt.fit(truth, scores), Isotonic.fit(truth, scores)):
        chances = found.apply(asked)
        assert np.isfinite(chances).all()
        assert chances.min() >= 0
        assert chances.max() <= 1
        if found.flaw is None:
            assert (np.diff(chances) >= 0).all()


def test_steps_that_nearly_touch_stay_probabilities():
    found = Isotonic((0.0, 1e-310, 3e-310, 1.0), (0.1, 0.2, 0.8, 0.9))
    assert found.apply([0, 2e-310, 0.5]).tolist() == pytest.approx([0.1, 0.8, 0.85])
