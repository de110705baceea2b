"""How well scores put positive rows above negative ones: curves over all thresholds, areas."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.metrics.scores import Floats


def counts_from_top(
    labels: npt.NDArray[np.bool_], values: Floats, mass: Floats
) -> tuple[Floats, Floats, Floats]:
    """Count the rows above every threshold that makes a difference, from the highest down.

    Args:
        labels: (rows,), whether a row is positive.
        values: (rows,) scores.
        mass: (rows,) weights.

    Returns:
        The scores that occur, falling; and, one entry longer, which starts with 0, the weight of
        positive and of negative rows down to each.

    >>> yes = np.array([True, False, True])
    >>> [each.tolist() for each in counts_from_top(yes, np.array([0.9, 0.4, 0.4]), np.ones(3))]
    [[0.9, 0.4], [0.0, 1.0, 2.0], [0.0, 0.0, 1.0]]
    """
    order = np.argsort(values)[::-1]  # not the stable one, which takes three times as long
    ordered, positive, weight = values[order], labels[order], mass[order]
    ends = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=ends[:-1])
    last = np.flatnonzero(ends)
    tp, fp = np.zeros((2, len(last) + 1))
    tp[1:] = np.cumsum(weight * positive)[last]
    fp[1:] = np.cumsum(weight * ~positive)[last]
    return ordered[last], tp, fp


def area_under_roc(tp: Floats, fp: Floats) -> float | None:
    """Area under recall over false positive rate, of what :func:`counts_from_top` gives.

    >>> area_under_roc(np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0]))
    0.75
    """
    wins = (fp[1:] - fp[:-1]) @ (tp[1:] + tp[:-1]) / 2
    return _part(wins, tp[-1] * fp[-1])


def mean_precision(tp: Floats, fp: Floats) -> float | None:
    """Precision averaged over positive rows, of what :func:`counts_from_top` gives.

    >>> mean_precision(np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.0, 2.0]))
    0.75
    """
    found = np.flatnonzero(tp[1:] > tp[:-1])
    above = tp[found + 1]
    return _part((above - tp[found]) @ (above / (above + fp[found + 1])), tp[-1])


def _part(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole > 0 else None
