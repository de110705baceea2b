"""``report.html``: one evaluation on one page, to be read from top to bottom.

The page is self-contained: styles, plots and pictures are in it, it has no script, and its own
security policy forbids it to load anything. Everything that comes from rows, labels or repos is
escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from hfpipe.files import write_text
from hfpipe.reports import plots
from hfpipe.reports.curves import curve_plots
from hfpipe.reports.decisions import calibration_table, calibration_words, threshold_words
from hfpipe.reports.kinds import kind_of
from hfpipe.reports.rendering import render_page
from hfpipe.reports.rows import agreement, errors_of
from hfpipe.reports.separation import separation
from hfpipe.reports.slices import FEW, leak_of, slice_tables, worst_slices
from hfpipe.reports.tables import (
    classes_table,
    columns_of,
    counted,
    largest_confusions,
    metrics_table,
)
from hfpipe.reports.trust import reliability_plots
from hfpipe.reports.uncertainty import confidence_words, method_words, undefined_notes
from hfpipe.reports.verdict import standing, verdict

MATRIX_CLASSES = 60
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
    stages: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
    title: str | None = None,
    pictures: Mapping[str, bytes] | None = None,
) -> Path:
    """Write the page, whole or not at all.

    Args:
        path: Where the page will be.
        record: The evaluation record, or its dict; one of an older version will do.
        predictions: Rows of ``predictions.jsonl``.
        confusion: Counts of true by predicted class; by default counted from ``predictions``.
        labels: The model's labels, in order; by default those of the record.
        curves: The Trainer's ``log_history``, for learning curves.
        stages: Names of the stages that ``curves`` numbers.
        provenance: From :func:`hfpipe.hub.provenance.provenance`.
        title: The page's heading; by default the model's name.
        pictures: Row id to a small PNG or JPEG of what the model saw, as
            :func:`hfpipe.evaluation.pictures.thumbnails` gives them; those of the rows that
            :func:`hfpipe.reports.rows.error_ids` names are shown.

    Returns:
        The path.
    """
    found = dict(record) if isinstance(record, Mapping) else record.to_dict()
    page = render_report(
        found, list(predictions), confusion, labels, curves, provenance, title, stages, pictures
    )
    return write_text(path, page)


def render_report(
    record: Mapping[str, Any],
    rows: Sequence[Row],
    confusion: npt.ArrayLike | None = None,
    labels: Sequence[str] | None = None,
    curves: Sequence[Mapping[str, Any]] | None = None,
    provenance: Mapping[str, Any] | None = None,
    title: str | None = None,
    stages: Sequence[str] = (),
    pictures: Mapping[str, bytes] | None = None,
) -> str:
    """Give the page as text; the arguments are those of :func:`write_report`."""
    names = list(labels or record["per_class"])
    kind = kind_of(record["metrics"]).name
    scored = [row for row in rows if row["truth"] is not None]
    return render_page(
        "report.html.jinja",
        title=title or f"Evaluation of {record['model']}",
        kind=kind,
        record=record,
        verdict=verdict(record),
        standing=standing(record),
        table=metrics_table(record),
        level=confidence_words(record),
        method=method_words(record),
        undefined=undefined_notes(record),
        **_confusion(kind, scored, names, confusion),
        classes=len(names),
        top_k=_top_k_plot(record),
        separation=separation(kind, scored, record, names),
        threshold=threshold_words(record),
        agreement=agreement(scored, record) if kind == "regression" else [],
        reliability=reliability_plots(kind, scored, record, names),
        calibration=calibration_words(record) if kind != "regression" else [],
        calibrated=calibration_table(record),
        per_class=classes_table(record),
        leak=leak_of(record),
        worst=worst_slices(record),
        slices=slice_tables(record),
        few=FEW,
        curves=curve_plots(curves or [], stages),
        errors=errors_of(kind, scored, record, pictures),
        provenance=provenance or {},
    )


def _confusion(
    kind: str, rows: Sequence[Row], labels: Sequence[str], given: npt.ArrayLike | None
) -> dict[str, Any]:
    """The matrix as a drawing, where it is not too large, and its largest mistakes."""
    if kind not in ("classification", "binary"):
        return {"matrix": None, "confusions": []}
    counts = counted(rows, labels) if given is None else np.asarray(given, np.int64)
    drawn = bool(counts.sum()) and len(labels) <= MATRIX_CLASSES
    matrix = plots.confusion_plot(counts, labels) if drawn else None
    return {"matrix": matrix, "confusions": largest_confusions(counts, labels)}


def _top_k_plot(record: Mapping[str, Any]) -> Markup | None:
    columns = columns_of(record)
    groups = {
        f"Top-{k}": {name: values.get(f"top_{k}_accuracy") for name, values in columns.items()}
        for k in (1, 2, 3)
        if record["metrics"].get(f"top_{k}_accuracy") is not None
    }
    return plots.bars_plot(groups) if groups else None
