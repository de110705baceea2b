"""Reliability diagrams: how far the model's confidence can be believed, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from hfpipe.metrics.calibration import reliability
from hfpipe.reports import plots
from hfpipe.reports.rows import marks

Row = Mapping[str, Any]
Record = Mapping[str, Any]
POSITIVE = ("Probability of the positive class", "Share that is positive", "positive")
PREDICTED = ("Confidence of the prediction", "Share that is right", "right")


def reliability_plots(kind: str, rows: Sequence[Row], record: Record) -> list[tuple[str, Markup]]:
    """A caption and a diagram each: before calibration, where there was one, and after it.

    Args:
        kind: The name of the task; several labels and numbers have no such diagram.
        rows: Those that have a label.
        record: The evaluation record.
    """
    if not rows or kind not in ("classification", "binary"):
        return []
    right, scores = _judged(kind, rows, record)
    names = POSITIVE if kind == "binary" else PREDICTED
    raw = [float(each) for row in rows if (each := row.get("uncalibrated")) is not None]
    if len(raw) < len(rows):
        return [("", plots.reliability_plot(reliability(scores, right), names))]
    before = plots.reliability_plot(
        reliability(raw, right), names, "uncalibrated", "Reliability before calibration"
    )
    after = plots.reliability_plot(
        reliability(scores, right), names, title="Reliability after calibration"
    )
    return [("Before calibration", before), ("After calibration", after)]


def _judged(kind: str, rows: Sequence[Row], record: Record) -> tuple[list[int], list[float]]:
    """What came true of each row, and how probable the model held it."""
    if kind == "binary":
        return marks(rows, record)
    return [int(bool(row["top_1_correct"])) for row in rows], [row["scores"][0] for row in rows]
