"""Inputs on which a metric must refuse, or say None, and never give a wrong number."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hfpipe.errors import RunError, UserError
from hfpipe.metrics.calibration import classwise_ece, ece, log_loss
from hfpipe.metrics.classification import (
    classification_metrics,
    per_class,
    top_k_accuracy,
    undefined,
)
from hfpipe.metrics.directions import DIRECTIONS, is_better


def test_no_rows_gives_none_everywhere():
    found = classification_metrics([], np.empty((0, 4)))
    assert set(found.values()) == {None}
    assert {"accuracy", "top_3_accuracy", "macro_f1", "log_loss", "ece"} <= set(found)


def test_nan_scores_are_refused_with_their_row():
    with pytest.raises(RunError, match=re.escape("row 2: the model's scores are not finite")):
        classification_metrics([0, 1], [[0.5, 0.5], [float("nan"), 0.5]])


def test_logits_are_not_taken_for_probabilities():
    with pytest.raises(RunError, match="apply a softmax"):
        log_loss([0], [[3.0, -1.0]])


def test_a_class_the_model_lacks_is_refused_with_its_row():
    with pytest.raises(UserError, match=re.escape("row 2: class 2 is not one of the model's 2")):
        classification_metrics([0, 2], [[0.5, 0.5], [0.5, 0.5]])


@pytest.mark.parametrize("broken", [0.5, float("nan"), float("inf")])
def test_truth_that_is_no_index_is_refused_and_not_rounded(broken):
    with pytest.raises(UserError, match=f"row 2: truth {broken} is no class index"):
        classification_metrics([0.0, broken], np.full((2, 2), 0.5))


def test_another_number_of_rows_is_refused():
    with pytest.raises(UserError, match="3"):
        classification_metrics([0, 1], np.full((3, 2), 0.5))


@pytest.mark.parametrize("k", [0, 3])
def test_top_k_outside_the_classes_is_refused(k):
    with pytest.raises(ValueError, match="between 1 and the 2 classes"):
        top_k_accuracy([0], [[0.5, 0.5]], k)


def test_half_precision_rows_still_count_as_probabilities():
    scores = np.random.default_rng(0).dirichlet(np.ones(26), 200)
    truth = np.arange(200) % 26
    rounded = scores.astype(np.float16)
    assert log_loss(truth, rounded) == pytest.approx(log_loss(truth, scores), rel=5e-3)


def test_perfectly_calibrated_scores_have_no_calibration_error():
    truth = np.array([0] * 7 + [1] * 3)
    assert ece(truth, np.tile([0.7, 0.3], (10, 1))) == pytest.approx(0, abs=1e-12)


def test_per_class_needs_a_name_a_class():
    with pytest.raises(ValueError, match="1 labels for 2 classes"):
        per_class([0], [[1.0, 0.0]], ["a"])


def test_directions():
    assert is_better("ece", 0.1, than=0.2)
    assert not is_better("macro_f1", 0.1, than=0.2)
    assert {name for name, way in DIRECTIONS.items() if way == "lower"} == {
        "hamming_loss",
        "log_loss",
        "brier",
        "ece",
        "classwise_ece",
        "rmse_log",
        "mae_log",
        "rmse_raw",
        "mae_raw",
    }


def test_reasons_name_the_classes_that_lack_rows():
    names = ["cat", "dog", "elk", "fox", "gnu", "hen"]
    found = undefined([0, 0], np.eye(6)[[0, 1]], names)
    assert found == {
        "mcc": "truth is all of one class",
        "macro_roc_auc": "no row of 'dog', 'elk', 'fox' and 2 more",
        "macro_average_precision": "no row of 'dog', 'elk', 'fox' and 2 more",
    }
    assert undefined([0], [[0.9, 0.1]], ["no", "yes"]) | {"mcc": ""} == {
        "mcc": "",
        "macro_roc_auc": "no row of 'yes'",
        "macro_average_precision": "no row of 'yes'",
        "precision": "no row predicted 'yes'",
        "recall": "no row of 'yes'",
        "f1": "no row of 'yes' and none predicted so",
    }
    assert undefined([0, 0], [[1.0], [1.0]])["macro_roc_auc"] == "there is one class only"
    assert set(undefined([], np.empty((0, 2))).values()) == {"no rows"}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "weights have shape (1,) but there are 2 rows"),
        ([1.0, -1.0], "row 2: its weight is not a finite number of at least 0"),
        ([np.nan, 1.0], "row 1: its weight"),
    ],
)
def test_weights_that_are_none_are_refused(weights, message):
    with pytest.raises(UserError, match=re.escape(message)):
        classification_metrics([0, 1], np.full((2, 2), 0.5), weights)


def test_class_wise_calibration_counts_classes_that_have_no_row():
    # The third class is promised to a tenth of each row, and there is none of it.
    truth, scores = [0, 1] * 5, [[0.45, 0.45, 0.1]] * 10
    assert classwise_ece(truth, scores) == pytest.approx((0.05 + 0.05 + 0.1) / 3)
