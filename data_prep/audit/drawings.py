"""The plots of the audit, as inline SVG: no script, light and dark alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from hfpipe.reports.svg import (
    DASHES,
    Frame,
    axes,
    drawing,
    element,
    joined,
    label,
    legend,
    line,
    tick,
    ticks,
)
from hfpipe.reports.words import count, listed, percent, shortened

LABEL_CHARACTERS = 22
#: Width of a character of a label, about.
CHARACTER = 7.2


def share_bars(
    identity: str, title: str, names: Sequence[str], series: Mapping[str, Sequence[float]]
) -> Markup:
    """Draw shares as bars: for each name one bar a series, thin and close together.

    Args:
        identity: Prefix of the drawing's element ids.
        title: What is drawn.
        names: Labels down the left side.
        series: Name of the series to a share for each of ``names``.
    """
    short = [shortened(name, LABEL_CHARACTERS) for name in names]
    left = 20 + CHARACTER * max(map(len, short))
    bar, gap, top = 7, 8, 20 * len(series) + 16
    block = bar * len(series) + gap
    highest = ticks(0, max((max(values) for values in series.values()), default=1.0) or 1.0, 4)
    frame = Frame(left, top, 300, block * len(names) - gap, (0.0, highest[-1]))
    parts = [legend(list(series), left, 10)]
    bottom = top + frame.height
    for value in highest:
        parts.append(line(frame.across(value), top - 4, frame.across(value), bottom + 4, "grid"))
        parts.append(label(frame.across(value), bottom + 20, f"{100 * value:.4g} %"))
    for place, name in enumerate(names):
        y = top + block * place
        parts.append(_named(name, short[place], left - 8, y + (block - gap) / 2 + 4))
        for index, (split, values) in enumerate(series.items()):
            said = f"{name}: {percent(values[place])} of {split}"
            parts.append(_bar(frame, values[place], y + bar * index, bar - 1, index, said))
    text = f"Bars for {count(len(names), 'class')}; the table below has the numbers."
    return drawing(identity, left + 336, bottom + 28, title, text, parts)


def score_bars(
    identity: str,
    title: str,
    scores: Mapping[str, float],
    span: tuple[float, float],
    marks: Sequence[float],
) -> Markup:
    """Draw one score a name as a bar, and lines at the scores from which on it is a problem.

    Args:
        identity: Prefix of the drawing's element ids.
        title: What is drawn.
        scores: Name to score, in the order drawn.
        span: Lowest and highest score of the axis.
        marks: Where the lines are; what reaches the first stands out.
    """
    short = [shortened(name, LABEL_CHARACTERS) for name in scores]
    left = 20 + CHARACTER * max(map(len, short))
    row, top = 22, 18
    frame = Frame(left, top, 300, row * len(scores), span)
    bottom = top + frame.height
    parts = []
    for value in ticks(*span):
        x = frame.across(value)
        parts += [line(x, top - 4, x, bottom + 4, "grid"), label(x, bottom + 20, tick(value))]
    for place, (name, score) in enumerate(scores.items()):
        y = top + row * place
        parts.append(_named(name, short[place], left - 8, y + row / 2 + 4))
        said = f"{name}: {score:.3f}"
        parts.append(_bar(frame, score, y + 3, row - 6, int(score >= marks[0]), said))
        parts.append(label(left + frame.width + 8, y + row / 2 + 4, f"{score:.3f}", "start"))
    parts += [line(frame.across(m), top - 8, frame.across(m), bottom + 4, "ideal") for m in marks]
    text = "; ".join(
        f"{name} {score:.3f}" for name, score in zip(short, scores.values(), strict=True)
    )
    return drawing(identity, left + 356, bottom + 28, title, text, parts)


def length_lines(
    identity: str,
    title: str,
    edges: Sequence[float],
    series: Mapping[str, Sequence[float]],
    mark: tuple[float, str],
) -> Markup:
    """Draw distributions over edges that grow by a factor, as steps over a logarithmic axis.

    Args:
        identity: Prefix of the drawing's element ids.
        title: What is drawn.
        edges: Where the bins begin and end, from 1 on.
        series: Name of the series to the share of its rows in each bin.
        mark: A value to draw a line at, and what is there.
    """
    filled = np.flatnonzero(np.sum(list(series.values()), axis=0) > 0).tolist() or [0]
    low = math.floor(math.log10(edges[filled[0]]))
    high = max(math.log10(edges[-1]), low + 1)
    up = ticks(0, max(max(values) for values in series.values()) or 1.0, 4)
    top = 34 + 20 * len(series)
    frame = Frame(48, top, 390, 200, (float(low), high), (0.0, up[-1]))
    bottom = top + frame.height
    parts = [legend(list(series), 18, 10, lines=True), _length_axes(frame, up)]
    value, named = mark
    if 10**low <= value <= 10**high:
        x = frame.across(math.log10(value))
        parts += [line(x, top, x, bottom, "ideal"), label(x - 5, top + 10, named, "end")]
    for index, values in enumerate(series.values()):
        points = []
        for place in range(filled[0], len(values)):
            y = f"{frame.down(values[place]):.1f}"
            ends = edges[place], edges[place + 1]
            points += [f"{frame.across(math.log10(edge)):.1f},{y}" for edge in ends]
        style = f"--line: var(--series-{index + 1}); stroke-dasharray: {DASHES[index]}"
        parts.append(element("polyline", points=" ".join(points), class_="line", style=style))
    text = f"Shares of {listed(list(series))} by length; the table below has the numbers."
    return drawing(identity, 456, bottom + 48, title, text, parts)


def _length_axes(frame: Frame, up: Sequence[float]) -> Markup:
    """Shares up, powers of ten across."""
    bottom, right = frame.top + frame.height, frame.left + frame.width
    parts = []
    for value in up:
        y = frame.down(value)
        parts.append(line(frame.left, y, right, y, "grid"))
        parts.append(label(frame.left - 6, y + 4, f"{100 * value:.4g} %", "end"))
    for power in range(int(frame.x[0]), int(frame.x[1]) + 1):
        x = frame.across(power)
        parts.append(line(x, bottom, x, bottom + 4, "axis"))
        parts.append(label(x, bottom + 18, f"{10**power:,}"))
    parts.append(line(frame.left, bottom, right, bottom, "axis"))
    parts.append(label(frame.left + frame.width / 2, bottom + 36, "Characters of a text"))
    parts.append(label(14, frame.top - 13, "Share of the split's rows", "start"))
    return joined(parts)


def timeline(
    identity: str, title: str, ends: tuple[str, str], series: Mapping[str, Sequence[int]]
) -> Markup:
    """Draw when the rows of each split are: one strip a split over the same axis.

    Args:
        identity: Prefix of the drawing's element ids.
        title: What is drawn.
        ends: What to write below the left and the right end.
        series: Name of the split to its rows in each of the bins, which are equally long.
    """
    left, width, strip, gap, top = 84, 360, 44, 12, 10
    parts = []
    for index, (name, rows) in enumerate(series.items()):
        y, most = top + (strip + gap) * index, max(rows, default=0) or 1
        frame = Frame(left, y, width, strip, (0.0, float(len(rows))), (0.0, float(most)))
        parts.append(label(left - 8, y + strip / 2 + 4, name, "end"))
        for place, held in enumerate(rows):
            if held:
                # A row alone in its bin is what the plot is for: it must not vanish.
                y1 = min(frame.down(float(held)), y + strip - 2)
                box = element(
                    "rect",
                    x=frame.across(place),
                    y=y1,
                    width=width / len(rows),
                    height=y + strip - y1,
                    style=f"fill: var(--series-{index + 1})",
                )
                parts.append(_told(f"{name}: {count(held, 'row')}", box))
        parts.append(line(left, y + strip, left + width, y + strip, "axis"))
    bottom = top + (strip + gap) * len(series)
    parts.append(label(left, bottom + 8, ends[0], "start"))
    parts.append(label(left + width, bottom + 8, ends[1], "end"))
    text = f"From {ends[0]} to {ends[1]}; the table below has the first and last of each split."
    return drawing(identity, left + width + 12, bottom + 18, title, text, parts)


def similarity_bars(
    identity: str, title: str, edges: Sequence[float], rows: Sequence[int], mark: float
) -> Markup:
    """Draw how many rows have a nearest train row how similar, and the threshold.

    Args:
        identity: Prefix of the drawing's element ids.
        title: What is drawn.
        edges: Where the bins begin and end.
        rows: Rows in each bin.
        mark: The threshold: what is above stands out.
    """
    up = ticks(0, max(max(rows, default=0), 4), 4)
    frame = Frame(52, 34, 390, 180, (edges[0], edges[-1]), (0.0, up[-1]))
    names = ("Similarity to the nearest train row", "Rows")
    parts = [axes(frame, ticks(edges[0], edges[-1]), up, names)]
    for place, held in enumerate(rows):
        low, high = edges[place], edges[place + 1]
        if held:
            top = min(frame.down(held), frame.top + frame.height - 1)
            box = element(
                "rect",
                x=frame.across(low) + 0.5,
                y=top,
                width=frame.across(high) - frame.across(low) - 1,
                height=frame.top + frame.height - top,
                style=f"fill: var(--series-{2 if low >= mark - 1e-9 else 1})",
            )
            parts.append(_told(f"{low:.2f} to {high:.2f}: {count(held, 'row')}", box))
    x = frame.across(mark)
    parts.append(line(x, frame.top, x, frame.top + frame.height, "ideal"))
    above = sum(held for low, held in zip(edges[:-1], rows, strict=True) if low >= mark - 1e-9)
    text = f"{count(above, 'row')} above {mark:g} of {count(sum(rows), 'row')} above {edges[0]:g}."
    return drawing(identity, 456, 262, title, text, parts)


def _named(full: str, short: str, x: float, y: float) -> Markup:
    """A label that says in its tooltip what was cut off."""
    words = joined([element("title", full), Markup("{}").format(short)])
    return label(x, y, words, "end")


def _bar(frame: Frame, value: float, y: float, height: float, index: int, said: str) -> Markup:
    start = frame.across(frame.x[0])
    box = element(
        "rect",
        x=start,
        y=y,
        width=max(0.75, frame.across(value) - start),
        height=height,
        style=f"fill: var(--series-{index + 1})",
    )
    return _told(said, box)


def _told(said: str, box: Markup) -> Markup:
    """A shape that says in its tooltip what it stands for."""
    return element("g", joined([element("title", said), box]))
