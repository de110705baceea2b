"""Cross-validation of a calibrator: each row judged by a fit on others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from hfpipe.errors import UserError
from hfpipe.metrics.score_maps import Calibrator
from hfpipe.metrics.scores import Floats, Ints

FOLDS = 5


def owners_of(groups: Sequence[Any] | npt.ArrayLike | None, rows: int) -> Ints:
    """Whose each row is, as numbers from 0; without groups each row is its own.

    >>> owners_of(["b", "a", "b"], 3).tolist(), owners_of(None, 3).tolist()
    ([1, 0, 1], [0, 1, 2])

    Raises:
        UserError: There are not as many as rows.
    """
    if groups is None:
        return np.arange(rows)
    names = np.asarray(groups).astype(str)
    if names.shape != (rows,):
        raise UserError(f"groups have shape {names.shape} but there are {rows} rows of scores")
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def folds_of(truth: npt.ArrayLike, owners: npt.ArrayLike, seed: int = 0) -> Ints:
    """The fold of each row, 0 to 4: rows of one owner in one, classes and sizes alike in all.

    Owners in the order of their mean class, then of their size, are dealt out like cards.

    Args:
        truth: (rows,) class indices.
        owners: (rows,) whose each row is, from 0.
        seed: Decides between owners alike.

    >>> found = folds_of([0, 0, 0, 0, 0, 1, 1, 1, 1, 1], range(10))
    >>> sorted(found[:5].tolist()), sorted(found[5:].tolist())
    ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    """
    whose = np.asarray(owners, dtype=np.int64)
    sizes = np.bincount(whose)
    mean_class = np.bincount(whose, weights=np.asarray(truth, dtype=np.float64)) / sizes
    chance = np.random.default_rng(seed).permutation(len(sizes))
    dealt = np.empty(len(sizes), dtype=np.int64)
    dealt[np.lexsort((chance, -sizes, mean_class))] = np.arange(len(sizes)) % FOLDS
    return dealt[whose]


def held_out(
    fit: Callable[[Ints, Floats], Calibrator], truth: Ints, scores: Floats, folds: Ints
) -> Floats:
    """Scores of the same shape, each row's by a fit on the rows of the other folds.

    Args:
        fit: What is to be judged: a calibrator's ``fit``.
        truth: (rows,) class indices.
        scores: (rows,) or (rows, classes).
        folds: As :func:`folds_of` gives them.
    """
    found = np.empty_like(scores)
    for fold in np.unique(folds):
        held = folds == fold
        found[held] = fit(truth[~held], scores[~held]).apply(scores[held])
    return found


def mean_and_margin(differences: Floats, owners: Ints) -> tuple[float, float]:
    """The mean of rows' differences, and half the width of its 95 % interval by Student's t.

    Rows of one owner go together: the standard error is that of the owners' sums.

    >>> mean, margin = mean_and_margin(np.array([1.0, 2.0, 3.0]), np.arange(3))
    >>> mean, round(margin, 3)  # 4.303 standard errors of 1 / sqrt(3)
    (2.0, 2.484)
    """
    mean = float(differences.mean())
    sums = np.bincount(owners, weights=differences - mean)
    variance = float(np.square(sums).sum()) * len(sums) / (len(sums) - 1)
    return mean, float(stdtrit(len(sums) - 1, 0.975)) * variance**0.5 / len(differences)
