"""Plots of scores and numbers: ROC and precision-recall curves, scatter and histogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from sklearn import metrics as sklearn_metrics

from hfpipe.reports.svg import (
    DASHES,
    SERIES,
    Frame,
    axes,
    drawing,
    element,
    joined,
    label,
    line,
    ticks,
)
from hfpipe.reports.words import count, number

Floats = npt.NDArray[np.float64]
POINTS = 200
"""A curve of more points is thinned out: nobody sees the difference."""
DOTS = 1500
BINS = 31


def roc_plot(truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: float | None) -> Markup:
    """Draw the ROC curve of 0-1 truth and scores, with a point at the threshold."""
    # All points are kept, or the one at the threshold might be missing.
    false, true, cuts = sklearn_metrics.roc_curve(truth, scores, drop_intermediate=False)
    area = sklearn_metrics.auc(false, true)
    frame = Frame(44, 34, 330, 300)
    ideal = line(frame.across(0), frame.down(0), frame.across(1), frame.down(1), "ideal")
    names = ("Share of negative rows taken for positive", "Share of positive rows found")
    parts = [axes(frame, ticks(0, 1), ticks(0, 1), names), ideal]
    parts.append(_thin_line(frame, false, true, false + true))
    said = f"ROC curve; the area under it is {number(float(area))}."
    if threshold is not None:
        at = int(np.flatnonzero(cuts >= threshold)[-1])
        parts.append(_mark(frame, false[at], true[at], threshold))
    return drawing("roc", 392, 384, "ROC curve", said, parts)


def precision_recall_plot(
    truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: float | None
) -> Markup:
    """Draw precision over recall, with the share of positive rows and a point at the threshold."""
    precision, recall, cuts = sklearn_metrics.precision_recall_curve(truth, scores)
    share = float(np.mean(np.asarray(truth, dtype=np.float64)))
    frame = Frame(44, 34, 330, 300)
    level = line(frame.across(0), frame.down(share), frame.across(1), frame.down(share), "ideal")
    names = ("Recall: share of positive rows found", "Precision")
    parts = [axes(frame, ticks(0, 1), ticks(0, 1), names), level]
    parts.append(_thin_line(frame, recall, precision, recall))
    said = f"Precision over recall; guessing has a precision of {number(share)}."
    if threshold is not None and (cuts >= threshold).any():
        at = int(np.flatnonzero(cuts >= threshold)[0])
        parts.append(_mark(frame, recall[at], precision[at], threshold))
    return drawing("pr", 392, 384, "Precision and recall", said, parts)


def scatter_plot(truth: Floats, predictions: Floats, names: tuple[str, str]) -> Markup:
    """Draw predictions over what is true, one dot a row; the line is where they agree."""
    low, high = _range(np.concatenate([truth, predictions]))
    marks = ticks(low, high)
    span = (marks[0], marks[-1])
    frame = Frame(64, 34, 330, 330, span, span)
    ideal = line(
        frame.across(span[0]), frame.down(span[0]), frame.across(span[1]), frame.down(span[1]),
        "ideal",
    )  # fmt: skip
    parts = [axes(frame, marks, marks, names), ideal]
    step = max(1, -(-len(truth) // DOTS))
    parts += [
        element("circle", cx=frame.across(x), cy=frame.down(y), r=2.2, class_="dot")
        for x, y in zip(truth[::step].tolist(), predictions[::step].tolist(), strict=True)
    ]
    shown = count(len(truth[::step]), "row")
    said = f"{shown} of {len(truth):,}; dots on the dashed line are right."
    return drawing("scatter", 412, 414, "Predicted against true", said, parts)


def histogram_plot(values: Floats, name: str) -> Markup:
    """Draw how often each error occurs; the dashed line is no error."""
    reach = float(np.quantile(np.abs(values), 0.99)) or 1.0
    marks = ticks(-reach, reach)
    counts, edges = np.histogram(np.clip(values, marks[0], marks[-1]), BINS, (marks[0], marks[-1]))
    frame = Frame(64, 34, 330, 250, (marks[0], marks[-1]), (0.0, float(max(1, counts.max()))))
    up = [mark for mark in ticks(0, frame.y[1]) if mark <= frame.y[1]]
    parts = [axes(frame, marks, up, (name, "Rows"))]
    for held, low, high in zip(
        counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True
    ):
        if not held:
            continue
        x, y = frame.across(low), frame.down(held)
        box = element(
            "rect", x=x + 0.5, y=y, width=max(1.0, frame.across(high) - x - 1),
            height=max(0.75, frame.top + frame.height - y), class_="accuracy",
        )  # fmt: skip
        words = f"{low:.3g} to {high:.3g}: {count(held, 'row')}"
        parts.append(element("g", joined([element("title", words), box])))
    parts.append(line(frame.across(0), frame.top, frame.across(0), frame.down(0), "ideal"))
    middle, spread = float(np.median(values)), float(np.mean(np.abs(values)))
    said = (
        f"Errors of {count(len(values), 'row')}: half lie below {middle:.3g}, the mean distance "
        f"from 0 is {spread:.3g}. The outermost bars hold all errors beyond them."
    )
    return drawing("errors", 412, 334, "Errors", said, parts)


def _thin_line(frame: Frame, xs: Floats, ys: Floats, way: Floats) -> Markup:
    kept = thinned(way)
    return curve_line(frame, xs[kept], ys[kept])


def curve_line(frame: Frame, xs: Floats, ys: Floats, index: int = 0) -> Markup:
    """Draw a line through points.

    Args:
        frame: Where.
        xs: (points,).
        ys: (points,).
        index: Of the line in the drawing's key, which gives its colour and dashes.
    """
    points = zip(xs.tolist(), ys.tolist(), strict=True)
    path = " ".join(f"{frame.across(x):.1f},{frame.down(y):.1f}" for x, y in points)
    dash = DASHES[index % len(DASHES)]
    style = f"--line: var(--series-{index % SERIES + 1}); stroke-dasharray: {dash}"
    return element("polyline", points=path, class_="line", style=style)


def thinned(way: Floats, most: int = POINTS) -> npt.NDArray[np.int64]:
    """Which points of a line to draw, both ends always.

    Half are spread over the points and half over the way: where a rare class is found among the
    first of many rows, all of its curve lies in few points.

    Args:
        way: (points,) how far along the line each is; rising or falling throughout.
        most: So many at most.

    >>> thinned(np.array([0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), most=6).tolist()
    [0, 1, 2, 4, 8]
    """
    last = len(way) - 1
    if last < most:
        return np.arange(last + 1)
    by_point = np.linspace(0, last, most - most // 2).round().astype(np.int64)
    gone = np.abs(way - way[0])
    by_way = np.searchsorted(gone, np.linspace(0, gone[-1], most // 2))
    return np.unique(np.concatenate([by_point, np.minimum(by_way, last)]))


def _mark(frame: Frame, x: float, y: float, threshold: float) -> Markup:
    across, down = frame.across(float(x)), frame.down(float(y))
    dot = element("circle", cx=across, cy=down, r=4.5, class_="point")
    left = across > frame.left + frame.width * 0.6
    name = f"threshold {number(threshold)}"
    place = (across - 9, "end") if left else (across + 9, "start")
    below = down + 16 if down + 20 < frame.top + frame.height else down - 8
    return joined([dot, label(place[0], below, name, place[1])])


def _range(values: Sequence[float] | Floats) -> tuple[float, float]:
    return float(np.min(values)), float(np.max(values))
