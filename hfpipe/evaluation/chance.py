"""How likely it is that some rows are as bad as they are by chance alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from hfpipe.metrics.scores import Floats


def permutation_p(losses: Floats, counts: npt.ArrayLike, totals: npt.ArrayLike) -> Floats:
    """How likely so many rows, drawn from all without putting back, have as great a sum of losses.

    A one-sided permutation test: exact (hypergeometric) for losses that are 0 or 1, else by the
    first three moments of the permutation distribution, as a Pearson type III (Mielke and Berry
    2007, *Permutation Methods*, section 2.3).

    Args:
        losses: ``(rows,)``.
        counts: ``(slices,)``: rows of each slice.
        totals: ``(slices,)``: the sum of their losses.

    >>> permutation_p(np.array([1.0, 1.0, 0.0, 0.0]), [2], [2.0]).round(4).tolist()
    [0.1667]
    """
    n, total = np.asarray(counts, np.float64), np.asarray(totals, np.float64)
    size, mean, spread = len(losses), losses.mean(), losses.std()
    if np.isin(losses, (0, 1)).all():
        wrong = np.rint(total)
        return np.asarray(stats.hypergeom.sf(wrong - 1, size, int(losses.sum()), n))
    if spread <= np.finfo(float).eps * abs(mean) or size < 3:
        return np.ones(len(n))
    rest = np.maximum(size - n, np.finfo(float).tiny)
    skew = ((losses - mean) ** 3).mean() / spread**3
    skew = skew * (size - 2 * n) / (size - 2) * np.sqrt((size - 1) / (n * rest))
    height = (total / n - mean) / (spread * np.sqrt(rest / (n * (size - 1))))
    return np.where(n < size, stats.pearson3.sf(height, skew), 1.0)


def group_p(losses: Floats, rows: npt.NDArray[np.bool_], owners: npt.NDArray[np.int64]) -> float:
    """One-sided t-test of the same difference, with errors of one group allowed to go together.

    The variance is the sum over groups of their squared shares in the difference (Liang and Zeger
    1986); degrees of freedom are the groups with a row in the slice, less one.
    """
    inside, outside = losses[rows], losses[~rows]
    groups = len(np.unique(owners[rows]))
    if groups < 2:
        return 1.0
    shares = np.where(
        rows,
        (losses - inside.mean()) / len(inside),
        (outside.mean() - losses) / len(outside),
    )
    error = np.sqrt((np.bincount(owners, shares) ** 2).sum() * groups / (groups - 1))
    gap = inside.mean() - outside.mean()
    return float(stats.t.sf(gap / error, groups - 1)) if error > 0 else float(gap <= 0)
