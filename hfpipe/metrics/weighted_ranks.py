"""Metrics of an order on many resamples at once: sorted once, then cumulative sums."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from hfpipe.metrics.resampling import Block
from hfpipe.metrics.scores import ROUNDING, Floats, Ints
from hfpipe.metrics.weighted_counts import Sums, ratio

MOST = 2**21
"""Sums at once, 16 MB of each kind: a block with more, of very many labels, is halved."""


class Ranked(NamedTuple):
    """How well the positive rows of each class stand before the others, (resamples, classes)."""

    roc_auc: Floats
    average_precision: Floats


class _Steps(NamedTuple):
    """The scores that positive rows have, class by class, the highest first.

    Attributes:
        sums: Sums over rows, (resamples, kinds x steps): of the negative rows between the step
            before and this one, of its positive rows, and, if there are any, of its negative rows.
        classes: Those that have a positive row.
        starts: Where the steps of each of these begin.
        size: How many steps there are.
    """

    sums: Sums
    classes: Ints
    starts: Ints
    size: int


class Rankings:
    """ROC AUC and average precision of each class against the others.

    The rows of a class are sorted once. Then all that a resample needs of them are a few sums for
    each score that a positive row has, which are one sparse product for all classes.

    >>> ranking = Rankings([[True], [False], [True], [False]], [[0.9], [0.1], [0.4], [0.4]])
    >>> block = Block(np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 2.0, 2.0]]))
    >>> ranking(block).roc_auc.round(4).tolist()
    [[0.875], [0.6667]]
    """

    def __init__(self, marks: npt.ArrayLike, scores: npt.ArrayLike) -> None:
        """Take (rows, classes) each."""
        self.marks = np.asarray(marks, dtype=bool)
        self.scores = np.asarray(scores, dtype=np.float64)

    @cached_property
    def steps(self) -> _Steps:
        """Sort, and say of every row which sum it belongs to."""
        classes = np.flatnonzero(self.marks.any(axis=0))
        found = [_steps(self.marks[:, at], self.scores[:, at]) for at in classes]
        ends = np.cumsum([count for *_, count in found])
        starts, count = ends - [count for *_, count in found], int(ends[-1])
        rows = np.concatenate([rows for rows, *_ in found])
        kinds = np.concatenate([kind for _, _, kind, _ in found])
        step = np.concatenate(
            [at + start for (_, at, *_), start in zip(found, starts, strict=True)]
        )
        cells = (np.ones(len(rows)), (kinds * count + step, rows))
        shape = (count * (int(kinds.max()) + 1), len(self.marks))
        return _Steps(Sums(sparse.csr_array(cells, shape=shape).T), classes, starts, count)

    def __call__(self, block: Block) -> Ranked:
        """Rank every resample."""
        areas = np.full((2, len(block.counts), self.marks.shape[1]), np.nan)
        if not self.marks.any():
            return Ranked(*areas)
        sums, classes, starts, count = self.steps
        if count * len(block.counts) > MOST and len(block.counts) > 1:
            halves = [self(Block(each)) for each in np.array_split(block.counts, 2)]
            return Ranked(*(np.concatenate(each) for each in zip(*halves, strict=True)))
        both = np.ascontiguousarray(sums(block))
        passed, hits, tied = (both[:, at * count :][:, :count] for at in range(3))
        if tied.size:
            passed += tied
        tp, fp = np.empty_like(hits), np.empty_like(hits)
        for start, end in pairwise([*starts, count]):
            np.cumsum(hits[:, start:end], axis=1, out=tp[:, start:end])
            np.cumsum(passed[:, start:end], axis=1, out=fp[:, start:end])
        positives = np.add.reduceat(hits, starts, axis=1)
        negatives = block.totals[:, None] - positives
        negatives[negatives < ROUNDING * block.totals[:, None]] = 0.0
        before = fp - tied / 2 if tied.size else fp
        wrong = np.add.reduceat(hits * before, starts, axis=1)
        tp /= np.maximum(tp + fp, np.finfo(np.float64).tiny)
        tp *= hits
        areas[0][:, classes] = 1 - ratio(wrong, positives * negatives)
        areas[1][:, classes] = ratio(np.add.reduceat(tp, starts, axis=1), positives)
        return Ranked(*areas)


def _steps(positive: npt.NDArray[np.bool_], scores: Floats) -> tuple[Ints, Ints, Ints, int]:
    """Rows, the step and the kind of sum (0, 1, 2) of each, and how many steps there are.

    Negative rows below the last positive one are left out: nothing is below them.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, hit = scores[order], positive[order]
    place = np.cumsum(np.append(True, ordered[1:] != ordered[:-1])) - 1
    here = np.bincount(place, weights=hit) > 0
    step: Ints = (np.cumsum(here) - here)[place]
    kind = np.where(hit, 1, np.where(here[place], 2, 0))
    count = int(here.sum())
    kept = step < count
    return order[kept], step[kept], kind[kept], count


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
        rows, columns = block.counts.shape
        below = np.zeros((rows, columns + 1))
        np.cumsum(np.take(block.counts, self.order, axis=1), axis=1, out=below[:, 1:])
        middle = np.take(below, self.first, axis=1)
        middle += np.take(below, self.after, axis=1)
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
        dot = "ij,ij->i"
        weighted = block.counts * one
        together, first = np.einsum(dot, weighted, two), np.einsum(dot, weighted, one)
        np.multiply(block.counts, two, out=weighted)
        last = np.einsum(dot, weighted, two)
        return np.clip(ratio(together, np.sqrt(first) * np.sqrt(last)), -1.0, 1.0)
