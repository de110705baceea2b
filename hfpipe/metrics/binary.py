"""Metrics of a yes-or-no classifier: pure functions over true classes, scores and a threshold.

``truth`` holds 0 and 1, ``scores`` a number a row, the higher the likelier 1. A row is predicted 1
iff its score is at least the threshold. ``weights`` says how much each row counts. What is not
defined is ``None``, never a made-up number; :func:`undefined` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hfpipe.errors import RunError, UserError
from hfpipe.metrics.ranking import area_under_roc, counts_from_top, mean_precision
from hfpipe.metrics.scores import EPSILON, Floats, as_weights

THRESHOLD = 0.5


class Counts(NamedTuple):
    """Weighted rows by truth and prediction; numbers, or arrays of one entry a threshold."""

    tp: Floats
    fp: Floats
    fn: Floats
    tn: Floats


def _ratio(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def _f1(n: Counts) -> Floats:
    return _ratio(2 * n.tp, 2 * n.tp + n.fp + n.fn)


def _macro_f1(n: Counts) -> Floats:
    pair = np.stack([_f1(n), _f1(Counts(n.tn, n.fn, n.fp, n.tp))])
    known = ~np.isnan(pair)
    return _ratio(np.where(known, pair, 0.0).sum(axis=0), known.sum(axis=0))


def _mcc(n: Counts) -> Floats:
    sides = np.sqrt((n.tp + n.fp) * (n.tp + n.fn)) * np.sqrt((n.tn + n.fp) * (n.tn + n.fn))
    return _ratio(n.tp * n.tn - n.fp * n.fn, sides)


RATES: Mapping[str, Callable[[Counts], Floats]] = MappingProxyType(
    {
        "accuracy": lambda n: _ratio(n.tp + n.tn, n.tp + n.fp + n.fn + n.tn),
        "precision": lambda n: _ratio(n.tp, n.tp + n.fp),
        "recall": lambda n: _ratio(n.tp, n.tp + n.fn),
        "f1": _f1,
        "macro_f1": _macro_f1,
        "balanced_accuracy": lambda n: (_ratio(n.tp, n.tp + n.fn) + _ratio(n.tn, n.tn + n.fp)) / 2,
        "mcc": _mcc,
    }
)
"""The metrics at a threshold, all better when higher; NaN where they are 0/0."""


def threshold_metrics(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: float = THRESHOLD,
    weights: npt.ArrayLike | None = None,
) -> dict[str, float | None]:
    """Every metric of :data:`RATES` at one threshold.

    >>> found = threshold_metrics([1, 1, 0, 0], [0.9, 0.4, 0.6, 0.1], threshold=0.35)
    >>> found["precision"], found["recall"], found["f1"], found["accuracy"]
    (0.6666666666666666, 1.0, 0.8, 0.75)
    """
    counts = count_at(*as_binary(truth, scores, weights), threshold)
    return {name: known(rate(counts)) for name, rate in RATES.items()}


def roc_auc(
    truth: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float | None:
    """Chance that a positive row scores above a negative one, a tie counting half.

    >>> roc_auc([1, 0, 1, 0], [0.9, 0.1, 0.4, 0.4]), roc_auc([1, 1], [0.2, 0.3])
    (0.875, None)
    """
    _, tp, fp = counts_from_top(*as_binary(truth, scores, weights))
    return area_under_roc(tp, fp)


def average_precision(
    truth: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float | None:
    """Precision averaged over the positive rows, each at its own score as threshold.

    >>> round(average_precision([1, 0, 1], [0.9, 0.8, 0.7]), 4), average_precision([0], [0.5])
    (0.8333, None)
    """
    _, tp, fp = counts_from_top(*as_binary(truth, scores, weights))
    return mean_precision(tp, fp)


def binary_log_loss(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float | None:
    """Mean negative logarithm of the true class's probability, 0 counting as float64's epsilon.

    >>> round(binary_log_loss([1, 0], [0.5, 0.25]), 4)
    0.4904
    """
    return _log_loss(*as_binary(truth, probabilities, weights))


def binary_brier(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float | None:
    """Mean squared distance between the probability of 1 and the truth, 0 to 1.

    >>> round(binary_brier([1, 0], [0.8, 0.4]), 4)
    0.1
    """
    return _brier(*as_binary(truth, probabilities, weights))


RANKINGS = {
    "roc_auc": roc_auc,
    "average_precision": average_precision,
    "log_loss": binary_log_loss,
    "brier": binary_brier,
}


def binary_metrics(
    truth: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    threshold: float = THRESHOLD,
    weights: npt.ArrayLike | None = None,
) -> dict[str, float | None]:
    """All metrics of a yes-or-no classifier under their standard flat names.

    Args:
        truth: (rows,) 0 or 1.
        probabilities: (rows,) probability of 1.
        threshold: A row is predicted 1 from here on.
        weights: (rows,) how much each counts, at least 0; None: the same.

    >>> found = binary_metrics([1, 0, 0], [0.9, 0.2, 0.6])
    >>> found["f1"], found["roc_auc"], round(found["brier"], 4)
    (0.6666666666666666, 1.0, 0.1367)

    Raises:
        UserError: Truth that is neither 0 nor 1, or of another length; a weight below 0.
        RunError: A score that is no probability.
    """
    labels, values, mass = as_binary(truth, probabilities, weights)
    counts = count_at(labels, values, mass, threshold)
    _, tp, fp = counts_from_top(labels, values, mass)
    return {name: known(rate(counts)) for name, rate in RATES.items()} | {
        "roc_auc": area_under_roc(tp, fp),
        "average_precision": mean_precision(tp, fp),
        "log_loss": _log_loss(labels, values, mass),
        "brier": _brier(labels, values, mass),
    }


def undefined(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: float = THRESHOLD,
    weights: npt.ArrayLike | None = None,
) -> dict[str, str]:
    """Why each metric that is ``None`` for these rows is so.

    >>> undefined([0, 0], [0.1, 0.2])["roc_auc"]
    'no positive row'
    """
    n = count_at(*as_binary(truth, scores, weights), threshold)
    lacks = {
        "positive row": not n.tp + n.fn,
        "negative row": not n.tn + n.fp,
        "row predicted positive": not n.tp + n.fp,
        "row predicted negative": not n.tn + n.fn,
    }
    if not sum(n):
        return dict.fromkeys([*RATES, *RANKINGS], "no rows")
    found = {name: [need for need in needs if lacks[need]] for name, needs in NEEDS.items()}
    if found["f1"] != NEEDS["f1"]:
        del found["f1"]
    return {name: "no " + " and no ".join(needs) for name, needs in found.items() if needs}


NEEDS: Mapping[str, list[str]] = MappingProxyType(
    {
        "precision": ["row predicted positive"],
        "recall": ["positive row"],
        "f1": ["positive row", "row predicted positive"],  # one of the two is enough
        "balanced_accuracy": ["positive row", "negative row"],
        "mcc": [
            "positive row",
            "negative row",
            "row predicted positive",
            "row predicted negative",
        ],
        "roc_auc": ["positive row", "negative row"],
        "average_precision": ["positive row"],
    }
)
"""What must be there for a metric to be defined, where there are rows at all."""


def count_at(
    labels: npt.NDArray[np.bool_], values: Floats, mass: Floats, threshold: float
) -> Counts:
    """Weighted rows by truth and prediction at a threshold; takes what :func:`as_binary` gives."""
    yes = values >= threshold
    cells = (labels & yes, ~labels & yes, labels & ~yes, ~labels & ~yes)
    return Counts(*(np.asarray(mass[cell].sum()) for cell in cells))


def known(value: Floats) -> float | None:
    """A rate as a plain number; None where it is 0/0."""
    return None if np.isnan(value) else float(value)


def as_binary(
    truth: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
    """Truth as booleans, scores and weights as float64, all (rows,) and checked.

    Raises:
        UserError: Truth or weights are not what they must be.
        RunError: A score is NaN or infinite.
    """
    values = np.asarray(scores, dtype=np.float64)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    labels = np.asarray(truth)
    if values.ndim != 1 or labels.shape != values.shape:
        raise UserError(
            f"truth {labels.shape}, scores {values.shape}: they must hold one number a row"
        )
    mass = as_weights(weights, len(values))
    broken = np.flatnonzero((labels != 0) & (labels != 1))
    if broken.size:
        raise UserError(f"row {broken[0] + 1}: truth is neither 0 nor 1")
    if not np.isfinite(values).all():
        row = np.flatnonzero(~np.isfinite(values))[0] + 1
        raise RunError(f"row {row}: the model's score is not finite; it diverged in training")
    return labels.astype(bool), values, mass


def check_probabilities(values: Floats) -> None:
    """Refuse scores that are no probabilities of a label each.

    Raises:
        RunError: One is below 0 or above 1.
    """
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise RunError("scores are not probabilities (0 to 1); apply a sigmoid")


def _log_loss(labels: npt.NDArray[np.bool_], values: Floats, mass: Floats) -> float | None:
    check_probabilities(values)
    sure = np.clip(np.where(labels, values, 1 - values), EPSILON, 1.0)
    return float(np.average(-np.log(sure), weights=mass)) if mass.sum() else None


def _brier(labels: npt.NDArray[np.bool_], values: Floats, mass: Floats) -> float | None:
    check_probabilities(values)
    return float(np.average((values - labels) ** 2, weights=mass)) if mass.sum() else None
