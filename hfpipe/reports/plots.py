"""The report's plots as inline SVG: no script, no picture file, light and dark alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from hfpipe.metrics.calibration import Reliability
from hfpipe.reports.svg import (
    DASHES,
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
from hfpipe.reports.words import count, percent, shortened

CELL = 25
LARGE_CELL = 40
FEW = 12
"""Up to so many classes, a confusion matrix has large cells."""
LABEL_CHARACTERS = 20
Points = Sequence[tuple[float, float]]


def confusion_plot(counts: npt.NDArray[np.int64], labels: Sequence[str]) -> Markup:
    """Draw a confusion matrix: true class down, predicted across, shaded by share of the row."""
    cell = CELL if len(labels) > FEW else LARGE_CELL
    names = [shortened(name, LABEL_CHARACTERS) for name in labels]
    margin = 14 + 6.6 * max(map(len, names))
    size = cell * len(names)
    top = 40 + 0.82 * margin
    left = margin + 32
    parts = [label(left + size / 2, 14, "Predicted class", class_="name")]
    middle = top + size / 2
    turned = f"rotate(-90 12 {middle:.0f})"
    parts.append(label(12, middle, "True class", class_="name", transform=turned))
    for index, (short, full) in enumerate(zip(names, labels, strict=True)):
        centre = cell * index + cell / 2
        named = joined([element("title", full), Markup("{}").format(short)])
        parts.append(label(left - 6, top + centre + 4, named, "end"))
        x, y = left + centre + 2, top - 6
        parts.append(label(x, y, named, "start", transform=f"rotate(-60 {x:.1f} {y:.1f})"))
    parts += _cells(counts, labels, left, top, cell)
    frame = {"x": left, "y": top, "width": size, "height": size, "class_": "frame"}
    parts.append(element("rect", **frame))
    right = int(counts.diagonal().sum())
    text = (
        f"{count(len(labels), 'class')}; {right:,} of {count(int(counts.sum()), 'row')} lie on the "
        "diagonal. The largest confusions are listed in the table below."
    )
    width = left + size + 0.5 * margin
    return drawing("confusion", width, top + size + 6, "Confusion matrix", text, parts)


def _cells(
    counts: npt.NDArray[np.int64], labels: Sequence[str], left: float, top: float, cell: int
) -> list[Markup]:
    """The cells that hold a row at all, each with its count and the words for its tooltip."""
    support = counts.sum(axis=1)
    parts = []
    for row, column in np.argwhere(counts):
        held = int(counts[row, column])
        share = held / support[row]
        x, y = left + cell * float(column), top + cell * float(row)
        kind = "hit" if row == column else "miss"
        # The square root keeps rare confusions visible beside a strong diagonal.
        shade = f"fill-opacity: {max(0.06, share**0.5):.2f}"
        box = element("rect", x=x, y=y, width=cell, height=cell, class_=kind, style=shade)
        said = f"{labels[row]} predicted as {labels[column]}: {held:,} ({percent(share)})"
        words = label(x + cell / 2, y + cell / 2 + 3.5, held, class_="cell")
        parts.append(element("g", joined([element("title", said), box, words])))
    return parts


def bars_plot(groups: Mapping[str, Mapping[str, float | None]]) -> Markup:
    """Draw shares as horizontal bars: group (top-1, top-2, …) to series (model, baselines)."""
    series = list(next(iter(groups.values())))
    bar, gap, left, width = 20, 16, 48, 300
    top = 20 * len(series) + 14
    frame = Frame(left, top, width, len(groups) * (bar * len(series) + gap) - gap)
    parts = [legend(series, left, 10)]
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = frame.across(value)
        parts.append(line(x, top - 4, x, top + frame.height + 4, "grid"))
        parts.append(label(x, top + frame.height + 20, percent(value).replace(".0", "")))
    y = float(top)
    for group, values in groups.items():
        parts.append(label(left - 8, y + bar * len(series) / 2 + 4, group, "end"))
        for index, share in enumerate(values.values()):
            parts.append(_bar(frame, y, bar, share, index))
            y += bar
        y += gap
    said = "; ".join(
        f"{group}: " + ", ".join(f"{name} {percent(value)}" for name, value in values.items())
        for group, values in groups.items()
    )
    return drawing(
        "top-k", left + width + 60, top + frame.height + 28, "Top-k accuracy", said, parts
    )


def _bar(frame: Frame, y: float, height: float, value: float | None, index: int) -> Markup:
    end = frame.across(value or 0.0)
    style = f"fill: var(--series-{index % SERIES + 1})"
    box = element(
        "rect", x=frame.left, y=y + 1.5, width=end - frame.left, height=height - 3, style=style
    )
    return joined([box, label(end + 6, y + height / 2 + 4, percent(value), "start")])


def reliability_plot(
    diagram: Reliability,
    names: tuple[str, str, str] = ("Confidence of the prediction", "Share that is right", "right"),
    identity: str = "reliability",
    title: str = "Reliability diagram",
    unit: str = "row",
) -> Markup:
    """Draw how often the model is right at each confidence, over where its rows lie.

    Args:
        diagram: The numbers.
        names: Of the axis across, of the axis upwards, and what the share is of, in a word.
        identity: Prefix of the drawing's element ids, different for every plot of a page.
        title: What a screen reader calls it.
        unit: What the bins count.
    """
    frame = Frame(44, 30, 330, 250)
    counted = Frame(44, 330, 330, 60, y=(0.0, float(max(1, diagram.counts.max()))))
    parts = [axes(frame, [], ticks(0, 1), ("", names[1]))]
    said = []
    for index, rows in enumerate(diagram.counts):
        if not rows:
            continue
        low, high = float(diagram.edges[index]), float(diagram.edges[index + 1])
        accuracy, sure = float(diagram.accuracy[index]), float(diagram.confidence[index])
        words = (
            f"{percent(low)} to {percent(high)}: "
            f"{percent(accuracy)} {names[2]} of {count(int(rows), unit)}"
        )
        said.append(words)
        x, width = frame.across(low) + 1, frame.width * (high - low) - 2
        for area, value, kind in ((frame, accuracy, "accuracy"), (counted, float(rows), "rows")):
            y = area.down(value)
            tall = max(0.75, area.top + area.height - y)
            box = element("rect", x=x, y=y, width=width, height=tall, class_=kind)
            parts.append(element("g", joined([element("title", words), box])))
        parts.append(
            element("circle", cx=frame.across(sure), cy=frame.down(accuracy), r=3, class_="point")
        )
    start, end = frame.across(0), frame.across(1)
    parts.append(line(start, frame.down(0), end, frame.down(1), "ideal"))
    below = (names[0], f"{unit.capitalize()}s")
    parts.append(axes(counted, ticks(0, 1), [counted.y[1]], below))
    return drawing(identity, 392, 436, title, "; ".join(said), parts)


def curves_plot(
    identity: str,
    title: str,
    lines: Mapping[str, Points],
    across: str,
    stages: Sequence[tuple[str, float]] = (),
) -> Markup:
    """Draw lines over training time.

    Args:
        identity: Prefix of the drawing's element ids, different for every plot of a page.
        title: What is drawn; the name of the axis upwards too.
        lines: Name to points, in the order of the key.
        across: Name of the axis across.
        stages: Each stage of training and where on the axis it ends, in order.
    """
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    up = ticks(min(ys), max(ys))
    sideways = ticks(min(0.0, *xs), max(xs))
    top = 34 + 20 * len(lines)
    frame = Frame(44, top, 330, 210, (sideways[0], sideways[-1]), (up[0], up[-1]))
    parts = [legend(list(lines), 18, 10, lines=True), axes(frame, sideways, up, (across, title))]
    parts += _borders(frame, stages)
    said = [f"Stages: {', '.join(name for name, _ in stages)}"] if stages else []
    for index, (name, points) in enumerate(lines.items()):
        style = f"--line: var(--series-{index % SERIES + 1}); stroke-dasharray: "
        path = " ".join(f"{frame.across(x):.1f},{frame.down(y):.1f}" for x, y in points)
        dash = DASHES[index % len(DASHES)]
        parts.append(element("polyline", points=path, class_="line", style=style + dash))
        if len(points) <= 20:
            parts += [
                element("circle", cx=frame.across(x), cy=frame.down(y), r=3.2, style=style + dash)
                for x, y in points
            ]
        said.append(f"{name}: {points[0][1]:.3g} at first, {points[-1][1]:.3g} at last")
    return drawing(identity, 392, top + 254, title, "; ".join(said), parts)


def _borders(frame: Frame, stages: Sequence[tuple[str, float]]) -> list[Markup]:
    """A dashed line where a stage ends and the next begins, and the stages' names between them."""
    parts, start = [], frame.x[0]
    bottom, top = frame.down(frame.y[0]), frame.down(frame.y[1])
    for at, (name, end) in enumerate(stages):
        middle = (frame.across(start) + frame.across(min(end, frame.x[1]))) / 2
        parts.append(label(middle, bottom - 6, shortened(name, LABEL_CHARACTERS // 2), "middle"))
        if at < len(stages) - 1:
            parts.append(line(frame.across(end), bottom, frame.across(end), top, "ideal"))
        start = end
    return parts
