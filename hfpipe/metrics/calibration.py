"""How far a model's probabilities can be believed: log loss, Brier score, calibration error.

``truth`` holds class indices, ``probabilities`` is (rows, classes), ``weights`` says how much each
row counts. Without rows, or without weight, everything here is ``None``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.metrics.scores import (
    EPSILON,
    Floats,
    Ints,
    as_probabilities,
    as_truth,
    as_weights,
    predicted_classes,
)

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram in numbers, one entry a bin of confidence.

    Attributes:
        edges: Bin borders, one more than bins; a bin holds (lower, upper].
        counts: Rows in the bin; where rows are weighed, their weight.
        confidence: Mean confidence of its rows; NaN where it is empty.
        accuracy: Share of them that are right; NaN where it is empty.
    """

    edges: Floats
    counts: npt.NDArray[Any]
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """Mean gap between confidence and accuracy, every row counting the same."""
        filled = self.counts > 0
        gaps = np.abs(self.confidence[filled] - self.accuracy[filled])
        return float((self.counts[filled] * gaps).sum() / self.counts.sum())


def reliability(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    bins: int = BINS,
    weights: npt.ArrayLike | None = None,
) -> Reliability:
    """Bin rows by confidence (equal widths) and compare it with how often they are right.

    Args:
        confidence: Probability of the predicted class, one a row.
        correct: Whether that prediction is right, one a row.
        bins: Number of bins between 0 and 1.
        weights: How much each row counts.

    >>> diagram = reliability([0.9, 0.9, 0.6], [True, False, True], bins=2)
    >>> diagram.counts.tolist(), diagram.accuracy[1].round(3)
    ([0, 3], np.float64(0.667))
    """
    sure = np.clip(np.asarray(confidence, dtype=np.float64), 0.0, 1.0)
    right = np.asarray(correct, dtype=np.float64)
    mass = as_weights(weights, len(sure))
    index = _bin_of(sure, bins)
    counts = np.bincount(index, weights=mass, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(index, weights=sure * mass, minlength=bins) / counts
        accuracy = np.bincount(index, weights=right * mass, minlength=bins) / counts
    shown = counts.astype(np.int64) if weights is None else counts
    return Reliability(_edges(bins), shown, mean_confidence, accuracy)


def column_errors(
    probabilities: Floats,
    right: npt.NDArray[Any],
    bins: int = BINS,
    mass: Floats | None = None,
) -> Floats:
    """Calibration error of each column for itself: of the yes-or-no question that it answers.

    Args:
        probabilities: (rows, columns) of yes, at least one row.
        right: (rows, columns) whether yes is true.
        bins: Number of bins between 0 and 1.
        mass: (rows,) weights; None: the same.

    Returns:
        (columns,) the gap between mean probability and share of yes, over bins by their rows.

    >>> column_errors(np.array([[0.8, 0.1], [0.8, 0.5]]), np.array([[1, 0], [1, 1]])).round(6)
    array([0.2, 0.3])
    """
    columns = probabilities.shape[1]
    gaps = probabilities - right
    total = float(len(gaps))
    if mass is not None:
        gaps, total = gaps * mass[:, None], float(mass.sum())
    cells = _bin_of(probabilities, bins) + bins * np.arange(columns)
    # |bin| * |mean probability - share of yes| is the sum of both over the bin's rows.
    sums = np.bincount(cells.ravel(), weights=gaps.ravel(), minlength=bins * columns)
    errors: Floats = np.abs(sums).reshape(columns, bins).sum(axis=1) / total
    return errors


def beliefs(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> dict[str, float | None]:
    """All measures of :data:`BELIEFS`.

    >>> found = beliefs([0, 0], [[0.8, 0.2], [0.8, 0.2]])
    >>> {name: round(value, 6) for name, value in found.items()}
    {'log_loss': 0.223144, 'brier': 0.04, 'ece': 0.2, 'classwise_ece': 0.2}
    """
    given = _checked(truth, probabilities, weights)
    return {name: each(*given) if given[2].sum() else None for name, each in BELIEFS.items()}


def ece(
    truth: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    bins: int = BINS,
    weights: npt.ArrayLike | None = None,
) -> float | None:
    """Expected calibration error of the predicted class (Guo et al. 2017), equal-width bins.

    >>> round(ece([0, 0], [[0.8, 0.2], [0.8, 0.2]]), 12)
    0.2
    """
    labels, scores, mass = _checked(truth, probabilities, weights)
    return _ece(labels, scores, mass, bins) if mass.sum() else None


def classwise_ece(
    truth: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    bins: int = BINS,
    weights: npt.ArrayLike | None = None,
) -> float | None:
    """Calibration error of every class's probability, averaged over classes (Kull et al. 2019).

    Classes without rows count too: what they are given is an error.

    >>> round(classwise_ece([0, 1], [[0.8, 0.2, 0.0], [0.4, 0.5, 0.1]]), 6)
    0.233333
    """
    labels, scores, mass = _checked(truth, probabilities, weights)
    return _classwise_ece(labels, scores, mass, bins) if mass.sum() else None


def log_loss(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float | None:
    """Mean negative logarithm of the probability given to the true class.

    A probability of 0 counts as float64's epsilon, as in scikit-learn: one impossible row
    costs 36, not infinity.

    >>> round(log_loss([0, 1], [[0.5, 0.5], [0.25, 0.75]]), 4)
    0.4904
    """
    labels, scores, mass = _checked(truth, probabilities, weights)
    return _log_loss(labels, scores, mass) if mass.sum() else None


def brier(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float | None:
    """Mean squared distance between the probabilities and the truth.

    Two classes: the usual score of the second class, 0 to 1. More: summed over the classes,
    0 to 2. The same convention as scikit-learn's ``brier_score_loss``.

    >>> round(brier([1, 0], [[0.2, 0.8], [0.6, 0.4]]), 4)
    0.1
    >>> round(brier([0], [[0.5, 0.25, 0.25]]), 4)
    0.375
    """
    labels, scores, mass = _checked(truth, probabilities, weights)
    return _brier(labels, scores, mass) if mass.sum() else None


def _checked(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[Ints, Floats, Floats]:
    scores = as_probabilities(probabilities)
    return as_truth(truth, *scores.shape), scores, as_weights(weights, len(scores))


def _ece(labels: Ints, scores: Floats, mass: Floats, bins: int = BINS) -> float:
    best = predicted_classes(scores)
    sure = scores[np.arange(len(labels)), best][:, None]
    return float(column_errors(sure, (best == labels)[:, None], bins, mass)[0])


def _classwise_ece(labels: Ints, scores: Floats, mass: Floats, bins: int = BINS) -> float:
    right = labels[:, None] == np.arange(scores.shape[1])
    return float(column_errors(scores, right, bins, mass).mean())


def _log_loss(labels: Ints, scores: Floats, mass: Floats) -> float:
    own = scores[np.arange(len(labels)), labels]
    return float(np.average(-np.log(np.clip(own, EPSILON, 1.0)), weights=mass))


def _brier(labels: Ints, scores: Floats, mass: Floats) -> float:
    own = scores[np.arange(len(labels)), labels]
    squares = np.square(scores).sum(axis=1) - np.square(own) + np.square(1 - own)
    total = float(np.average(squares, weights=mass))
    return total / 2 if scores.shape[1] == 2 else total


def _edges(bins: int) -> Floats:
    return np.linspace(0.0, 1.0, bins + 1)


def _bin_of(probabilities: Floats, bins: int) -> Ints:
    """The bin of each: the one whose lower border it is above, and whose upper one it is not."""
    found: Ints = np.searchsorted(_edges(bins)[1:-1], probabilities, side="left")
    return found


BELIEFS: Mapping[str, Callable[[Ints, Floats, Floats], float]] = MappingProxyType(
    {"log_loss": _log_loss, "brier": _brier, "ece": _ece, "classwise_ece": _classwise_ece}
)
"""What is asked of probabilities, all better when lower."""
