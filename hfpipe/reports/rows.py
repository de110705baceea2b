"""What the report shows of the rows of ``predictions.jsonl``: errors, agreement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from hfpipe.reports import score_plots, words
from hfpipe.reports.decisions import threshold_at
from hfpipe.reports.embedding import embedded
from hfpipe.reports.kinds import kind_of

ERRORS = 25
TEXT_CHARACTERS = 600
Row = Mapping[str, Any]
Record = Mapping[str, Any]


def error_ids(record: Record, rows: Iterable[Row]) -> list[str]:
    """The ids of the rows that the report shows as errors, the worst first.

    Args:
        record: The evaluation record.
        rows: Rows of ``predictions.jsonl``.
    """
    kind = kind_of(record["metrics"]).name
    scored = [row for row in rows if row["truth"] is not None]
    return [str(row["row_id"]) for row in _worst(kind, scored, record)[:ERRORS]]


def errors_of(
    kind: str, rows: Sequence[Row], record: Record, pictures: Mapping[str, bytes] | None = None
) -> dict[str, Any]:
    """The rows that are most wrong.

    Args:
        kind: The name of the task.
        rows: Those that have a label.
        record: The evaluation record.
        pictures: Row id to the small picture to show of it.

    Returns:
        ``rows``: what to show of the first; ``wrong``: how many there are; ``left_out``: how many
        pictures there was no room for.
    """
    found = _worst(kind, rows, record)
    shown = [str(row["row_id"]) for row in found[:ERRORS]]
    images, left_out = embedded(pictures or {}, shown)
    errors = [{**_error(row), "picture": images.get(str(row["row_id"]))} for row in found[:ERRORS]]
    return {"rows": errors, "wrong": len(found), "left_out": left_out}


def _worst(kind: str, rows: Sequence[Row], record: Record) -> list[Row]:
    find = _WRONG[kind]
    found = [(weight, row) for row in rows if (weight := find(row, record)) is not None]
    found.sort(key=lambda pair: -pair[0])
    return [row for _, row in found]


def _wrong_class(row: Row, record: Record) -> float | None:
    return None if row["top_1_correct"] else float(row["scores"][0])


def _wrong_side(row: Row, record: Record) -> float | None:
    if row["top_1_correct"]:
        return None
    return abs(float(row["score"]) - threshold_at(record))


def _wrong_labels(row: Row, record: Record) -> float | None:
    mistaken = set(row["truth"]) ^ set(row["prediction"])
    scores = dict(zip(row["labels"], row["scores"], strict=True))
    return max((abs(scores[name] - threshold_at(record, name)) for name in mistaken), default=None)


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


def marks(rows: Sequence[Row], record: Record) -> tuple[list[int], list[float]]:
    """Of a binary evaluation: truth as 0 and 1, scores of the positive class: the record's last."""
    positive = list(record["per_class"])[-1]
    return [int(row["truth"] == positive) for row in rows], [row["score"] for row in rows]
