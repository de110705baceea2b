"""Small pieces that the plots are drawn with: axes, ticks, text, a labelled ``<svg>``.

Colours are CSS variables of the page (``--series-1`` …), so one drawing fits light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

SERIES = 4
"""Colours of the page; a line's dashes tell series apart as well."""
DASHES = ("none", "6 3", "2 3", "8 3 2 3", "14 4", "4 7", "10 3 2 3 2 3", "1 3")


@dataclass(frozen=True)
class Frame:
    """The rectangle that data is drawn in, and the ranges that it stands for.

    Attributes:
        left: Its left edge in the drawing.
        top: Its upper edge.
        width: Its width.
        height: Its height.
        x: Lowest and highest value across.
        y: Lowest and highest value up.
    """

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)

    def across(self, value: float) -> float:
        """Where a value lies across the drawing.

        >>> Frame(10, 0, 100, 50).across(0.5)
        60.0
        """
        low, high = self.x
        return self.left + self.width * (value - low) / ((high - low) or 1)

    def down(self, value: float) -> float:
        """Where a value lies down the drawing.

        >>> Frame(10, 0, 100, 50).down(1.0)
        0.0
        """
        low, high = self.y
        return self.top + self.height * (high - value) / ((high - low) or 1)


def element(name: str, content: object = None, **attributes: object) -> Markup:
    """Write an element; attributes that are None are left out, ``_`` in names is ``-``.

    >>> element("text", "a < b", x=1.25, class_="tick")
    Markup('<text x="1.2" class="tick">a &lt; b</text>')
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _value(value))
        for key, value in attributes.items()
        if value is not None
    )
    tag = Markup(name)  # noqa: S704  (our own element names)
    if content is None:
        return Markup("<{}{}/>").format(tag, written)
    return Markup("<{}{}>{}</{}>").format(tag, written, content, tag)


def drawing(
    identity: str, width: float, height: float, title: str, text: str, parts: Iterable[Markup]
) -> Markup:
    """Wrap parts into an ``<svg>`` that says to a screen reader what it shows."""
    inside = [element("title", title, id=f"{identity}-title")]
    inside.append(element("desc", text, id=f"{identity}-text"))
    return element(
        "svg",
        joined([*inside, *parts]),
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        style=f"--natural: {width:.0f}px; max-width: {1.15 * width:.0f}px",
        role="img",
        aria_labelledby=f"{identity}-title {identity}-text",
    )


def joined(parts: Iterable[Markup]) -> Markup:
    """Put parts one after the other."""
    return Markup("").join(parts)


def label(x: float, y: float, words: object, anchor: str = "middle", **more: object) -> Markup:
    """Write a text at a point; ``anchor`` is start, middle or end."""
    return element("text", words, x=x, y=y, text_anchor=anchor, **more)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """Draw a straight line of a CSS class."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def axes(
    frame: Frame, across: Sequence[float], up: Sequence[float], names: tuple[str, str]
) -> Markup:
    """Draw a grid with its numbers, and the names of both axes."""
    right, bottom = frame.left + frame.width, frame.top + frame.height
    parts = []
    for value in up:
        parts.append(line(frame.left, frame.down(value), right, frame.down(value), "grid"))
        parts.append(label(frame.left - 6, frame.down(value) + 4, tick(value), "end"))
    for value in across:
        parts.append(line(frame.across(value), bottom, frame.across(value), bottom + 4, "axis"))
        parts.append(label(frame.across(value), bottom + 17, tick(value)))
    parts.append(line(frame.left, bottom, right, bottom, "axis"))
    parts.append(label(frame.left + frame.width / 2, bottom + 36, names[0]))
    parts.append(label(frame.left - 34, frame.top - 13, names[1], "start"))
    return joined(parts)


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round values that cover a range, about ``wanted`` of them.

    >>> ticks(0, 1)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> ticks(3, 1203)
    [0.0, 250.0, 500.0, 750.0, 1000.0, 1250.0]
    """
    if not high > low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / wanted
    size = 10 ** math.floor(math.log10(rough))
    step = min((1, 2, 2.5, 5, 10), key=lambda factor: abs(factor * size - rough)) * size
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def tick(value: float) -> str:
    """Write a number of an axis as short as it can be.

    >>> tick(0.2), tick(1.0), tick(20000.0), tick(0.00025)
    ('0.2', '1', '20,000', '0.00025')
    """
    return f"{value:,.0f}" if value == int(value) else f"{value:.6g}"


def legend(names: Sequence[object], left: float, top: float, lines: bool = False) -> Markup:
    """Draw the key of the series, one below the other."""
    parts = []
    for index, name in enumerate(names):
        y = top + 20 * index
        colour = f"var(--series-{index % SERIES + 1})"
        if lines:
            dash = DASHES[index % len(DASHES)]
            stroke = f"stroke: {colour}; stroke-width: 2.5; stroke-dasharray: {dash}"
            parts.append(element("line", x1=left, x2=left + 26, y1=y, y2=y, style=stroke))
        else:
            box = {"x": left + 12, "y": y - 7, "width": 14, "height": 14, "rx": 2}
            parts.append(element("rect", style=f"fill: {colour}", **box))
        parts.append(label(left + 33, y + 4, name, "start"))
    return joined(parts)


def _value(value: object) -> Markup:
    return escape(f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value)
