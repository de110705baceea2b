"""Slices of an evaluation: the same metrics for the rows of each value of a column.

Numbers and dates with more than :data:`MOST` different values are cut into few ordered slices:
numbers at their quartiles, dates by month or by year.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.evaluation.bins import Bin, cut_dates, cut_numbers
from hfpipe.metrics.tasks import Binary, Classification, Metrics, Task, Threshold

MISSING = "(missing)"
MOST = 20
"""So many different values of a column get a slice: the most frequent."""
ALL = "all"
_TWO_SIDED = (
    "precision",
    "f1",
    "macro_f1",
    "macro_precision",
    "macro_recall",
    "average_precision",
)
"""What rows of one class say nothing of, though a formula has a value for them."""


@dataclass(frozen=True)
class Parts:
    """A column as slices.

    Attributes:
        names: Of the slices, in the order in which they are told.
        codes: ``(rows,)``: the place of each row's slice in ``names``; -1 for a row in none.
    """

    names: list[str]
    codes: npt.NDArray[np.int64]


def sliced(
    task: Task,
    truth: npt.NDArray[Any],
    scores: npt.NDArray[np.float64],
    columns: Mapping[str, Sequence[Any]],
    extras: Mapping[str, npt.NDArray[Any]],
    threshold: Threshold | None = None,
) -> dict[str, dict[str, Metrics]]:
    """Column to slice to metrics, ``n`` and the mean of every extra, in the order of ``parts_of``.

    A metric that is not defined for the rows of a slice is None. That is so of precision, F1 and
    average precision where all rows are of one class: they would be 0 or 1 whatever the model
    says.

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
        parts = parts_of(values)
        found[column] = {}
        for at, name in enumerate(parts.names):
            rows = parts.codes == at
            inside = {extra: numbers[rows] for extra, numbers in extras.items()}
            found[column][name] = _slice(task, truth[rows], scores[rows], inside, threshold)
    return found


def parts_of(values: Sequence[Any]) -> Parts:
    """The slices of a column.

    - Of up to :data:`MOST` different values, and of values that are neither numbers nor dates,
      each has its own; the most frequent comes first, and only so many are told.
    - More different numbers are cut at their quartiles, in rising order; see
      :func:`hfpipe.evaluation.bins.quartiles`.
    - More different dates, which may be texts that begin with YEAR-MONTH-DAY, are cut by month, or
      where there are more than :data:`MOST` months, by year, or at the quartiles of the years.
    - Of :class:`hfpipe.evaluation.bins.Bin` each has its own, in the order of their places.

    >>> parts_of(["b", None, "a", "b"])
    Parts(names=['b', '(missing)', 'a'], codes=array([0, 1, 2, 0]))
    >>> parts_of(range(40)).names
    ['0-9', '10-19', '20-29', '30-39']
    """
    names: list[str] = [value_name(value) for value in values]
    known = [at for at, name in enumerate(names) if name != MISSING]
    bins = _bins([values[at] for at in known], len({names[at] for at in known}))
    for at, each in zip(known, bins or (), strict=False):
        names[at] = each
    # Equally frequent ones in the order of their names, so that a run repeats.
    counts = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    told = [str(name) for name, _ in counts[:MOST]]
    if bins:
        place = {str(each): each.place for each in bins}
        told = sorted((str(name) for name, _ in counts), key=lambda name: place.get(name, np.inf))
    places = {name: at for at, name in enumerate(told)}
    return Parts(told, np.array([places.get(name, -1) for name in names], np.int64))


def _bins(values: Sequence[Any], different: int) -> Sequence[Bin] | None:
    """What to call each value instead; None where values speak for themselves."""
    if all(isinstance(each, Bin) for each in values):
        return values
    return (cut_numbers(values) or cut_dates(values, MOST)) if different > MOST else None


def value_name(value: Any) -> str:
    """What a value of a column is called.

    >>> value_name(7), value_name(None), value_name(float("nan")), value_name(" ")
    ('7', '(missing)', '(missing)', '(missing)')
    """
    if value is None or value != value:
        return MISSING
    return str(value) if str(value).strip() else MISSING


def metrics_of_slice(
    task: Task,
    truth: npt.NDArray[Any],
    scores: npt.NDArray[np.float64],
    threshold: Threshold | None = None,
) -> Metrics:
    """``n`` and the metrics of some rows; None where they say nothing: see :func:`sliced`.

    >>> from hfpipe.metrics.tasks import task_of
    >>> found = metrics_of_slice(task_of("binary"), np.array([0, 0]), np.array([0.1, 0.7]))
    >>> found["n"], found["accuracy"], found["f1"], found["roc_auc"]
    (2, 0.5, None, None)
    """
    found: Metrics = {"n": len(truth), **task.metrics(truth, scores, threshold)}
    if isinstance(task, (Binary, Classification)) and len(np.unique(truth)) < 2:
        found |= {name: None for name in _TWO_SIDED if name in found}
    return found


def _slice(
    task: Task,
    truth: npt.NDArray[Any],
    scores: npt.NDArray[np.float64],
    extras: Mapping[str, npt.NDArray[Any]],
    threshold: Threshold | None,
) -> Metrics:
    found = metrics_of_slice(task, truth, scores, threshold)
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
