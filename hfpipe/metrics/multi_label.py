"""Metrics of rows that have any number of labels: pure functions over 0-1 matrices and scores.

``truth`` is (rows, labels) of 0 and 1, ``scores`` (rows, labels) probabilities. A row has a label
iff its score is at least the label's threshold. Averages over labels ("macro") are over those for
which the metric is defined; where there is none, and where there are no rows, it is ``None``, and
:func:`undefined` says why. ``log_loss``, ``brier`` and ``ece`` are the mean over labels of what
they are for a yes-or-no classifier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError, nearest
from hfpipe.metrics.binary import (
    THRESHOLD,
    average_precision,
    check_probabilities,
    roc_auc,
    threshold_metrics,
)
from hfpipe.metrics.calibration import column_errors
from hfpipe.metrics.ranking import area_under_roc, counts_from_top, mean_precision
from hfpipe.metrics.scores import EPSILON, Floats, Ints, as_marks, as_scores

AVERAGED = ("micro", "macro")
RATES = ("precision", "recall", "f1")
RANKINGS: Mapping[str, Callable[[npt.ArrayLike, npt.ArrayLike], float | None]] = {
    "macro_roc_auc": roc_auc,
    "macro_average_precision": average_precision,
}
BELIEFS = ("log_loss", "brier", "ece")


def multi_label_metrics(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: float | Mapping[str, float] | npt.ArrayLike = THRESHOLD,
    labels: Sequence[str] | None = None,
) -> dict[str, float | None]:
    """All metrics of a multi-label model under their standard flat names.

    Args:
        truth: (rows, labels) of 0 and 1.
        scores: (rows, labels) probabilities.
        threshold: A label is predicted from here on: one number, (labels,) numbers, or label to
            number.
        labels: What the columns are called, where ``threshold`` names them.

    Returns:
        ``accuracy`` (every label of the row right), ``hamming_loss`` (share of wrong cells),
        ``micro_*`` (over all cells) and ``macro_*`` (over labels that occur in truth or
        prediction) of precision, recall and F1, ``macro_roc_auc``, ``macro_average_precision``,
        ``log_loss``, ``brier`` and ``ece``.

    >>> found = multi_label_metrics([[1, 0], [1, 1]], [[0.9, 0.6], [0.7, 0.8]])
    >>> found["accuracy"], found["hamming_loss"], round(found["micro_f1"], 4)
    (0.5, 0.25, 0.8571)

    Raises:
        UserError: Truth of another shape, or neither 0 nor 1; a threshold that is not there.
        RunError: A score is no probability.
    """
    marks, values = as_marks(truth, scores, as_scores(scores).shape[1])
    names = [f"{average}_{name}" for average in AVERAGED for name in RATES]
    if not len(values):
        return dict.fromkeys(["accuracy", "hamming_loss", *names, *RANKINGS, *BELIEFS])
    yes, chosen = marks.astype(bool), values >= levels(threshold, values.shape[1], labels)
    right = yes == chosen
    found: dict[str, float | None] = {
        "accuracy": float(right.all(axis=1).mean()),
        "hamming_loss": float(1 - right.mean()),
    }
    each = (yes & chosen).sum(axis=0), chosen.sum(axis=0), yes.sum(axis=0)
    for average in AVERAGED:
        parts = [part.sum(keepdims=True) for part in each] if average == "micro" else each
        rates = _averages(*parts)
        found |= {f"{average}_{name}": rates[name] for name in RATES}
    return found | _rankings(yes, values) | _beliefs(yes, values)


def undefined(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: float | Mapping[str, float] | npt.ArrayLike = THRESHOLD,
    labels: Sequence[str] | None = None,
) -> dict[str, str]:
    """Why each metric that is ``None`` for these rows is so.

    >>> undefined([[0], [0]], [[0.2], [0.7]])["macro_roc_auc"]
    'no label has both positive and negative rows'
    """
    found = multi_label_metrics(truth, scores, threshold, labels)
    if not len(as_scores(scores)):
        return dict.fromkeys(found, "no rows")
    reasons = {
        "macro_roc_auc": "no label has both positive and negative rows",
        "macro_average_precision": "no label has a positive row",
    }
    occurs = "no label occurs in truth or predictions"
    return {name: reasons.get(name, occurs) for name, value in found.items() if value is None}


def per_label(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    labels: Sequence[str],
    threshold: float | Mapping[str, float] | npt.ArrayLike = THRESHOLD,
) -> dict[str, dict[str, float | None]]:
    """Precision, recall, F1, support, ROC AUC and average precision of every label, in order.

    >>> per_label([[1], [0]], [[0.9], [0.6]], ["a"])["a"]["precision"]
    0.5
    """
    marks, values = as_marks(truth, scores, len(labels))
    at = np.broadcast_to(levels(threshold, len(labels), labels), len(labels)).tolist()
    found: dict[str, dict[str, float | None]] = {}
    for column, label in enumerate(labels):
        rates = threshold_metrics(marks[:, column], values[:, column], at[column])
        found[label] = {name: rates[name] for name in RATES}
        found[label]["support"] = int(marks[:, column].sum())
        for name, ranking in RANKINGS.items():
            found[label][name.removeprefix("macro_")] = ranking(marks[:, column], values[:, column])
    return found


def levels(
    threshold: float | Mapping[str, float] | npt.ArrayLike,
    columns: int,
    labels: Sequence[str] | None = None,
) -> Floats:
    """Thresholds in the order of the labels: one number, or (columns,).

    >>> levels({"b": 0.2, "a": 0.1}, 2, ["a", "b"]).tolist(), levels(0.5, 2).tolist()
    ([0.1, 0.2], 0.5)

    Raises:
        UserError: There is not one for each label, or one of a label that there is not.
    """
    if not isinstance(threshold, Mapping):
        found = np.asarray(threshold, dtype=np.float64)
        if found.shape not in ((), (columns,)):
            raise UserError(f"{found.size} thresholds for {columns} labels: give one for each")
        return found
    if labels is None:
        raise UserError("thresholds by label need the labels of the columns")
    for name in threshold:
        if name not in labels:
            raise UserError(f"threshold of '{name}': no such label{nearest(name, labels)}")
    for label in labels:
        if label not in threshold:
            raise UserError(f"label '{label}' has no threshold; the others have")
    return np.array([threshold[label] for label in labels], dtype=np.float64)


def _averages(hits: Ints, chosen: Ints, support: Ints) -> dict[str, float | None]:
    """Mean rates over the labels that occur; 0/0 counts as 0 there, as in scikit-learn."""
    wholes = {"precision": chosen, "recall": support, "f1": (chosen + support) / 2}
    occurs = chosen + support > 0
    if not occurs.any():
        return dict.fromkeys(wholes)
    return {
        name: float((hits[occurs] / np.where(whole > 0, whole, 1)[occurs]).mean())
        for name, whole in wholes.items()
    }


def _rankings(yes: npt.NDArray[np.bool_], values: Floats) -> dict[str, float | None]:
    weight = np.ones(len(values))
    curves = [counts_from_top(yes[:, at], values[:, at], weight)[1:] for at in range(yes.shape[1])]
    areas = [[each(*curve) for curve in curves] for each in (area_under_roc, mean_precision)]
    return {name: _mean(each) for name, each in zip(RANKINGS, areas, strict=True)}


def _beliefs(yes: npt.NDArray[np.bool_], values: Floats) -> dict[str, float | None]:
    check_probabilities(values)
    surprise = -np.log(np.clip(np.where(yes, values, 1 - values), EPSILON, 1.0))
    return {
        "log_loss": float(surprise.mean()),
        "brier": float(np.square(values - yes).mean()),
        "ece": float(column_errors(values, yes).mean()),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None
