"""Every row to a split: what is settled stays, large units go first, single rows fill up.

The number of each class that a split should have is its share of the class. Units of several rows
are placed one after the other, largest first, each where it lowers the squared deviations
(relative to what is wanted: chi-square) most; this is the idea of scikit-learn's
StratifiedGroupKFold, here for unequal shares. Single rows then make up the exact shares. Where
there are only a few units, moves and swaps make the shares as near as they get.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.splitting.greedy import place_units
from data_prep.splitting.improving import improve
from data_prep.splitting.mending import mend
from data_prep.splitting.request import NOWHERE, SplitRequest
from data_prep.splitting.shares import fill_at_cuts, fill_by_class


@dataclass(frozen=True)
class Rows:
    """The rows to place, with everything numbered in an order that the input order has no part in.

    Attributes:
        order: Positions in drawn order, (rows,) int64.
        classes: The class of each row, (rows,) int64, without holes, in order of the names.
        class_names: The name of each class.
        units: The unit of each row, (rows,) int64, without holes, in drawn order.
        by_class: Whether classes matter; if not, there is one.
    """

    order: np.ndarray
    classes: np.ndarray
    class_names: list[str]
    units: np.ndarray
    by_class: bool

    @classmethod
    def of(cls, request: SplitRequest, by_class: bool, marks: np.ndarray | None = None) -> Rows:
        """The rows of a request, or those that are marked, in the order of their positions."""
        order = request.order
        labels, units = request.labels, request.units
        if marks is not None:
            place = np.cumsum(marks) - 1
            order = place[order[marks[order]]]
            labels = labels[marks]
            units = None if units is None else units[marks]
        by_class = by_class and bool(np.any(labels >= 0))
        classes, names = _numbered_classes(labels, request, by_class)
        return cls(order, classes, names, numbered_units(order, units), by_class)


def place(rows: Rows, sizes: np.ndarray, settled: np.ndarray, least: int = 1) -> np.ndarray:
    """Give every row a split.

    Args:
        rows: The rows.
        sizes: The share of each split.
        settled: The split of rows that must stay there, (rows,) int16; -1 elsewhere.
        least: Rows of each class that every split gets if there are enough.

    Returns:
        The split of each row, (rows,) int16. Rows of a unit are in one split, unless they were
        settled in several.
    """
    sizes = _summing_to_one(sizes)
    splits = _with_their_unit(rows.units, settled)
    free = splits == NOWHERE
    several = np.bincount(rows.units)[rows.units] > 1
    if np.any(free & several):
        place_units(rows.classes, rows.units, free & several, splits, sizes)
    if rows.by_class:
        fill_by_class(rows.order, rows.classes, splits, sizes, least)
    else:
        fill_at_cuts(rows.order, splits, sizes)
    if np.any(free & several):
        mend(rows.classes, rows.units, free, splits, sizes, least)
        improve(rows.classes, rows.units, free, splits, sizes, least)
    return splits


def numbered_units(order: np.ndarray, units: np.ndarray | None) -> np.ndarray:
    """Units numbered by the place of their first row in drawn order.

    >>> numbered_units(np.array([2, 0, 1]), np.array([7, 5, 5])).tolist()
    [1, 0, 0]
    """
    rows = len(order)
    numbers = np.empty(rows, dtype=np.int64)
    if units is None or not rows:
        numbers[order] = np.arange(rows)
        return numbers
    if units.min() < 0 or units.max() >= 2 * rows:
        units = np.unique(units, return_inverse=True)[1]
    drawn = units[order]
    # Written from the last row to the first, what stays is the place of each unit's first row.
    first = np.empty(int(units.max()) + 1, dtype=np.int64)
    first[drawn[::-1]] = np.arange(rows - 1, -1, -1)
    opens = first[drawn] == np.arange(rows)
    numbers[order] = (np.cumsum(opens) - 1)[first[drawn]]
    return numbers


def _numbered_classes(
    labels: np.ndarray, request: SplitRequest, by_class: bool
) -> tuple[np.ndarray, list[str]]:
    """Class numbers in order of the names, so that the order of the codes plays no part."""
    if not by_class:
        return np.zeros(len(labels), dtype=np.int64), [""]
    names = request.label_names
    by_name = sorted(range(len(names)), key=names.__getitem__)
    # One more entry: code -1, no class, comes first.
    rank = np.zeros(len(names) + 1, dtype=np.int64)
    rank[by_name] = np.arange(1, len(names) + 1)
    ranks = rank[labels]
    there = np.bincount(ranks, minlength=len(rank)) > 0
    found = [names[by_name[at - 1]] if at else "" for at in np.flatnonzero(there).tolist()]
    return (np.cumsum(there) - 1)[ranks], found


def _with_their_unit(units: np.ndarray, settled: np.ndarray) -> np.ndarray:
    """Send the rows of a unit with settled rows there; to the lowest split where it has several."""
    splits = settled.copy()
    fixed = np.flatnonzero(settled != NOWHERE)
    if not len(fixed):
        return splits
    home = np.full(int(units.max()) + 1, np.iinfo(np.int16).max, dtype=np.int16)
    np.minimum.at(home, units[fixed], settled[fixed])
    follows = (settled == NOWHERE) & (home[units] != np.iinfo(np.int16).max)
    splits[follows] = home[units[follows]]
    return splits


def _summing_to_one(sizes: np.ndarray) -> np.ndarray:
    total = sizes.sum()
    return sizes if abs(total - 1) < 1e-12 else sizes / total
