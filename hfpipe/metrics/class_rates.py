"""Metrics of predicted classes, from how many rows of each class are right, true and predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from hfpipe.metrics.scores import Floats, Ints


class Sides(NamedTuple):
    """Weighted rows of every class: rightly predicted, true, predicted; (classes,) each."""

    hits: Floats
    support: Floats
    predicted: Floats


def _zero_filled(part: Floats, whole: Floats) -> Floats:
    return part / np.where(whole > 0, whole, 1.0)


def _macro(part: Floats, whole: Floats, n: Sides) -> Floats:
    return _zero_filled(part, whole)[n.support + n.predicted > 0].mean()


def _weighted_f1(n: Sides) -> Floats:
    each = _zero_filled(2 * n.hits, n.support + n.predicted)
    return (each * n.support).sum() / n.support.sum()


def _balanced_accuracy(n: Sides) -> Floats:
    there = n.support > 0
    return (n.hits[there] / n.support[there]).mean()


def _mcc(n: Sides) -> Floats:
    if any((each > 0).sum() < 2 for each in (n.support, n.predicted)):
        return np.full((), np.nan)
    rows = n.support.sum()
    both = n.hits.sum() * rows - n.support @ n.predicted
    spread = [each @ (rows - each) for each in (n.support, n.predicted)]
    return np.asarray(both / np.sqrt(spread[0]) / np.sqrt(spread[1]))


RATES: Mapping[str, Callable[[Sides], Floats]] = MappingProxyType(
    {
        "accuracy": lambda n: n.hits.sum() / n.support.sum(),
        "micro_f1": lambda n: n.hits.sum() / n.support.sum(),
        "macro_f1": lambda n: _macro(2 * n.hits, n.support + n.predicted, n),
        "weighted_f1": _weighted_f1,
        "macro_precision": lambda n: _macro(n.hits, n.predicted, n),
        "macro_recall": lambda n: _macro(n.hits, n.support, n),
        "balanced_accuracy": _balanced_accuracy,
        "mcc": _mcc,
    }
)
"""The metrics of predicted classes, all better when higher; NaN where they are 0/0."""


def sides_of(labels: Ints, predicted: Ints, mass: Floats, classes: int) -> Sides:
    """Count rows.

    Args:
        labels: (rows,) true classes.
        predicted: (rows,) predicted classes.
        mass: (rows,) weights.
        classes: How many there are.

    >>> sides_of(np.array([0, 0]), np.array([0, 1]), np.ones(2), 2).hits.tolist()
    [1.0, 0.0]
    """
    right = labels == predicted
    parts = (labels[right], mass[right]), (labels, mass), (predicted, mass)
    return Sides(
        *(
            np.bincount(which, weights=weight, minlength=classes).astype(np.float64, copy=False)
            for which, weight in parts
        )
    )
