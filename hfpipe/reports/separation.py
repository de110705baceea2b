"""How well classes are told apart: ROC, precision and recall, and what other thresholds do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from hfpipe.metrics.thresholds import best_threshold, threshold_curve
from hfpipe.reports import score_plots
from hfpipe.reports.class_plots import PRECISION_RECALL, ROC, class_plot
from hfpipe.reports.decisions import threshold_at
from hfpipe.reports.one_vs_rest import OneVsRest, one_vs_rest, told_apart
from hfpipe.reports.rows import marks
from hfpipe.reports.threshold_plot import MICRO, threshold_plot
from hfpipe.reports.words import number

Row = Mapping[str, Any]
Record = Mapping[str, Any]
MOST = 8
"""More lines in one plot cannot be told apart."""
AXES = {
    "classification": (
        ("Share of all other rows taken for the class", "Share of the class's rows found"),
        ("Recall: share of the class's rows found", "Precision"),
    ),
    "multi_label": (
        ("Share of rows without the label given it", "Share of rows with the label found"),
        ("Recall: share of rows with the label found", "Precision"),
    ),
}


@dataclass(frozen=True)
class Separation:
    """A section of the page.

    Attributes:
        plots: None where there is nothing to tell apart.
        shown: Which classes are drawn, in words.
        common: What one threshold for all labels would do, in words.
    """

    plots: list[Markup] = field(default_factory=list)
    shown: str = ""
    common: str = ""


def separation(kind: str, rows: Sequence[Row], record: Record, labels: Sequence[str]) -> Separation:
    """The curves of a classification of any kind, for classes that some rows have and others lack.

    Args:
        kind: The name of the task.
        rows: Those that have a label.
        record: The evaluation record.
        labels: The model's.
    """
    if kind == "binary":
        return Separation(_binary(rows, record))
    there = told_apart(rows, labels) if kind in AXES else []
    if not there:
        return Separation()
    several = kind == "multi_label"
    drawn = there[:MOST]
    pairs = one_vs_rest(rows, labels if several else drawn)
    found = pairs.only(drawn)
    across, up = AXES[kind]
    plots = [
        class_plot(ROC, found, record["per_class"], across),
        class_plot(PRECISION_RECALL, found, record["per_class"], up),
    ]
    shown = shown_words(len(there), len(labels), "label" if several else "class")
    if not several:
        return Separation(plots, shown)
    return Separation([*plots, _pooled(pairs, record)], shown, _common_words(pairs, record))


def shown_words(there: int, of: int, noun: str) -> str:
    """Which classes are drawn, and why not all of them.

    >>> shown_words(26, 26, "class"), shown_words(2, 3, "label")
    ('Shown are the 8 classes with most rows, of 26.',
     'Shown are 2 of 3 labels: the others have no row, or every row.')
    """
    many = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    if there > MOST:
        return f"Shown are the {MOST} {many} with most rows, of {of:,}."
    if there < of:
        return f"Shown are {there} of {of:,} {many}: the others have no row, or every row."
    return f"Shown are all {of} {many}, the one with most rows first."


def _binary(rows: Sequence[Row], record: Record) -> list[Markup]:
    truth, scores = marks(rows, record)
    if len(set(truth)) < 2:
        return []
    threshold = threshold_at(record)
    return [
        score_plots.roc_plot(truth, scores, threshold),
        score_plots.precision_recall_plot(truth, scores, threshold),
        threshold_plot(threshold_curve(truth, scores), threshold),
    ]


def _pooled(pairs: OneVsRest, record: Record) -> Markup:
    """Micro averages are those of all pairs of row and label as one yes-or-no question."""
    curve = threshold_curve(pairs.truth.ravel(), pairs.scores.ravel())
    return threshold_plot(curve, _common(pairs, record), MICRO, "of pairs called true")


def _common(pairs: OneVsRest, record: Record) -> float | None:
    """The threshold of all labels, where they have the same."""
    used = {threshold_at(record, label) for label in pairs.labels}
    return used.pop() if len(used) == 1 else None


def _common_words(pairs: OneVsRest, record: Record) -> str:
    best = best_threshold(pairs.truth.ravel(), pairs.scores.ravel())
    used, reached = _common(pairs, record), number(record["metrics"].get("micro_f1"))
    own = (
        "Here each label has a threshold of its own (see the table of the labels); together they "
        "reach"
        if used is None
        else f"Here every label has the threshold {number(used)}, which reaches"
    )
    return (
        f"{own} a micro F1 of {reached}. The best common one, {number(best.threshold)}, would "
        f"reach {number(best.value)}; it is chosen on these very rows, which flatters it."
    )
