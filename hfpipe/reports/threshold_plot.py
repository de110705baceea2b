"""What each decision threshold would do: precision, recall, F1 and the share called positive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from hfpipe.metrics.thresholds import ThresholdCurve
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
    ticks,
)
from hfpipe.reports.words import number, percent

Floats = npt.NDArray[np.float64]
NAMES = ("Precision", "Recall", "F1", "Share called positive")
MICRO = ("Micro precision", "Micro recall", "Micro F1", "Share of pairs called true")


def threshold_plot(
    curve: ThresholdCurve,
    threshold: float | None,
    names: Sequence[str] = NAMES,
    called: str = "of rows called positive",
) -> Markup:
    """Draw four lines over the threshold, with the chosen one marked.

    Args:
        curve: The numbers, by rising threshold; NaN where one is not defined.
        threshold: The chosen one; None where there is not one for all.
        names: Of the lines.
        called: What the last line is the share of, for a screen reader.
    """
    cuts = np.clip(curve.threshold, 0.0, 1.0)
    lines = [curve.precision, curve.recall, curve.f1, curve.share]
    # Where all scores are low, so is everything that happens: the axis ends there.
    across = ticks(0, min(1.0, max(float(cuts.max()), threshold or 0.0)))
    top = 34 + 20 * len(names)
    frame = Frame(44, top, 330, 250, (across[0], across[-1]))
    parts = [legend(names, 18, 10, lines=True), axes(frame, across, ticks(0, 1), ("Threshold", ""))]
    for index, values in enumerate(lines):
        style = f"--line: var(--series-{index + 1}); stroke-dasharray: {DASHES[index]}"
        parts += [
            element("polyline", points=path, class_="line", style=style)
            for path in _paths(frame, cuts, values)
        ]
    if threshold is not None:
        parts.append(_chosen(frame, threshold))
    nearest = int(np.argmin(np.abs(cuts - threshold)) if threshold is not None else _best(curve))
    at = ", ".join(
        f"{name} {number(float(values[nearest]))}"
        for name, values in zip(names[:3], lines[:3], strict=True)
    )
    where = number(float(cuts[nearest]) if threshold is None else threshold)
    best = ", the best here" if threshold is None else ""
    said = f"At the threshold {where}{best}: {at}; {percent(float(curve.share[nearest]))} {called}."
    return drawing("thresholds", 392, top + 294, "What each threshold does", said, parts)


def _best(curve: ThresholdCurve) -> int:
    """Where F1 is highest; it is defined as long as there is a positive row."""
    return int(np.nanargmax(curve.f1))


def _paths(frame: Frame, cuts: Floats, values: Floats) -> Iterator[str]:
    """A line, in pieces where it is not defined in between."""
    known = np.isfinite(values)
    for piece in np.split(np.arange(len(values)), np.flatnonzero(np.diff(known.astype(int))) + 1):
        if len(piece) < 2 or not known[piece[0]]:
            continue
        points = zip(cuts[piece].tolist(), values[piece].tolist(), strict=True)
        yield " ".join(f"{frame.across(x):.1f},{frame.down(y):.1f}" for x, y in points)


def _chosen(frame: Frame, threshold: float) -> Markup:
    x = frame.across(threshold)
    mark = line(x, frame.top - 4, x, frame.top + frame.height, "ideal")
    late = x > frame.left + frame.width * 0.6
    name = f"threshold {number(threshold)}"
    return joined(
        [mark, label(x - 6 if late else x + 6, frame.top - 8, name, "end" if late else "start")]
    )
