"""Learning curves out of the Trainer's ``log_history``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from markupsafe import Markup

from hfpipe.reports.kinds import shown
from hfpipe.reports.plots import curves_plot
from hfpipe.reports.words import title

MOST = 4
"""Lines a plot: so many colours there are."""
Lines = dict[str, list[tuple[float, float]]]


def curve_plots(history: Sequence[Mapping[str, Any]], stages: Sequence[str] = ()) -> list[Markup]:
    """Draw the loss (train and validation) and the main validation metrics over time.

    Args:
        history: Entries as the Trainer logs them: ``loss``, ``eval_loss``, ``eval_accuracy``,
            each with its ``epoch`` or ``step``, and the number of its ``stage`` where there are
            some. Values that are not finite are left out.
        stages: Their names, from the first on.
    """
    plots, borders = [], stage_ends(history, stages)
    loss = learning_lines(history, {"loss": "train", "eval_loss": "validation"})
    if loss:
        plots.append(curves_plot("loss", "Loss", loss, _axis(history), borders))
    logged = {name.removeprefix("eval_"): None for entry in history for name in entry}
    wanted = shown(logged)[:MOST]
    names = {f"eval_{name}": title(name) for name in wanted}
    scores = learning_lines(history, names)
    if scores:
        plots.append(curves_plot("scores", "Validation metrics", scores, _axis(history), borders))
    return plots


def stage_ends(
    history: Sequence[Mapping[str, Any]], stages: Sequence[str]
) -> list[tuple[str, float]]:
    """Where on the axis of the curves each stage ends.

    >>> log = [{"epoch": 1.0, "stage": 1}, {"epoch": 1.5, "stage": 2}, {"epoch": 2.0, "stage": 2}]
    >>> stage_ends(log, ["head", "all"])
    [('head', 1.0), ('all', 2.0)]
    """
    key = _axis(history).lower()
    found = []
    for number, name in enumerate(stages, 1):
        logged = [each.get(key) for each in history if each.get("stage") == number]
        places = [float(place) for place in logged if _finite(place)]
        if places:
            found.append((name, max(places)))
    return found


def learning_lines(history: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> Lines:
    """Collect the points of some logged names, under the titles to show.

    >>> learning_lines(
    ...     [
    ...         {"loss": 2.0, "epoch": 0.5},
    ...         {"eval_loss": 1.5, "epoch": 1.0},
    ...         {"loss": float("nan"), "epoch": 1.0},
    ...     ],
    ...     {"loss": "train"},
    ... )
    {'train': [(0.5, 2.0)]}
    """
    key = _axis(history).lower()
    lines: Lines = {}
    for name, heading in names.items():
        points = [
            (float(entry[key]), float(entry[name]))
            for entry in history
            if _finite(entry.get(name)) and _finite(entry.get(key))
        ]
        if points:
            lines[heading] = points
    return lines


def _axis(history: Sequence[Mapping[str, Any]]) -> str:
    return "Epoch" if any(_finite(entry.get("epoch")) for entry in history) else "Step"


def _finite(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and math.isfinite(value)
