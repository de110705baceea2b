"""Class weights: the formulas, the link between two and many classes, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hfpipe.errors import UserError
from hfpipe.models.class_weights import (
    METHODS,
    class_weights,
    estimate_pos_weight,
    loss_weights,
    pos_weight,
    pos_weights,
)

COUNTS = st.integers(1, 3000)


@given(positives=COUNTS, negatives=COUNTS)
def test_pos_weight_is_the_formula_of_its_method(positives, negatives):
    labels = [1] * positives + [0] * negatives
    share = positives / (positives + negatives)
    effective = (1 - 0.9999**negatives) / (1 - 0.9999**positives)
    assert pos_weight(labels) == pytest.approx(negatives / positives, rel=1e-12)
    assert pos_weight(labels, "sqrt") == pytest.approx(math.sqrt(negatives / positives), rel=1e-12)
    assert pos_weight(labels, "effective") == pytest.approx(effective, rel=1e-9)
    for gamma in (0.0, 0.5, 2.0):
        focal = ((1 - share) / share) ** gamma
        assert pos_weight(labels, "focal", gamma=gamma) == pytest.approx(focal, rel=1e-9)


@given(counts=st.lists(COUNTS, min_size=2, max_size=6), method=st.sampled_from(sorted(METHODS)))
def test_class_weights_have_a_mean_of_1_and_the_ratios_of_pos_weight(counts, method):
    labels = np.repeat(np.arange(len(counts)), counts)
    weights = class_weights(labels, method)
    assert np.mean(weights) == pytest.approx(1, rel=1e-12)
    for other in range(1, len(counts)):
        pair = labels[np.isin(labels, (0, other))]
        expected = pos_weight(pair == other, method)
        assert weights[other] / weights[0] == pytest.approx(expected, rel=1e-9)


def test_a_million_rows_of_one_class_do_not_overflow():
    labels = np.zeros(1_000_000)
    labels[0] = 1
    assert pos_weight(labels, "effective") == pytest.approx(10_000, rel=1e-6)


def test_multi_label_weights_are_those_of_each_column():
    labels = np.array([[1, 0], [0, 0], [0, 1], [0, np.nan]])
    assert pos_weights(labels, "balanced") == pytest.approx([3.0, 2.0])


@pytest.mark.parametrize(
    "labels",
    [
        [1, 0, 0, -100],
        np.array([1, 0, np.nan, 0]),
        np.array([True, False, False]),
        torch.tensor([[1.0, 0.0], [0.0, -1.0]]),
    ],
)
def test_labels_come_in_any_container_and_unlabelled_rows_are_left_out(labels):
    assert estimate_pos_weight(labels, "balanced") == 2.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pos_weight([0, 0, 0]), "no row of 1 (positive) among the 3 labelled train rows"),
        (lambda: pos_weight([]), "no row of 0 (negative), 1 (positive) among the 0 labelled"),
        (lambda: class_weights([0, 2], "sqrt", ["a", "b", "c"]), "no row of b among the 2"),
        (lambda: pos_weights([[1, 0], [0, 0]], names=["x", "y"]), "class 'y': class weights: no"),
        (lambda: pos_weight([0, 1, 2]), "label 2 is not one of the 2 classes (0 to 1)"),
        (lambda: pos_weight([0, 1, 0.5]), "label 0.5 is not one of the 2 classes"),
        (lambda: pos_weight(["a", "b"]), "labels must be numbers"),
        (lambda: pos_weight([0, 1], "balance"), "'balance'; did you mean 'balanced'?"),
        (lambda: pos_weight([0, 1], "effective", beta=1.0), "beta=1.0: it must be above 0"),
        (lambda: pos_weight([0, 1], "focal", gamma=-1), "gamma=-1: it must be at least 0"),
        (lambda: loss_weights([0.5], "sqrt", "regression"), "regression has no classes to weigh"),
    ],
)
def test_what_has_no_weights_is_refused_in_one_line(call, message):
    with pytest.raises(UserError) as raised:
        call()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_config_entry_is_what_the_loss_reads():
    labels = [0, 0, 1]
    assert loss_weights(labels, None, "binary") == {}
    assert loss_weights(labels, "balanced", "binary") == {"pos_weight": 2.0}
    assert loss_weights([[0, 1], [1, 0]], "sqrt", "multi_label_classification") == {
        "pos_weight": [1.0, 1.0]
    }
    found = loss_weights(labels, "balanced", "single_label_classification", ["a", "b"])
    assert found["class_weights"] == pytest.approx([2 / 3, 4 / 3])
