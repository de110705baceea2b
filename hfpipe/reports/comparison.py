"""``compare.html``: several models on one page, without a script or a network; and its table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

from hfpipe.files import write_text
from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.reports import words
from hfpipe.reports.rendering import render_page
from hfpipe.reports.svg import Frame, axes, drawing, element, joined, label, line, ticks

COLUMNS = (
    *("rank", "name", "model", "model_revision", "metric", "direction", "value", "low", "high"),
    *("difference", "difference_low", "difference_high", "p", "mcnemar_p", "verdict", "n"),
)
NAME_CHARACTERS = 46
STEP = 44
"""Height of one model in the plot: its name above its interval, so that a phone can show both."""
OPENINGS: Mapping[str | None, str] = MappingProxyType(
    {
        "not distinguishable from the best": "Not distinguishable from the best",
        "worse than the best": "Worse than it",
        "better than the best on the rows that all have": "Better than it on the rows of all",
        None: "Not compared with it",
    }
)
"""Verdict on a model to what its name stands behind."""
Board = Mapping[str, Any]


def write_comparison(
    path: str | Path, board: Board, provenance: Mapping[str, Any] | None = None
) -> Path:
    """Write the page, whole or not at all.

    Args:
        path: Where the page will be.
        board: ``compare.json``.
        provenance: From :func:`hfpipe.hub.provenance.provenance`.

    Returns:
        The path.
    """
    return write_text(path, render_comparison(board, provenance or {}))


def render_comparison(board: Board, provenance: Mapping[str, Any]) -> str:
    """Give the page as text; the arguments are those of :func:`write_comparison`."""
    models = board["models"]
    names = [each["name"] for each in models]
    return render_page(
        "comparison.html.jinja",
        title=f"Comparison of {len(models)} models",
        board=board,
        metric=words.title(board["metric"]),
        way=board["direction"],
        verdict=verdict(board),
        standing=standing(board),
        plot=forest_plot(board),
        tested=any(each["mcnemar"] for each in models),
        others=other_metrics(board),
        recipes={
            key: [written(found[name]) if name in found else None for name in names]
            for key, found in board["recipes"].items()
        },
        provenance=provenance,
    )


def verdict(board: Board) -> list[str]:
    """Say which is best, and which others may be as good.

    >>> model = {"name": "a", "value": 0.9, "low": None, "high": None, "n": 9, "verdict": "best"}
    >>> verdict({"metric": "accuracy", "models": [model, {**model, "name": "b", "verdict": None}]})
    ['a has the best accuracy: 0.900.', 'Not compared with it: b.']
    """
    best, *others = board["models"]
    name = words.within(board["metric"])
    if best["value"] is None:
        return [f"No model has this metric: {name}."]
    said = [f"{best['name']} has the best {name}: {words.number(best['value'])}{_between(best)}."]
    for kind, opening in OPENINGS.items():
        names = [each["name"] for each in others if each["verdict"] == kind]
        if names:
            said.append(f"{opening}: {words.listed(names)}.")
    return said


def standing(board: Board) -> str:
    """One word for the whole: whether there is one best model.

    >>> standing({"models": [{"verdict": "best"}, {"verdict": "worse than the best"}]})
    'better'
    """
    found = {each["verdict"] for each in board["models"][1:]}
    if found == {"worse than the best"}:
        return "better"
    return "unknown" if found == {None} else "unclear"


def forest_plot(board: Board) -> Markup | None:
    """Draw each model's value as a dot on its interval, the best first; None without a value."""
    known = [each for each in board["models"] if each["value"] is not None]
    if not known:
        return None
    ends = [
        each[name] for each in known for name in ("value", "low", "high") if each[name] is not None
    ]
    across = ticks(min(ends), max(ends))
    frame = Frame(24, 12, 344, STEP * len(known) + 6, (across[0], across[-1]))
    bottom = frame.top + frame.height
    places = [frame.across(value) for value in across]
    parts = [line(place, frame.top, place, bottom, "grid") for place in places]
    parts.append(axes(frame, across, [], (words.title(board["metric"]), "")))
    best = frame.across(known[0]["value"])
    parts.append(line(best, frame.top, best, bottom, "ideal"))
    said = []
    for at, each in enumerate(known):
        told = f"{each['name']}: {words.number(each['value'])}{_between(each)}"
        said.append(told)
        parts.append(_whisker(frame, each, frame.top + STEP * at + 16, told))
    text = "; ".join(said)
    return drawing("forest", 392, bottom + 44, "Value and interval of every model", text, parts)


def _whisker(frame: Frame, model: Mapping[str, Any], y: float, said: str) -> Markup:
    """A model's name, and below it its interval with the dot."""
    # The name is drawn on the page's colour, so that no line goes through it.
    halo = "paint-order: stroke; stroke: var(--page); stroke-width: 4px; stroke-linejoin: round"
    name = words.shortened(str(model["name"]), NAME_CHARACTERS)
    parts = [element("title", said), label(frame.left, y, name, "start", style=halo)]
    down, series = y + 15, 1 if model["verdict"] == "best" else 2
    colour = f"--line: var(--series-{series})"
    if model["low"] is not None and model["high"] is not None:
        low, high = frame.across(model["low"]), frame.across(model["high"])
        for x1, y1, x2, y2 in (
            (low, down, high, down),
            (low, down - 4, low, down + 4),
            (high, down - 4, high, down + 4),
        ):
            parts.append(element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_="line", style=colour))
    dot = {"cx": frame.across(model["value"]), "cy": down, "r": 4.5}
    parts.append(element("circle", style=colour, **dot))
    return element("g", joined(parts))


def other_metrics(board: Board) -> list[dict[str, Any]]:
    """The other metrics, a row each: every model's value, the best of them marked."""
    models = board["models"]
    names = words.metric_order({name: None for each in models for name in each["metrics"]})
    rows = []
    for name in names:
        values = [each["metrics"].get(name) for each in models]
        known = [value for value in values if value is not None]
        way = DIRECTIONS.get(name)
        best = None
        if len(known) > 1 and way:
            best = max(known) if way == "higher" else min(known)
        rows.append(
            {
                "name": words.title(name),
                "way": way,
                "cells": [(value, value is not None and value == best) for value in values],
            }
        )
    return rows


def as_csv(board: Board) -> str:
    """The leaderboard as one table, a row a model, the other metrics behind."""
    others = [
        name
        for name in dict.fromkeys(name for each in board["models"] for name in each["metrics"])
        if name != board["metric"]
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *others])
    for each in board["models"]:
        apart, test = each["difference"] or {}, each["mcnemar"] or {}
        told = {
            **each,
            "metric": board["metric"],
            "direction": board["direction"],
            "difference": apart.get("value"),
            "difference_low": apart.get("low"),
            "difference_high": apart.get("high"),
            "p": apart.get("p"),
            "mcnemar_p": test.get("p"),
        }
        cells = [told[name] for name in COLUMNS]
        writer.writerow([*cells, *(each["metrics"].get(name) for name in others)])
    return text.getvalue()


def written(value: object) -> str:
    """A value of a recipe as it would be typed.

    >>> written(3e-05), written(["a", 1]), written(None), written(True), written("x")
    ('3e-05', '["a", 1]', 'null', 'true', 'x')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _between(model: Mapping[str, Any]) -> str:
    if model["low"] is None or model["high"] is None:
        return ""
    return f" ({words.number(model['low'])} to {words.number(model['high'])})"
