"""How far a model's probabilities can be believed: log loss, Brier score, calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sklearn_metrics

from hfpipe.metrics.scores import Floats, Ints, as_probabilities, as_truth, predicted_classes

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram in numbers, one entry a bin of confidence.

    Attributes:
        edges: Bin borders, one more than bins; a bin holds (lower, upper].
        counts: Rows in the bin.
        confidence: Mean confidence of its rows; NaN where it is empty.
        accuracy: Share of them that are right; NaN where it is empty.
    """

    edges: Floats
    counts: Ints
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """Mean gap between confidence and accuracy, every row counting the same."""
        filled = self.counts > 0
        gaps = np.abs(self.confidence[filled] - self.accuracy[filled])
        return float((self.counts[filled] * gaps).sum() / self.counts.sum())


def reliability(confidence: npt.ArrayLike, correct: npt.ArrayLike, bins: int = BINS) -> Reliability:
    """Bin rows by confidence (equal widths) and compare it with how often they are right.

    Args:
        confidence: Probability of the predicted class, one a row.
        correct: Whether that prediction is right, one a row.
        bins: Number of bins between 0 and 1.

    >>> diagram = reliability([0.9, 0.9, 0.6], [True, False, True], bins=2)
    >>> diagram.counts.tolist(), diagram.accuracy[1].round(3)
    ([0, 3], np.float64(0.667))
    """
    sure = np.clip(np.asarray(confidence, dtype=np.float64), 0.0, 1.0)
    right = np.asarray(correct, dtype=np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)
    index = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(index, weights=sure, minlength=bins) / counts
        accuracy = np.bincount(index, weights=right, minlength=bins) / counts
    return Reliability(edges, counts.astype(np.int64), mean_confidence, accuracy)


def ece(truth: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error of the predicted class (Guo et al. 2017), equal-width bins.

    >>> round(ece([0, 0], [[0.8, 0.2], [0.8, 0.2]]), 12)
    0.2
    """
    scores = as_probabilities(probabilities)
    labels = as_truth(truth, *scores.shape)
    correct = predicted_classes(probabilities) == labels
    return reliability(scores.max(axis=1), correct, bins).error


def log_loss(truth: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Mean negative logarithm of the probability given to the true class.

    A probability of 0 counts as float64's epsilon, as in scikit-learn: one impossible row
    costs 36, not infinity.

    >>> round(log_loss([0, 1], [[0.5, 0.5], [0.25, 0.75]]), 4)
    0.4904
    """
    scores = as_probabilities(probabilities)
    labels = as_truth(truth, *scores.shape)
    if scores.shape[1] == 1:
        return 0.0
    classes = np.arange(scores.shape[1])
    return float(sklearn_metrics.log_loss(labels, scores, labels=classes))


def brier(truth: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Mean squared distance between the probabilities and the truth.

    Two classes: the usual score of the second class, 0 to 1. More: summed over the classes,
    0 to 2. The same convention as scikit-learn's ``brier_score_loss``.

    >>> round(brier([1, 0], [[0.2, 0.8], [0.6, 0.4]]), 4)
    0.1
    >>> round(brier([0], [[0.5, 0.25, 0.25]]), 4)
    0.375
    """
    scores = as_probabilities(probabilities)
    labels = as_truth(truth, *scores.shape)
    target = np.eye(scores.shape[1])[labels]
    total = float(np.square(scores - target).sum(axis=1).mean())
    return total / 2 if scores.shape[1] == 2 else total
