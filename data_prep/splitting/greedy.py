"""Units of several rows to splits, largest first, each to the split that lacks it most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.splitting.request import NOWHERE
from data_prep.splitting.shares import table


@dataclass(frozen=True)
class UnitTable:
    """How many rows of each class each unit has: the cells that are not 0, by unit, then class.

    Attributes:
        units: The units' numbers, ascending.
        starts: Where each unit's cells begin, and where the last one's end.
        classes: The class of each cell.
        counts: The rows of each cell.
    """

    units: np.ndarray
    starts: np.ndarray
    classes: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, classes: np.ndarray, units: np.ndarray) -> UnitTable:
        """Count the rows of each unit and class."""
        width = int(classes.max()) + 1
        cells, counts = np.unique(units * width + classes, return_counts=True)
        numbers, starts = np.unique(cells // width, return_index=True)
        return cls(numbers, np.append(starts, len(cells)), cells % width, counts)

    def owners(self) -> np.ndarray:
        """Which unit each cell belongs to, as a place in ``units``."""
        return np.repeat(np.arange(len(self.units)), np.diff(self.starts))


def place_units(
    classes: np.ndarray,
    units: np.ndarray,
    marks: np.ndarray,
    splits: np.ndarray,
    sizes: np.ndarray,
) -> None:
    """Place whole units.

    Large units go first: those whose rows are the largest part of their classes and of all rows.
    Among units of a size (to a power of two) the drawn order decides.

    Args:
        classes: The class of each row, numbered without holes.
        units: The unit of each row, numbered without holes in drawn order.
        marks: The rows whose units are placed.
        splits: The split of each row, -1 for nowhere; filled in place.
        sizes: The share of each split.
    """
    wanted = np.outer(sizes, np.bincount(classes))
    lacking = wanted - table(splits, classes, len(sizes))
    if lacking.shape[1] > 1:  # one more column: the rows of all classes
        wanted = np.column_stack([wanted, wanted.sum(axis=1)])
        lacking = np.column_stack([lacking, lacking.sum(axis=1)])
    units_of = UnitTable.of(classes[marks], units[marks])
    columns, counts, starts = _with_sums(units_of, wanted.shape[1])
    parts = counts / wanted.sum(axis=0)[columns]
    weights = np.bincount(np.repeat(np.arange(len(starts) - 1), np.diff(starts)), parts)
    order = np.argsort(-np.frexp(weights)[1], kind="stable")
    chosen = _place_in_order(order, starts, columns, counts, parts, lacking, sizes)
    homes = np.full(int(units.max()) + 1, NOWHERE, dtype=np.int16)
    homes[units_of.units] = chosen
    splits[marks] = homes[units[marks]]


def _with_sums(table: UnitTable, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells of the units' classes, and for each unit one of all its rows if there are classes."""
    if width == 1:
        return table.classes, table.counts, table.starts
    ends = table.starts[1:]
    columns = np.insert(table.classes, ends, width - 1)
    sums = np.add.reduceat(table.counts, table.starts[:-1])
    counts = np.insert(table.counts, ends, sums)
    return columns, counts, table.starts + np.arange(len(table.starts))


def _place_in_order(
    order: np.ndarray,
    starts: np.ndarray,
    columns: np.ndarray,
    counts: np.ndarray,
    parts: np.ndarray,
    lacking: np.ndarray,
    sizes: np.ndarray,
) -> np.ndarray:
    """The split of each unit.

    A unit with c rows of a class of N goes to the split of share p that makes the sum over its
    classes of c (c - 2 lacking) / (N p) least: by that the squared deviations, each over what is
    wanted, change. Plain lists: for a few numbers at a time they are quicker than arrays.
    """
    bounds, where, rows = starts.tolist(), columns.tolist(), counts.tolist()
    part = parts.tolist()
    lacks = lacking.tolist()
    spans = [(split, lacks[split], 1 / share) for split, share in enumerate(sizes.tolist())]
    chosen = np.empty(len(starts) - 1, dtype=np.int16)
    for unit in order.tolist():
        cells = range(bounds[unit], bounds[unit + 1])
        best, least = 0, float("inf")
        for split, lack, scale in spans:
            cost = 0.0
            for cell in cells:
                cost += part[cell] * (rows[cell] - 2 * lack[where[cell]])
            cost *= scale
            if cost < least:
                best, least = split, cost
        chosen[unit] = best
        lack = lacks[best]
        for cell in cells:
            lack[where[cell]] -= rows[cell]
    return chosen
