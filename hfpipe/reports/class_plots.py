"""ROC and precision-recall curves of several classes: a line for each, against all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from sklearn import metrics as sklearn_metrics

from hfpipe.metrics.binary import average_precision, roc_auc
from hfpipe.reports.line_numbers import number_places
from hfpipe.reports.one_vs_rest import OneVsRest
from hfpipe.reports.score_plots import curve_line, thinned
from hfpipe.reports.svg import (
    SERIES,
    Frame,
    axes,
    drawing,
    element,
    joined,
    label,
    legend,
    line,
    ticks,
)
from hfpipe.reports.words import count, number, shortened

Floats = npt.NDArray[np.float64]
LABEL_CHARACTERS = 28


@dataclass(frozen=True)
class Sort:
    """A sort of curve.

    Attributes:
        identity: Prefix of the drawing's element ids.
        title: What a screen reader calls it.
        metric: The number of a class that belongs to it, as the record has it.
        short: What that is called beside a line.
        value: How it is computed.
        points: Truth and scores to x, y and how far along the line each point is.
    """

    identity: str
    title: str
    metric: str
    short: str
    value: Callable[[npt.ArrayLike, npt.ArrayLike], float | None]
    points: Callable[[Any, Floats], tuple[Floats, Floats, Floats]]


def _roc(truth: Any, scores: Floats) -> tuple[Floats, Floats, Floats]:
    false, true, _ = sklearn_metrics.roc_curve(truth, scores, drop_intermediate=False)
    return false, true, false + true


def _precision_recall(truth: Any, scores: Floats) -> tuple[Floats, Floats, Floats]:
    precision, recall, _ = sklearn_metrics.precision_recall_curve(truth, scores)
    return recall[::-1], precision[::-1], recall[::-1]


ROC = Sort("roc", "ROC curves", "roc_auc", "AUC", roc_auc, _roc)
PRECISION_RECALL = Sort(
    "pr", "Precision and recall", "average_precision", "AP", average_precision, _precision_recall
)


def class_plot(
    sort: Sort,
    found: OneVsRest,
    per_class: Mapping[str, Mapping[str, Any]],
    names: tuple[str, str],
) -> Markup:
    """Draw a curve a class; each line bears the number that the class has in the key.

    Args:
        sort: Of curve.
        found: The classes, each with rows that have it and rows that lack it.
        per_class: The record's numbers of every class; what is not there is computed.
        names: Of the axis across and of the axis upwards.
    """
    values = [_value(sort, found, at, per_class) for at in range(len(found.labels))]
    top = 34 + 20 * len(values)
    frame = Frame(44, top, 330, 300)
    parts = [legend(_key(sort, found.labels, values), 18, 10, lines=True)]
    parts.append(axes(frame, ticks(0, 1), ticks(0, 1), names))
    if sort is ROC:
        ends = frame.across(0), frame.down(0), frame.across(1), frame.down(1)
        parts.append(line(*ends, "ideal"))
    lines = [_line(sort, found, at) for at in range(len(values))]
    parts += [curve_line(frame, x, y, at) for at, (x, y) in enumerate(lines)]
    # After all lines, so that none runs across a number.
    drawn = [(_across(frame, x), _down(frame, y)) for x, y in lines]
    parts += [_numbered(at, *place) for at, place in enumerate(number_places(drawn))]
    told = [f"{name} {number(value)}" for name, value in zip(found.labels, values, strict=True)]
    said = f"{count(len(told), 'line')}, each against all others; {sort.short}: {', '.join(told)}."
    return drawing(sort.identity, 392, top + 350, sort.title, said, parts)


def _line(sort: Sort, found: OneVsRest, at: int) -> tuple[Floats, Floats]:
    xs, ys, way = sort.points(found.truth[:, at], found.scores[:, at])
    kept = thinned(way)
    return xs[kept], ys[kept]


def _across(frame: Frame, xs: Floats) -> Floats:
    return np.array([frame.across(x) for x in xs.tolist()])


def _down(frame: Frame, ys: Floats) -> Floats:
    return np.array([frame.down(y) for y in ys.tolist()])


def _value(
    sort: Sort, found: OneVsRest, at: int, per_class: Mapping[str, Mapping[str, Any]]
) -> float | None:
    known: float | None = per_class.get(found.labels[at], {}).get(sort.metric)
    return sort.value(found.truth[:, at], found.scores[:, at]) if known is None else known


def _key(sort: Sort, labels: list[str], values: list[float | None]) -> list[Markup]:
    """The score before the name: of a name too wide for the drawing, the end alone is cut off."""
    return [
        joined(
            [
                element("title", name),
                Markup("{} · {} {} · {}").format(
                    at, sort.short, number(value), shortened(name, LABEL_CHARACTERS)
                ),
            ]
        )
        for at, (name, value) in enumerate(zip(labels, values, strict=True), start=1)
    ]


def _numbered(at: int, x: float, y: float) -> Markup:
    """A line's number, on the line."""
    style = f"fill: var(--page); stroke: var(--series-{at % SERIES + 1}); stroke-width: 1.6"
    return joined(
        [
            element("circle", cx=x, cy=y, r=7.5, style=style),
            label(x, y + 3.8, at + 1, class_="numbered"),
        ]
    )
