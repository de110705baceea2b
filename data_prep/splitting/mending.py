"""Move single units where a split was left without rows, or without rows of a class."""

from __future__ import annotations

import numpy as np

from data_prep.splitting.greedy import UnitTable
from data_prep.splitting.shares import table


def mend(
    classes: np.ndarray,
    units: np.ndarray,
    free: np.ndarray,
    splits: np.ndarray,
    sizes: np.ndarray,
    least: int,
) -> None:
    """Give every split a unit of each class, as far as there are units to spare.

    Of the units that can move without leaving a hole elsewhere, the one goes whose move costs
    least in squared deviations from what is wanted.

    Args:
        classes: The class of each row, numbered without holes.
        units: The unit of each row, numbered without holes.
        free: The rows that may move.
        splits: The split of each row; changed in place.
        sizes: The share of each split.
        least: 0 if a split may lack a class, but not all rows.
    """
    if not least:
        classes = np.zeros_like(classes)
    counts = table(splits, classes, len(sizes))
    holes = np.argwhere(counts == 0)
    if not len(holes):
        return
    wanted = np.outer(sizes, np.bincount(classes))
    movable = _Movable(classes, units, free, splits)
    rarest_first = np.lexsort((holes[:, 0], holes[:, 1], wanted.sum(axis=0)[holes[:, 1]]))
    for split, one in holes[rarest_first].tolist():
        if counts[split, one] == 0:
            movable.fill(split, one, counts, wanted)
    homes = np.full(int(units.max()) + 1, -1, dtype=splits.dtype)
    homes[movable.table.units] = movable.homes
    splits[free] = homes[units[free]]


class _Movable:
    """The units that may move, and where they are."""

    def __init__(
        self, classes: np.ndarray, units: np.ndarray, free: np.ndarray, splits: np.ndarray
    ) -> None:
        self.table = UnitTable.of(classes[free], units[free])
        homes = np.full(int(units.max()) + 1, -1, dtype=splits.dtype)
        homes[units[free]] = splits[free]
        self.homes = homes[self.table.units]
        self.owners = self.table.owners()
        self.by_class = np.argsort(self.table.classes, kind="stable")
        self.ends = np.cumsum(np.bincount(self.table.classes, minlength=int(classes.max()) + 1))

    def fill(self, split: int, one: int, counts: np.ndarray, wanted: np.ndarray) -> None:
        """Move the unit that costs least into a hole, and keep the counts."""
        start = self.ends[one - 1] if one else 0
        candidates = self.owners[self.by_class[start : self.ends[one]]]
        if not len(candidates):
            return
        costs = self._costs(candidates, split, counts, wanted)
        best = int(costs.argmin())
        if np.isinf(costs[best]):
            return
        unit = int(candidates[best])
        cells = slice(self.table.starts[unit], self.table.starts[unit + 1])
        moved, rows = self.table.classes[cells], self.table.counts[cells]
        counts[self.homes[unit], moved] -= rows
        counts[split, moved] += rows
        self.homes[unit] = split

    def _costs(
        self, candidates: np.ndarray, split: int, counts: np.ndarray, wanted: np.ndarray
    ) -> np.ndarray:
        """What moving each candidate costs; infinite where it would leave a hole."""
        lengths = np.diff(self.table.starts)[candidates]
        owner = np.repeat(np.arange(len(candidates)), lengths)
        offsets = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        cells = np.repeat(self.table.starts[candidates], lengths) + offsets
        one, rows = self.table.classes[cells], self.table.counts[cells]
        home = self.homes[candidates][owner]
        there, here = counts - wanted, rows.astype(float)
        cost = (here**2 + 2 * here * there[split, one]) / wanted[split, one]
        cost += (here**2 - 2 * here * there[home, one]) / wanted[home, one]
        cost[counts[home, one] <= rows] = np.inf
        return np.bincount(owner, cost, minlength=len(candidates))
