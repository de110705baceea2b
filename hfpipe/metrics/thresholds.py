"""The decision threshold that an aim likes best, out of all that make a difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hfpipe.metrics.aims import TIE, aim_of, check_aim
from hfpipe.metrics.binary import (
    RATES,
    THRESHOLD,
    Counts,
    as_binary,
    count_at,
    known,
    threshold_metrics,
)
from hfpipe.metrics.ranking import counts_from_top
from hfpipe.metrics.scores import Floats, as_marks

__all__ = [
    "BestThreshold",
    "ThresholdCurve",
    "best_per_label",
    "best_threshold",
    "best_thresholds",
    "calculate_metrics_threshold",
    "check_aim",
    "threshold_curve",
]


@dataclass(frozen=True)
class BestThreshold:
    """The threshold that an aim likes best.

    Attributes:
        threshold: Halfway between the lowest score taken for 1 and the highest taken for 0, so
            that rounding changes no prediction; None where there is no choosing.
        value: The metric there: of ``precision_at_recall=0.9`` the precision, of ``cost=1:5`` the
            total cost.
        metric: The aim.
        reason: Why ``threshold`` is None.
    """

    threshold: float | None
    value: float | None
    metric: str
    reason: str | None = None

    @property
    def or_half(self) -> float:
        """The threshold; 0.5 where there is no choosing."""
        return THRESHOLD if self.threshold is None else self.threshold


@dataclass(frozen=True)
class ThresholdCurve:
    """What every threshold would give, by rising threshold.

    Attributes:
        threshold: (points,) from below the lowest score to above the highest.
        precision: (points,); NaN where no row is predicted 1.
        recall: (points,); NaN without a positive row.
        f1: (points,); NaN where neither is there.
        share: (points,) of the rows that are predicted 1.
    """

    threshold: Floats
    precision: Floats
    recall: Floats
    f1: Floats
    share: Floats


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
        metric: The aim; see :mod:`hfpipe.metrics.aims`.
        weights: (rows,) how much each counts.

    >>> best_threshold([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8])
    BestThreshold(threshold=0.25, value=0.8, metric='f1', reason=None)
    >>> best_threshold([0, 1, 0], [0.1, 0.4, 0.8], "recall_at_precision=0.9").reason
    'no threshold has precision 0.9: the highest is 0.5'

    Raises:
        UserError: No such aim; see :func:`binary_metrics`.
    """
    aim = aim_of(metric)
    labels, values, mass = as_binary(truth, scores, weights)
    for there, words in ((labels, "positive"), (~labels, "negative")):
        if not mass[there].sum():
            return BestThreshold(None, None, metric, f"no {words} row")
    cuts, counts = _all_cuts(labels, values, mass)
    merit = aim.merit(counts)
    if np.isnan(merit).all():
        return BestThreshold(None, None, metric, aim.unreached(counts))
    best = int(np.argmax(merit >= np.nanmax(merit) - TIE))
    found = known(aim.value(count_at(labels, values, mass, cuts[best])))
    return BestThreshold(float(cuts[best]), found, metric)


def best_per_label(
    truth: npt.ArrayLike, scores: npt.ArrayLike, labels: Sequence[str], aim: str = "f1"
) -> dict[str, BestThreshold]:
    """The best threshold of every label of a multi-label model, each for itself.

    Args:
        truth: (rows, labels) of 0 and 1.
        scores: (rows, labels) any finite numbers.
        labels: What the columns are called.
        aim: See :mod:`hfpipe.metrics.aims`.

    >>> found = best_per_label([[0, 0], [1, 0]], [[0.2, 0.1], [0.4, 0.3]], ["a", "b"])
    >>> round(found["a"].threshold, 12), found["b"].threshold, found["b"].reason
    (0.3, None, 'no positive row')

    Raises:
        UserError: No such aim, or truth of another shape than scores or labels.
    """
    marks, values = as_marks(truth, scores, len(labels))
    check_aim(aim)
    return {
        label: best_threshold(marks[:, at], values[:, at], aim) for at, label in enumerate(labels)
    }


def best_thresholds(
    truth: npt.ArrayLike, scores: npt.ArrayLike, labels: Sequence[str], aim: str = "f1"
) -> dict[str, float]:
    """The thresholds of :func:`best_per_label`; a label without a choice, which says why, has 0.5.

    >>> best_thresholds([[0, 0], [1, 0]], [[0.25, 0.1], [0.5, 0.3]], ["a", "b"])
    {'a': 0.375, 'b': 0.5}
    """
    found = best_per_label(truth, scores, labels, aim)
    return {label: best.or_half for label, best in found.items()}


def threshold_curve(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    points: int = 200,
    weights: npt.ArrayLike | None = None,
) -> ThresholdCurve:
    """What every threshold that makes a difference would give, thinned out for a plot.

    Half of the points are spread evenly over the rows, half over the scores: neither a flat nor a
    steep part of the curve loses its shape.

    >>> curve = threshold_curve([0, 1, 1], [0.2, 0.4, 0.8])
    >>> curve.threshold[:-1].round(2).tolist(), curve.recall.tolist()
    ([0.2, 0.3, 0.6], [1.0, 1.0, 0.5, 0.0])
    """
    labels, values, mass = as_binary(truth, scores, weights)
    if not len(values):
        none = np.empty(0)
        return ThresholdCurve(none, none, none, none, none)
    cuts, counts = _all_cuts(labels, values, mass)
    kept = _spread(cuts, points)
    counts = Counts(*(each[kept] for each in counts))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (counts.tp + counts.fp) / sum(counts)
    precision, recall, f1 = (RATES[name](counts) for name in ("precision", "recall", "f1"))
    return ThresholdCurve(cuts[kept], precision, recall, f1, share)


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
    above, tp, fp = counts_from_top(labels, values, mass)
    below = np.append(above[1:], above[-1])
    middle = below / 2 + above / 2
    cuts = np.append(np.nextafter(above[0], np.inf), np.where(middle > below, middle, above))
    return cuts, Counts(tp, fp, tp[-1] - tp, fp[-1] - fp)


def _spread(cuts: Floats, points: int) -> npt.NDArray[np.int64]:
    """Which of falling thresholds to show, the lowest first; both ends always."""
    if len(cuts) <= points:
        return np.arange(len(cuts))[::-1]
    by_rows = np.linspace(0, len(cuts) - 1, points - points // 2).round().astype(np.int64)
    steps = np.linspace(cuts[0], cuts[-1], points // 2)
    by_score = np.clip(np.searchsorted(-cuts, -steps), 0, len(cuts) - 1)
    return np.unique(np.concatenate([by_rows, by_score]))[::-1]
