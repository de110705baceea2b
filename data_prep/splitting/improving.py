"""Where units are few: move and swap them until no move and no swap brings the shares nearer.

With many units, or with single rows to fill up, placing them largest first leaves nothing to gain.
With a few dozen groups it does: there is then time to look at all pairs of them.
"""

from __future__ import annotations

import numpy as np

from data_prep.splitting.greedy import UnitTable

#: More units than this are left as they are (a table of all pairs is made), and larger tables.
FEW_UNITS = 500
FEW_CELLS = 200_000
#: A change must gain more than this; what is less may be the rounding of floats.
GAIN = 1e-6


def improve(
    classes: np.ndarray,
    units: np.ndarray,
    free: np.ndarray,
    splits: np.ndarray,
    sizes: np.ndarray,
    least: int,
) -> None:
    """Change one or two units at a time, the best change first, and leave no split without a class.

    Args:
        classes: The class of each row, numbered without holes.
        units: The unit of each row, numbered without holes in drawn order.
        free: The rows that may move.
        splits: The split of each row; changed in place.
        sizes: The share of each split.
        least: 0 if a split may lack a class, but not all rows.
    """
    kinds = int(classes.max()) + 1
    count = len(np.unique(units[free]))
    if count > FEW_UNITS or count * kinds > FEW_CELLS:
        return
    table = UnitTable.of(classes[free], units[free])
    counts = np.zeros((count, kinds + 1))
    counts[table.owners(), table.classes] = table.counts
    counts[:, -1] = counts.sum(axis=1)
    placed = np.zeros((len(sizes), kinds + 1))
    np.add.at(placed, (splits, classes), 1)
    placed[:, -1] = placed.sum(axis=1)
    where = np.searchsorted(table.units, units[free])
    homes = np.empty(count, dtype=splits.dtype)
    homes[where] = splits[free]
    _Search(counts, placed, homes, sizes, least).run()
    splits[free] = homes[where]


class _Search:
    """Units in their splits; the last column of every table is for the rows of all classes."""

    def __init__(
        self,
        counts: np.ndarray,
        placed: np.ndarray,
        homes: np.ndarray,
        sizes: np.ndarray,
        least: int,
    ) -> None:
        self.counts, self.placed, self.homes = counts, placed, homes
        self.wanted = np.outer(sizes, placed.sum(axis=0))
        # With one class its column and the last are the same: it does not matter that both count.
        self.guarded = slice(None) if least else slice(-1, None)

    def run(self) -> None:
        """Make the best change until none gains; every one lowers the same sum, so this ends."""
        while True:
            moving, swapping = self._costs()
            unit, split = np.unravel_index(moving.argmin(), moving.shape)
            one, other = np.unravel_index(swapping.argmin(), swapping.shape)
            if min(moving[unit, split], swapping[one, other]) > -GAIN:
                return
            if moving[unit, split] <= swapping[one, other]:
                self._move(int(unit), int(split))
            else:
                home = int(self.homes[one])
                self._move(int(one), int(self.homes[other]))
                self._move(int(other), home)

    def _costs(self) -> tuple[np.ndarray, np.ndarray]:
        """By how much each move (units, splits) and each swap (units, units) raises chi-square."""
        counts, homes = self.counts, self.homes
        over, scale = self.placed - self.wanted, 1 / self.wanted
        squares = counts**2
        coming = squares @ scale.T + 2 * counts @ (over * scale).T
        leaving = np.sum((squares - 2 * counts * over[homes]) * scale[homes], axis=1)
        # A unit that is the last of a class in its split stays.
        last = (counts > 0) & (self.placed[homes] <= counts)
        stays = last[:, self.guarded].any(axis=1)
        moving = coming + leaving[:, None]
        moving[stays] = np.inf
        moving[np.arange(len(homes)), homes] = np.inf
        together = 2 * (counts * scale[homes]) @ counts.T
        one_way = coming[:, homes] + leaving[:, None] - together
        swapping = one_way + one_way.T
        swapping[stays] = np.inf
        swapping[:, stays] = np.inf
        swapping[homes[:, None] == homes] = np.inf
        # Rounded, so that equal costs are equal on every machine and the first one is taken.
        return moving.round(9), swapping.round(9)

    def _move(self, unit: int, split: int) -> None:
        self.placed[self.homes[unit]] -= self.counts[unit]
        self.placed[split] += self.counts[unit]
        self.homes[unit] = split
