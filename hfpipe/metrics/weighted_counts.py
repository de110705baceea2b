"""Metrics of predictions on many resamples at once, from weighted rows by truth and prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from hfpipe.metrics.resampling import Block
from hfpipe.metrics.scores import Floats

DENSE_COLUMNS = 8
"""Up to this many columns a dense product is faster than a sparse one."""
FEW = 8
"""Up to this many resamples of many rows, turning counts into columns costs more than it saves."""


class ByClass(NamedTuple):
    """Weighted rows of every class, each (resamples, classes)."""

    hits: Floats
    truth: Floats
    said: Floats


class Sums:
    """Weighted sums over rows of each column of a matrix, (resamples, columns).

    >>> Sums(np.array([[1.0, 0.0], [2.0, 5.0]]))(Block(np.array([[2.0, 1.0]]))).tolist()
    [[4.0, 5.0]]
    """

    def __init__(self, values: Floats | sparse.csr_array) -> None:
        """Take (rows, columns), dense or sparse."""
        self.dense = isinstance(values, np.ndarray)
        self.values: Any = (
            np.asfortranarray(values)
            if isinstance(values, np.ndarray)
            else sparse.csr_array(values.T, dtype=np.float64)
        )

    def __call__(self, block: Block) -> Floats:
        """Sum."""
        if self.dense:
            return np.asarray(block.counts @ self.values)
        if len(block.counts) <= FEW:
            return np.stack([self.values @ counts for counts in block.counts])
        return np.asarray((self.values @ block.columns).T)


class Classes:
    """Rows of every class by truth and prediction, of marks (rows, classes) of 0 and 1."""

    def __init__(self, truth: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> None:
        """Take which classes each row has, and which it is said to have."""
        self.classes = truth.shape[1]
        parts = [truth & said, truth, said]
        if 3 * self.classes <= DENSE_COLUMNS:
            self.sums = Sums(np.hstack(parts).astype(np.float64))
        else:
            self.sums = Sums(sparse.hstack([sparse.csr_array(each) for each in parts], "csr"))

    def __call__(self, block: Block) -> ByClass:
        """Count."""
        found = self.sums(block)
        return ByClass(*(found[:, at * self.classes :][:, : self.classes] for at in range(3)))


def ratio(part: Floats, whole: Floats) -> Floats:
    """Quotients; NaN where ``whole`` is 0.

    >>> ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    missing = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    return np.divide(part, whole, out=missing, where=whole != 0)


def mean_of_known(values: Floats) -> Floats:
    """Means (resamples,) over the columns that are not NaN; NaN where all are.

    >>> mean_of_known(np.array([[1.0, np.nan], [np.nan, np.nan]])).tolist()
    [1.0, nan]
    """
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1))


def _precision(n: ByClass) -> Floats:
    return ratio(n.hits, n.said)


def _recall(n: ByClass) -> Floats:
    return ratio(n.hits, n.truth)


def _f1(n: ByClass) -> Floats:
    return ratio(2 * n.hits, n.truth + n.said)


def _total(n: ByClass) -> ByClass:
    return ByClass(*(each.sum(axis=1, keepdims=True) for each in n))


def second(rate: Callable[[ByClass], Floats]) -> Callable[[ByClass], Floats]:
    """A rate of the second class, (resamples,); undefined where it is 0/0."""
    return lambda n: rate(n)[:, 1]


def macro(rate: Callable[[ByClass], Floats]) -> Callable[[ByClass], Floats]:
    """The mean over classes that occur in truth or prediction, 0/0 counting as 0."""

    def found(n: ByClass) -> Floats:
        occurs = n.truth + n.said > 0
        return mean_of_known(np.where(occurs, np.nan_to_num(rate(n)), np.nan))

    return found


def micro(rate: Callable[[ByClass], Floats]) -> Callable[[ByClass], Floats]:
    """Over all cells as if they were one class; 0/0 counts as 0 where some class occurs at all."""

    def found(n: ByClass) -> Floats:
        total = _total(n)
        occurs = (total.truth + total.said > 0)[:, 0]
        return np.where(occurs, np.nan_to_num(rate(total)[:, 0]), np.nan)

    return found


def _weighted_f1(n: ByClass) -> Floats:
    return ratio((n.truth * np.nan_to_num(_f1(n))).sum(axis=1), n.truth.sum(axis=1))


def _macro_f1_of_two(n: ByClass) -> Floats:
    return mean_of_known(_f1(n))


def mcc(n: ByClass) -> Floats:
    """Matthews' correlation of truth and prediction for any number of classes (Gorodkin 2004).

    Undefined where all rows have one class, or are said to have one.
    """
    rows = n.truth.sum(axis=1)
    together = n.hits.sum(axis=1) * rows - (n.truth * n.said).sum(axis=1)
    spread = [
        np.where((each > 0).sum(axis=1) > 1, (each * (rows[:, None] - each)).sum(axis=1), 0.0)
        for each in (n.truth, n.said)
    ]
    return ratio(together, np.sqrt(spread[0]) * np.sqrt(spread[1]))


def _balanced_of_two(n: ByClass) -> Floats:
    return np.asarray(_recall(n).mean(axis=1))


def _balanced(n: ByClass) -> Floats:
    return mean_of_known(_recall(n))


Rate = Callable[[ByClass], Floats]

AVERAGES: Mapping[str, Rate] = MappingProxyType(
    {
        f"{average.__name__}_{name}": average(rate)
        for average in (micro, macro)
        for name, rate in (("precision", _precision), ("recall", _recall), ("f1", _f1))
    }
)
"""Over classes, by scikit-learn's rules; of one class a row and of any number."""

SECOND: Mapping[str, Rate] = MappingProxyType(
    {"precision": second(_precision), "recall": second(_recall), "f1": second(_f1)}
)
"""Of the second of two classes."""

OF_CLASSES: Mapping[str, Rate] = MappingProxyType(
    {**AVERAGES, "weighted_f1": _weighted_f1, "mcc": mcc, "balanced_accuracy": _balanced}
)
"""Of one class a row."""

OF_TWO: Mapping[str, Rate] = MappingProxyType(
    {
        **SECOND,
        "macro_f1": _macro_f1_of_two,
        "mcc": mcc,
        "balanced_accuracy": _balanced_of_two,
    }
)
"""Of yes or no."""
