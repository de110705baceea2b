"""Metrics that are means over rows, or over bins of rows, on many resamples at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from hfpipe.metrics.calibration import BINS
from hfpipe.metrics.resampling import Block
from hfpipe.metrics.scores import EPSILON, ROUNDING, Floats
from hfpipe.metrics.weighted_counts import Sums, ratio


class Mean:
    """Weighted mean of one number a row.

    A resample with a number that is not finite has no mean; one without rows neither.

    >>> mean = Mean([1.0, 4.0, np.inf])
    >>> mean(Block(np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))).tolist()
    [2.0, nan]
    """

    def __init__(self, values: npt.ArrayLike) -> None:
        """Take (rows,) numbers."""
        found = np.asarray(values, dtype=np.float64)
        fine = np.isfinite(found)
        self.values = np.where(fine, found, 0.0)
        self.broken = None if fine.all() else (~fine).astype(np.float64)

    def __call__(self, block: Block) -> Floats:
        """Average."""
        with np.errstate(over="ignore"):
            means = ratio(block.counts @ self.values, block.totals)
        bad = ~np.isfinite(means)
        if self.broken is not None:
            bad |= block.counts @ self.broken > 0
        return np.where(bad, np.nan, means)


class CalibrationError:
    """Mean gap between confidence and accuracy in bins of equal width (Guo et al. 2017).

    In a bin the gap of the means times its rows is the absolute sum of ``right - confidence``, so
    that one signed sum a bin is all there is to know of a resample.

    >>> block = Block(np.array([[1.0, 1.0, 2.0]]))
    >>> CalibrationError([[0.9], [0.9], [0.6]], [[True], [False], [True]])(block).round(3).tolist()
    [0.4]
    """

    def __init__(self, confidence: npt.ArrayLike, right: npt.ArrayLike, bins: int = BINS) -> None:
        """Take (rows, kinds), each kind with bins of its own; the error is their mean."""
        sure = np.clip(np.asarray(confidence, dtype=np.float64), 0.0, 1.0)
        rows, self.kinds = sure.shape
        edges = np.linspace(0.0, 1.0, bins + 1)
        place = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
        gaps = np.asarray(right, dtype=np.float64) - sure
        columns = place + np.arange(self.kinds) * bins
        starts = np.arange(rows + 1) * self.kinds
        cells = (gaps.ravel(), columns.ravel(), starts)
        self.sums = Sums(sparse.csr_array(cells, shape=(rows, self.kinds * bins)))

    def __call__(self, block: Block) -> Floats:
        """Sum and average."""
        return ratio(np.abs(self.sums(block)).sum(axis=1), block.totals * self.kinds)


def surprises(given: Floats) -> Floats:
    """Negative logarithms of the probabilities that were given to what is true.

    >>> surprises(np.array([0.5, 0.25])).round(4).tolist()
    [0.6931, 1.3863]
    """
    return np.asarray(-np.log(np.clip(given, EPSILON, 1.0)))


def row_briers(truth: npt.NDArray[np.int64], probabilities: Floats) -> Floats:
    """(rows,) squared distances of probabilities and truth; of two classes half of it.

    >>> row_briers(np.array([1]), np.array([[0.2, 0.8]])).round(4).tolist()
    [0.04]
    """
    classes = probabilities.shape[1]
    total = np.square(probabilities - np.eye(classes)[truth]).sum(axis=1)
    return np.asarray(total / 2 if classes == 2 else total)


class RSquared:
    """Share of the targets' weighted variance that predictions explain.

    >>> RSquared([1, 2, 3], [1, 2, 4])(Block(np.ones((1, 3)))).tolist()
    [0.5]
    """

    def __init__(self, truth: npt.ArrayLike, guess: npt.ArrayLike) -> None:
        """Take (rows,) each."""
        target = np.asarray(truth, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            self.error = Mean((target - np.asarray(guess, dtype=np.float64)) ** 2)
        # One that is not finite is in the error too, which is undefined where it is drawn.
        self.truth = np.where(np.isfinite(target), target, 0.0)
        self.mean = Mean(self.truth)

    def __call__(self, block: Block) -> Floats:
        """Two passes: the variance around each resample's own mean, which cancels nothing."""
        means = self.mean(block)
        with np.errstate(over="ignore", invalid="ignore"):
            around = self.truth - means[:, None]
            np.square(around, out=around)
            spread = ratio(np.einsum("ij,ij->i", block.counts, around), block.totals)
            # The mean of equal targets may be off by its rounding, so they are asked themselves.
            for at in np.flatnonzero(~(spread > ROUNDING * means**2)):
                drawn = self.truth[block.counts[at] > 0]
                spread[at] = spread[at] if drawn.size and drawn.min() < drawn.max() else 0.0
            found = 1 - ratio(self.error(block), spread)
        return np.where(np.isfinite(found), found, np.nan)
