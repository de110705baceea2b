"""What the report shows of the rows of ``predictions.jsonl``: errors, curves, agreement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from hfpipe.metrics.calibration import reliability
from hfpipe.reports import plots, score_plots, words

ERRORS = 25
TEXT_CHARACTERS = 600
Row = Mapping[str, Any]
Record = Mapping[str, Any]


def errors_of(kind: str, rows: Sequence[Row], record: Record) -> dict[str, Any]:
    """The rows that are most wrong.

    Args:
        kind: The name of the task.
        rows: Those that have a label.
        record: The evaluation record.

    Returns:
        ``rows``: what to show of the first; ``wrong``: how many there are.
    """
    find = _WRONG[kind]
    found = [(weight, row) for row in rows if (weight := find(row, record)) is not None]
    found.sort(key=lambda pair: -pair[0])
    return {"rows": [_error(row) for _, row in found[:ERRORS]], "wrong": len(found)}


def _wrong_class(row: Row, record: Record) -> float | None:
    return None if row["top_1_correct"] else float(row["scores"][0])


def _wrong_side(row: Row, record: Record) -> float | None:
    if row["top_1_correct"]:
        return None
    return abs(float(row["score"]) - float(record.get("threshold") or 0.5))


def _wrong_labels(row: Row, record: Record) -> float | None:
    mistaken = set(row["truth"]) ^ set(row["prediction"])
    at = float(record.get("threshold") or 0.5)
    scores = dict(zip(row["labels"], row["scores"], strict=True))
    return max((abs(scores[name] - at) for name in mistaken), default=None)


def _distance(row: Row, record: Record) -> float | None:
    return abs(row["error"]) if row["error"] else None


_WRONG: Mapping[str, Callable[[Row, Record], float | None]] = {
    "classification": _wrong_class,
    "binary": _wrong_side,
    "multi_label": _wrong_labels,
    "regression": _distance,
}


def _error(row: Row) -> dict[str, Any]:
    scores = dict(zip(row.get("labels", ()), row.get("scores", ()), strict=True))
    return {
        "row_id": row["row_id"],
        "inputs": [
            (name, words.shortened(str(value), TEXT_CHARACTERS))
            for name, value in row["inputs"].items()
        ],
        "truth": _told(row["truth"]),
        "prediction": _told(row["prediction"]),
        "score": scores.get(row["prediction"]) if isinstance(row["prediction"], str) else None,
        "truth_score": scores.get(row["truth"]) if isinstance(row["truth"], str) else None,
        "error": row.get("error"),
    }


def _told(value: Any) -> str:
    """A label, a list of labels or a number for people.

    >>> _told(["a", "b"]), _told([]), _told(1234.5678)
    ('a, b', '(none)', '1,234.57')
    """
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "(none)"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4g}"
    return str(value)


def separation(rows: Sequence[Row], record: Record) -> list[Markup]:
    """ROC and precision-recall curves of a binary evaluation with rows of both classes."""
    truth, scores = _marks(rows, record)
    if len(set(truth)) < 2:
        return []
    threshold = record.get("threshold")
    return [
        score_plots.roc_plot(truth, scores, threshold),
        score_plots.precision_recall_plot(truth, scores, threshold),
    ]


def agreement(rows: Sequence[Row], record: Record) -> list[Markup]:
    """Predicted against true, and the errors, of a regression; in the scale that is learned."""
    logs = bool(rows) and "truth_log" in rows[0]
    ending = "_log" if logs else ""
    pairs = np.array([[row[f"truth{ending}"], row[f"prediction{ending}"]] for row in rows], float)
    pairs = pairs[np.isfinite(pairs).all(axis=1)] if len(rows) else pairs
    if not len(pairs):
        return []
    of = "log(1 + {})".format if logs else "{}".format
    names = (of("true").capitalize(), of("predicted").capitalize())
    error = "Error: predicted minus true" + (", log scale" if logs else "")
    return [
        score_plots.scatter_plot(pairs[:, 0], pairs[:, 1], names),
        score_plots.histogram_plot(pairs[:, 1] - pairs[:, 0], error),
    ]


def reliability_of(kind: str, rows: Sequence[Row], record: Record) -> Markup | None:
    """Of the predicted class; of a binary evaluation, of the positive one."""
    if not rows or kind not in ("classification", "binary"):
        return None
    if kind == "binary":
        truth, scores = _marks(rows, record)
        names = ("Probability of the positive class", "Share that is positive", "positive")
        return plots.reliability_plot(reliability(scores, truth), names)
    sure = [row["scores"][0] for row in rows]
    return plots.reliability_plot(reliability(sure, [bool(row["top_1_correct"]) for row in rows]))


def _marks(rows: Sequence[Row], record: Record) -> tuple[list[int], list[float]]:
    """Truth as 0 and 1, and the score of the positive class: the last of the record."""
    positive = list(record["per_class"])[-1]
    return [int(row["truth"] == positive) for row in rows], [row["score"] for row in rows]
