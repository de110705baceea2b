"""Metrics of an order on many resamples at once: sorted once, then cumulative sums."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hfpipe.metrics.resampling import Block
from hfpipe.metrics.scores import Floats, Ints
from hfpipe.metrics.weighted_counts import ratio


class Ranked(NamedTuple):
    """How well the positive rows stand before the others, each (resamples,)."""

    roc_auc: Floats
    average_precision: Floats


class Ranking:
    """ROC AUC and average precision of scores.

    Rows are sorted once, best first; those of one score are a step. Of every step with a positive
    row a resample needs its weight of positives and the weights of all rows above it and up to it,
    which are two cumulative sums.

    >>> ranking = Ranking([True, False, True, False], [0.9, 0.1, 0.4, 0.4])
    >>> ranking(Block(np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 2.0, 2.0]]))).roc_auc.tolist()
    [0.875, 0.6666666666666667]
    """

    def __init__(self, positive: npt.ArrayLike, scores: npt.ArrayLike) -> None:
        """Take (rows,) each."""
        self.positive = np.asarray(positive, dtype=bool)
        self.negative = (~self.positive).astype(np.float64)
        self.scores = np.asarray(scores, dtype=np.float64)

    @cached_property
    def order(self) -> Ints:
        """Rows, best first."""
        return np.argsort(-self.scores, kind="stable")

    @cached_property
    def steps(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Of sorted rows: the positive ones, where a step begins among them, and in which rows."""
        ordered, positive = self.scores[self.order], self.positive[self.order]
        begins = np.append(True, ordered[1:] != ordered[:-1])
        step = np.cumsum(begins) - 1
        first = np.flatnonzero(begins)
        after = np.append(first[1:], len(ordered))
        places = np.flatnonzero(positive)
        fresh = np.append(True, step[places][1:] != step[places][:-1])[: len(places)]
        used = step[places][fresh]
        return places, np.flatnonzero(fresh), first[used], after[used]

    def __call__(self, block: Block) -> Ranked:
        """Rank every resample."""
        none = np.full(len(block.counts), np.nan)
        if not self.positive.any():
            return Ranked(none, none)
        places, fresh, first, after = self.steps
        mass = _columns(block.counts, self.order)
        above = _sums_before(mass)
        hits = _columns(mass, places)
        if len(fresh) < len(places):
            hits = np.add.reduceat(hits, fresh, axis=1)
        found = np.cumsum(hits, axis=1)
        positives = found[:, -1].copy()
        # Summed and not a difference of sums, which need not be 0 where there is nothing.
        negatives = block.counts @ self.negative
        through = _columns(above, after)
        wrong = through + _columns(above, first)
        wrong -= 2 * found
        wrong += hits
        wrong *= hits
        auc = 1 - ratio(wrong.sum(axis=1) / 2, positives * negatives)
        np.maximum(through, np.finfo(np.float64).tiny, out=through)
        found /= through
        found *= hits
        return Ranked(auc, ratio(found.sum(axis=1), positives))


class Ranks:
    """Mean ranks of weighted values less the mean of all ranks, (resamples, rows).

    A row of weight ``w`` stands for ``w`` equal ones, so that the rank of a value is the weight
    below it and half of its own.

    >>> Ranks([10, 30, 20, 20])(Block(np.ones((1, 4)))).tolist()
    [[-1.5, 1.5, 0.0, 0.0]]
    """

    def __init__(self, values: npt.ArrayLike) -> None:
        """Take (rows,) numbers."""
        found = np.asarray(values, dtype=np.float64)
        self.order = np.argsort(found, kind="stable")
        ordered = found[self.order]
        begins = np.append(True, ordered[1:] != ordered[:-1])
        step = np.empty(len(found), dtype=np.int64)
        step[self.order] = np.cumsum(begins) - 1
        first = np.flatnonzero(begins)
        after = np.append(first[1:], len(found))
        self.first, self.after = first[step], after[step]

    def __call__(self, block: Block) -> Floats:
        """Rank every resample."""
        below = _sums_before(_columns(block.counts, self.order))
        middle = _columns(below, self.first)
        middle += _columns(below, self.after)
        middle -= below[:, -1:]
        middle /= 2
        return middle


class Spearman:
    """Correlation of ranks (Spearman 1904) of weighted rows.

    >>> Spearman([1, 2, 3, 4], [10, 20, 40, 30])(Block(np.ones((1, 4)))).round(12).tolist()
    [0.8]
    """

    def __init__(self, truth: npt.ArrayLike, guess: npt.ArrayLike) -> None:
        """Take (rows,) each."""
        self.ranks = Ranks(truth), Ranks(guess)

    def __call__(self, block: Block) -> Floats:
        """Correlate; NaN where all drawn values of one side are equal."""
        one, two = (each(block) for each in self.ranks)
        weighted = block.counts * one
        together = np.einsum("ij,ij->i", weighted, two)
        first = np.einsum("ij,ij->i", weighted, one)
        last = np.einsum("ij,ij,ij->i", block.counts, two, two)
        return np.clip(ratio(together, np.sqrt(first) * np.sqrt(last)), -1.0, 1.0)


def _columns(values: Floats, at: Ints) -> Floats:
    """Columns of a matrix; "clip" because checking the bounds takes as long as the work."""
    return np.take(values, at, axis=1, mode="clip")


def _sums_before(values: Floats) -> Floats:
    """(resamples, columns + 1) sums of the columns before each, and of all."""
    rows, columns = values.shape
    found = np.empty((rows, columns + 1))
    found[:, 0] = 0.0
    np.cumsum(values, axis=1, out=found[:, 1:])
    return found
