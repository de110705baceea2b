"""The decision threshold that a metric likes best, out of all that make a difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError, nearest
from hfpipe.metrics.binary import (
    RATES,
    THRESHOLD,
    Counts,
    as_binary,
    count_at,
    known,
    threshold_metrics,
)
from hfpipe.metrics.scores import Floats

TIE = 1e-12
"""Two thresholds whose metric differs by less are equally good: only rounding tells them apart."""


@dataclass(frozen=True)
class BestThreshold:
    """The threshold that a metric likes best.

    Attributes:
        threshold: Halfway between the lowest score taken for 1 and the highest taken for 0, so
            that rounding changes no prediction; None where there is no choosing.
        value: The metric there.
        metric: Its name.
        reason: Why ``threshold`` is None.
    """

    threshold: float | None
    value: float | None
    metric: str
    reason: str | None = None


def best_threshold(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    metric: str = "f1",
    weights: npt.ArrayLike | None = None,
) -> BestThreshold:
    """Find the best of all thresholds that make a difference, in one pass over sorted scores.

    Of equally good ones the highest is taken: the one that calls the fewest rows 1.

    Args:
        truth: (rows,) 0 or 1.
        scores: (rows,) any finite numbers.
        metric: A name of :data:`RATES`.
        weights: (rows,) how much each counts.

    >>> best_threshold([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8])
    BestThreshold(threshold=0.25, value=0.8, metric='f1', reason=None)

    Raises:
        UserError: No such metric; see :func:`binary_metrics`.
    """
    if metric not in RATES:
        raise UserError(f"no threshold metric '{metric}'{nearest(metric, RATES)}")
    labels, values, mass = as_binary(truth, scores, weights)
    for there, words in ((labels, "positive"), (~labels, "negative")):
        if not mass[there].sum():
            return BestThreshold(None, None, metric, f"no {words} row")
    cuts, counts = _all_cuts(labels, values, mass)
    curve = RATES[metric](counts)
    best = int(np.flatnonzero(curve >= np.nanmax(curve) - TIE)[0])
    found = known(RATES[metric](count_at(labels, values, mass, cuts[best])))
    return BestThreshold(float(cuts[best]), found, metric)


def calculate_metrics_threshold(
    truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: float | None = None
) -> dict[str, float | None]:
    """Metrics at a threshold, or at the one with the best F1; the sequence package's own name.

    Returns:
        The names of :func:`threshold_metrics` and ``threshold``.

    >>> found = calculate_metrics_threshold([1, 1, 0], [0.4, 0.3, 0.1])
    >>> found["f1"], found["threshold"]
    (1.0, 0.2)
    """
    chosen = best_threshold(truth, scores).threshold if threshold is None else threshold
    at = THRESHOLD if chosen is None else chosen
    return threshold_metrics(truth, scores, at) | {"threshold": chosen}


def _all_cuts(labels: npt.NDArray[np.bool_], values: Floats, mass: Floats) -> tuple[Floats, Counts]:
    """Every threshold that splits the rows in another way, from none positive to all."""
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    tp = np.append(0.0, np.cumsum(np.where(labels, mass, 0.0)[order])[last])
    fp = np.append(0.0, np.cumsum(np.where(labels, 0.0, mass)[order])[last])
    above = ordered[last]
    below = ordered[np.minimum(last + 1, len(ordered) - 1)]
    middle = below / 2 + above / 2
    cuts = np.append(np.nextafter(above[0], np.inf), np.where(middle > below, middle, above))
    return cuts, Counts(tp, fp, tp[-1] - tp, fp[-1] - fp)
