"""Reliability diagrams: how far the model's confidence can be believed, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from hfpipe.metrics.calibration import reliability
from hfpipe.reports import plots
from hfpipe.reports.one_vs_rest import one_vs_rest
from hfpipe.reports.rows import marks

Row = Mapping[str, Any]
Record = Mapping[str, Any]
POSITIVE = ("Probability of the positive class", "Share that is positive", "positive")
POOLED = ("Probability of a label", "Share of pairs that are true", "true")
PREDICTED = ("Confidence of the prediction", "Share that is right", "right")


def reliability_plots(
    kind: str, rows: Sequence[Row], record: Record, labels: Sequence[str] = ()
) -> list[tuple[str, Markup]]:
    """A caption and a diagram each: before calibration, where there was one, and after it.

    Args:
        kind: The name of the task; numbers have no such diagram.
        rows: Those that have a label.
        record: The evaluation record.
        labels: The model's, of which a row may have several.
    """
    if rows and kind == "multi_label":
        return [_pooled(rows, labels)]
    no_probability = "ece" in (record.get("undefined") or {})
    if not rows or no_probability or kind not in ("classification", "binary"):
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


def _pooled(rows: Sequence[Row], labels: Sequence[str]) -> tuple[str, Markup]:
    """All labels in one diagram; of before calibration, rows tell one label's probability alone."""
    pairs = one_vs_rest(rows, labels)
    diagram = reliability(pairs.scores.ravel(), pairs.truth.ravel())
    calibrated = any(row.get("uncalibrated") is not None for row in rows)
    name = "After calibration" if calibrated else ""
    return name, plots.reliability_plot(diagram, POOLED, unit="pair")


def _judged(kind: str, rows: Sequence[Row], record: Record) -> tuple[list[int], list[float]]:
    """What came true of each row, and how probable the model held it."""
    if kind == "binary":
        return marks(rows, record)
    return [int(bool(row["top_1_correct"])) for row in rows], [row["scores"][0] for row in rows]
