"""Metrics of rows that have any number of labels: pure functions over 0-1 matrices and scores.

``truth`` is (rows, classes) of 0 and 1, ``scores`` (rows, classes), the higher the likelier. A row
has a label iff its score is at least the threshold. Averages over classes ("macro") are over those
for which the metric is defined; where there is none, and where there are no rows, it is ``None``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sklearn_metrics

from hfpipe.errors import UserError
from hfpipe.metrics.binary import THRESHOLD, average_precision, roc_auc, threshold_metrics
from hfpipe.metrics.scores import Floats, Ints, as_scores

AVERAGED = ("micro", "macro")
RATES: dict[str, Callable[..., float]] = {
    "precision": sklearn_metrics.precision_score,
    "recall": sklearn_metrics.recall_score,
    "f1": sklearn_metrics.f1_score,
}
RANKINGS: dict[str, Callable[[npt.ArrayLike, npt.ArrayLike], float | None]] = {
    "macro_roc_auc": roc_auc,
    "macro_average_precision": average_precision,
}


def multi_label_metrics(
    truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: float = THRESHOLD
) -> dict[str, float | None]:
    """All metrics of a multi-label model under their standard flat names.

    Args:
        truth: (rows, classes) of 0 and 1.
        scores: (rows, classes) probabilities.
        threshold: A label is predicted from here on.

    Returns:
        ``accuracy`` (every label of the row right), ``hamming_loss`` (share of wrong cells),
        ``micro_*`` (over all cells) and ``macro_*`` (over classes that occur in truth or
        prediction) of precision, recall and F1, ``macro_roc_auc``, ``macro_average_precision``.

    >>> found = multi_label_metrics([[1, 0], [1, 1]], [[0.9, 0.6], [0.7, 0.8]])
    >>> found["accuracy"], found["hamming_loss"], round(found["micro_f1"], 4)
    (0.5, 0.25, 0.8571)

    Raises:
        UserError: Truth of another shape, or neither 0 nor 1.
        RunError: A score is not finite.
    """
    marks, values = _both(truth, scores)
    names = [f"{average}_{name}" for average in AVERAGED for name in RATES]
    if not len(values):
        return dict.fromkeys(["accuracy", "hamming_loss", *names, *RANKINGS])
    chosen = (values >= threshold).astype(np.int64)
    found: dict[str, float | None] = {
        "accuracy": float((marks == chosen).all(axis=1).mean()),
        "hamming_loss": float((marks != chosen).mean()),
    }
    occurs = marks.any(axis=0) | chosen.any(axis=0)
    for average in AVERAGED:
        for name, rate in RATES.items():
            given = {"average": average, "zero_division": 0}
            found[f"{average}_{name}"] = (
                float(rate(marks[:, occurs], chosen[:, occurs], **given)) if occurs.any() else None
            )
    for name, ranking in RANKINGS.items():
        each = [ranking(marks[:, at], values[:, at]) for at in range(values.shape[1])]
        known = [value for value in each if value is not None]
        found[name] = float(np.mean(known)) if known else None
    return found


def per_label(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    labels: Sequence[str],
    threshold: float = THRESHOLD,
) -> dict[str, dict[str, float | None]]:
    """Precision, recall, F1, support, ROC AUC and average precision of every label, in order.

    >>> per_label([[1], [0]], [[0.9], [0.6]], ["a"])["a"]["precision"]
    0.5
    """
    marks, values = _both(truth, scores)
    found: dict[str, dict[str, float | None]] = {}
    for at, label in enumerate(labels):
        rates = threshold_metrics(marks[:, at], values[:, at], threshold)
        found[label] = {name: rates[name] for name in RATES}
        found[label]["support"] = int(marks[:, at].sum())
        for name, ranking in RANKINGS.items():
            found[label][name.removeprefix("macro_")] = ranking(marks[:, at], values[:, at])
    return found


def _both(truth: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Ints, Floats]:
    values, marks = as_scores(scores), np.asarray(truth)
    if marks.shape != values.shape:
        raise UserError(f"truth {marks.shape} and scores {values.shape} must have one shape")
    broken = ~np.isin(marks, (0, 1)).all(axis=1)
    if broken.any():
        raise UserError(f"row {np.flatnonzero(broken)[0] + 1}: truth is neither 0 nor 1")
    return marks.astype(np.int64), values
