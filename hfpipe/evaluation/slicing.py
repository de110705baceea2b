"""Slices of an evaluation: the same metrics for the rows of each value of a column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.metrics.tasks import Metrics, Task

MISSING = "(missing)"
MOST = 20
"""So many different values of a column get a slice: the most frequent."""
ALL = "all"


def sliced(
    task: Task,
    truth: npt.NDArray[Any],
    scores: npt.NDArray[np.float64],
    columns: Mapping[str, Sequence[Any]],
    extras: Mapping[str, npt.NDArray[Any]],
    threshold: float | None = None,
) -> dict[str, dict[str, Metrics]]:
    """Column to value to metrics, ``n`` and the mean of every extra; most frequent value first.

    Args:
        task: What is predicted.
        truth: Of the labelled rows.
        scores: Of the same rows.
        columns: Column to one value a row, of the same rows.
        extras: Name to numbers, of the same rows. With them, ``all`` holds one slice of all rows.
        threshold: As for :meth:`Task.metrics`.
    """
    found: dict[str, dict[str, Metrics]] = {}
    if extras:
        found[ALL] = {ALL: _slice(task, truth, scores, extras, threshold)}
    for column, values in columns.items():
        names = np.array([value_name(value) for value in values], dtype=object)
        found[column] = {}
        # Equally frequent ones in the order of their names, so that a run repeats.
        for name, _ in sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))[:MOST]:
            rows = names == name
            inside = {extra: numbers[rows] for extra, numbers in extras.items()}
            found[column][name] = _slice(task, truth[rows], scores[rows], inside, threshold)
    return found


def value_name(value: Any) -> str:
    """What a value of a column is called.

    >>> value_name(7), value_name(None), value_name(float("nan")), value_name(" ")
    ('7', '(missing)', '(missing)', '(missing)')
    """
    if value is None or value != value:
        return MISSING
    return str(value) if str(value).strip() else MISSING


def _slice(
    task: Task,
    truth: npt.NDArray[Any],
    scores: npt.NDArray[np.float64],
    extras: Mapping[str, npt.NDArray[Any]],
    threshold: float | None,
) -> Metrics:
    found = {"n": len(truth), **task.metrics(truth, scores, threshold)}
    for name, numbers in extras.items():
        if numbers.ndim == 1:
            found[name] = _mean(numbers)
        else:
            found |= {f"{name}.{at}": _mean(numbers[:, at]) for at in range(numbers.shape[1])}
    return found


def _mean(numbers: npt.NDArray[Any]) -> float | None:
    known = np.asarray(numbers, dtype=np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else None
