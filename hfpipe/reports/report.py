"""``report.html``: one evaluation on one page, to be read from top to bottom.

The page is self-contained: styles and plots are in it, it has no script, and its own security
policy forbids it to load anything. Everything that comes from rows, labels or repos is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from hfpipe.files import write_text
from hfpipe.metrics.calibration import Reliability, reliability
from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.reports import plots, words
from hfpipe.reports.curves import curve_plots
from hfpipe.reports.rendering import render_page
from hfpipe.reports.verdict import standing, verdict

MATRIX_CLASSES = 60
ERRORS = 25
CONFUSIONS = 12
TEXT_CHARACTERS = 600
NO_WINNER = ("ece",)
"""Always giving the class frequencies is well calibrated and says nothing: no mark for it."""
Row = Mapping[str, Any]


class Record(Protocol):
    """An :class:`hfpipe.evaluation.record.EvaluationRecord`, or whatever looks like one."""

    def to_dict(self) -> dict[str, Any]:
        """Its keys and values as in ``metrics.json``."""


def write_report(
    path: str | Path,
    record: Record | Mapping[str, Any],
    predictions: Iterable[Row],
    *,
    confusion: npt.ArrayLike | None = None,
    labels: Sequence[str] | None = None,
    curves: Sequence[Mapping[str, Any]] | None = None,
    provenance: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> Path:
    """Write the page, whole or not at all.

    Args:
        path: Where the page will be.
        record: The evaluation record, or its dict.
        predictions: Rows of ``predictions.jsonl``.
        confusion: Counts of true by predicted class; by default counted from ``predictions``.
        labels: The model's labels, in order; by default those of the record.
        curves: The Trainer's ``log_history``, for learning curves.
        provenance: From :func:`hfpipe.hub.provenance.provenance`.
        title: The page's heading; by default the model's name.

    Returns:
        The path.
    """
    found = dict(record) if isinstance(record, Mapping) else record.to_dict()
    page = render_report(found, list(predictions), confusion, labels, curves, provenance, title)
    return write_text(path, page)


def render_report(
    record: Mapping[str, Any],
    rows: Sequence[Row],
    confusion: npt.ArrayLike | None = None,
    labels: Sequence[str] | None = None,
    curves: Sequence[Mapping[str, Any]] | None = None,
    provenance: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> str:
    """Give the page as text; the arguments are those of :func:`write_report`."""
    names = list(labels or record["per_class"])
    scored = [row for row in rows if row["truth"] is not None]
    counts = _counted(scored, names) if confusion is None else np.asarray(confusion, dtype=np.int64)
    wrong = sorted(
        (row for row in scored if not row["top_1_correct"]), key=lambda r: -r["scores"][0]
    )
    return render_page(
        "report.html.jinja",
        title=title or f"Evaluation of {record['model']}",
        record=record,
        verdict=verdict(record),
        standing=standing(record),
        table=_metrics_table(record),
        top_k=_top_k_plot(record),
        matrix=_matrix(counts, names),
        confusions=_largest_confusions(counts, names),
        classes=len(names),
        per_class=_classes_by_support(record),
        reliability=_reliability(scored),
        curves=curve_plots(curves or []),
        errors=[_error(row) for row in wrong[:ERRORS]],
        wrong=len(wrong),
        provenance=provenance or {},
    )


def _columns(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The model, then its baselines, the most demanding first."""
    baselines = (record.get("baselines") or {}).items()
    ranked = sorted(baselines, key=lambda item: -(item[1].get("accuracy") or 0.0))
    return {"This model": record["metrics"]} | {words.title(n): values for n, values in ranked}


def _metrics_table(record: Mapping[str, Any]) -> dict[str, Any]:
    """Columns (model, baselines) and one row a metric, the best of each marked."""
    columns = _columns(record)
    rows = []
    for name in words.metric_order(record["metrics"]):
        values = [column.get(name) for column in columns.values()]
        known = [value for value in values if value is not None]
        way = DIRECTIONS.get(name)
        best = None
        if len(known) > 1 and way and name not in NO_WINNER:
            best = max(known) if way == "higher" else min(known)
        rows.append(
            {
                "name": words.title(name),
                "way": way,
                "interval": (record.get("intervals") or {}).get(name),
                "cells": [(value, value is not None and value == best) for value in values],
            }
        )
    return {"columns": list(columns), "rows": rows}


def _top_k_plot(record: Mapping[str, Any]) -> Markup | None:
    columns = _columns(record)
    groups = {
        f"Top-{k}": {name: values.get(f"top_{k}_accuracy") for name, values in columns.items()}
        for k in (1, 2, 3)
        if record["metrics"].get(f"top_{k}_accuracy") is not None
    }
    return plots.bars_plot(groups) if groups else None


def _counted(rows: Iterable[Row], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    index = {label: position for position, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for row in rows:
        if row["truth"] in index:
            counts[index[row["truth"]], index[row["prediction"]]] += 1
    return counts


def _matrix(counts: npt.NDArray[np.int64], labels: Sequence[str]) -> Markup | None:
    if not counts.sum() or len(labels) > MATRIX_CLASSES:
        return None
    return plots.confusion_plot(counts, labels)


def _largest_confusions(
    counts: npt.NDArray[np.int64], labels: Sequence[str]
) -> list[dict[str, Any]]:
    off = counts.copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[:CONFUSIONS]
    pairs = [divmod(int(place), len(labels)) for place in order]
    return [
        {
            "truth": labels[row],
            "prediction": labels[column],
            "rows": int(off[row, column]),
            "share": off[row, column] / counts[row].sum(),
        }
        for row, column in pairs
        if off[row, column]
    ]


def _classes_by_support(record: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted(record["per_class"].items(), key=lambda item: -item[1]["support"])


def _reliability(rows: Sequence[Row]) -> Markup | None:
    if not rows:
        return None
    diagram: Reliability = reliability(
        [row["scores"][0] for row in rows], [bool(row["top_1_correct"]) for row in rows]
    )
    return plots.reliability_plot(diagram)


def _error(row: Row) -> dict[str, Any]:
    place = row["labels"].index(row["truth"]) if row["truth"] in row["labels"] else None
    return {
        "row_id": row["row_id"],
        "inputs": [
            (name, words.shortened(str(value), TEXT_CHARACTERS))
            for name, value in row["inputs"].items()
        ],
        "truth": row["truth"],
        "prediction": row["prediction"],
        "score": row["scores"][0],
        "truth_score": None if place is None else row["scores"][place],
    }
