"""How likely it is that the rows of a slice are as bad as they are by chance alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from hfpipe.metrics.scores import Floats

Marks = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
SIDE = float(stats.norm.isf(0.05))
"""Standard errors below which a difference is in one case of 20: the end of its interval."""
FEWEST_OF_A_CLASS = 10


class Evidence(ABC):
    """What tells whether some rows are worse than others."""

    @abstractmethod
    def tests(self, codes: Ints, wanted: Ints, among: Marks) -> tuple[Floats, Floats]:
        """Of every wanted slice against all other rows.

        Args:
            codes: ``(rows,)``: the slice that each row is in.
            wanted: ``(slices,)`` codes; neither a slice nor the others are without rows.
            among: ``(rows,)``: those that count.

        Returns:
            ``(slices,)`` one-sided p-values, and by how much each is worse at least: the lower end
            of a one-sided 95 % interval.
        """

    @abstractmethod
    def shares(self, rows: Marks, among: Marks) -> Floats:
        """``(rows,)``: what each row adds to the error of the difference; 0 beside ``among``."""

    @abstractmethod
    def difference(self, rows: Marks, among: Marks) -> float:
        """By how much the rows are worse than the others."""

    def group_p(self, rows: Marks, among: Marks, owners: Ints) -> float:
        """One-sided t-test of the difference, where errors of one group may go together.

        The variance is the sum over groups of the squared sums of their rows' shares in the error
        (Liang and Zeger 1986; of ROC AUC Obuchowski 1997); degrees of freedom are the groups with a
        row in the slice, less one.

        Args:
            rows: ``(rows,)``: those of the slice.
            among: ``(rows,)``: those that count.
            owners: ``(rows,)``: the number of each row's group.
        """
        groups = len(np.unique(owners[rows & among]))
        if groups < 2:
            return 1.0
        sums = np.bincount(owners, self.shares(rows, among))
        error = np.sqrt((sums**2).sum() * groups / (groups - 1))
        gap = self.difference(rows, among)
        return float(stats.t.sf(gap / error, groups - 1)) if error > 0 else float(gap <= 0)


@dataclass(frozen=True)
class Losses(Evidence):
    """Mean losses of rows.

    Attributes:
        losses: ``(rows,)``.
    """

    losses: Floats

    def tests(self, codes: Ints, wanted: Ints, among: Marks) -> tuple[Floats, Floats]:
        """By :func:`permutation_p`."""
        losses, part = self.losses[among], codes[among]
        there = part >= 0
        counts = np.bincount(part[there], minlength=wanted.max() + 1)[wanted]
        totals = np.bincount(part[there], losses[there], minlength=wanted.max() + 1)[wanted]
        rest = len(losses) - counts
        gaps = totals / counts - (losses.sum() - totals) / rest
        gaps -= SIDE * losses.std() * np.sqrt(1 / counts + 1 / rest)
        return permutation_p(losses, counts, totals), gaps

    def shares(self, rows: Marks, among: Marks) -> Floats:
        """See :class:`Evidence`."""
        found = np.zeros(len(rows))
        for side, sign in ((rows & among, 1), (~rows & among, -1)):
            found[side] = sign * (self.losses[side] - self.losses[side].mean()) / side.sum()
        return found

    def difference(self, rows: Marks, among: Marks) -> float:
        """See :class:`Evidence`."""
        return float(self.losses[rows & among].mean() - self.losses[~rows & among].mean())


@dataclass(frozen=True)
class Ranking(Evidence):
    """ROC AUC, by the method of DeLong, DeLong and Clarke-Pearson 1988.

    The variance of a slice is at least what it would be with the spread of all rows, since few rows
    may all be alike by chance. With less than ten rows of a class on a side nothing is certain.

    Attributes:
        yes: ``(rows,)``: which are positive.
        places: ``(rows,)``: the rank of each score, the same for equal ones.
    """

    yes: Marks
    places: Ints

    def tests(self, codes: Ints, wanted: Ints, among: Marks) -> tuple[Floats, Floats]:
        """By the normal distribution of the difference."""
        chances, gaps = np.ones(len(wanted)), np.full(len(wanted), -np.inf)
        least = self._area(among)[1]
        for at, code in enumerate(wanted):
            rows = among & (codes == code)
            sides = rows, among & ~rows
            counts = [[(side & kind).sum() for kind in self._classes] for side in sides]
            if np.min(counts) < FEWEST_OF_A_CLASS:
                continue
            (area, own), (rest, others) = (self._area(side) for side in sides)
            spreads = np.maximum([own, others], [least])
            error = np.sqrt((spreads / counts).sum())
            if error > 0:
                chances[at] = stats.norm.sf((rest - area) / error)
                gaps[at] = rest - area - SIDE * error
        return chances, gaps

    def shares(self, rows: Marks, among: Marks) -> Floats:
        """See :class:`Evidence`."""
        found = np.zeros(len(rows))
        for side, sign in ((rows & among, -1), (~rows & among, 1)):
            above = self._above(side)
            for kind in self._classes:
                part = side & kind
                found[part] = sign * (above[part] - above[part].mean()) / part.sum()
        return found

    def difference(self, rows: Marks, among: Marks) -> float:
        """See :class:`Evidence`."""
        return self._area(~rows & among)[0] - self._area(rows & among)[0]

    @property
    def _classes(self) -> tuple[Marks, Marks]:
        return self.yes, ~self.yes

    def _above(self, side: Marks) -> Floats:
        """``(rows,)``: the share of a side's rows of the other class that each is right against."""
        count = int(self.places.max()) + 1
        found = np.zeros(len(side))
        for kind, other, sign in ((self.yes, ~self.yes, 1), (~self.yes, self.yes, -1)):
            at = np.bincount(self.places[side & other], minlength=count)
            below = (np.cumsum(at) - at / 2)[self.places[side & kind]] / max(1, at.sum())
            found[side & kind] = below if sign > 0 else 1 - below
        return found

    def _area(self, side: Marks) -> tuple[float, list[float]]:
        """ROC AUC, and the variance of what it is the mean of, by positive and negative rows."""
        above = self._above(side)
        found = [above[side & kind] for kind in self._classes]
        area = float(found[0].mean()) if len(found[0]) else 0.0
        return area, [float(each.var(ddof=1)) if len(each) > 1 else 0.0 for each in found]


def permutation_p(losses: Floats, counts: npt.ArrayLike, totals: npt.ArrayLike) -> Floats:
    """How likely so many rows, drawn from all without putting back, have as great a sum of losses.

    A one-sided permutation test: exact (hypergeometric) for losses that are 0 or 1, else by the
    first three moments of the permutation distribution, as a Pearson type III (Mielke and Berry
    2007, *Permutation Methods*).

    Args:
        losses: ``(rows,)``.
        counts: ``(slices,)``: rows of each slice.
        totals: ``(slices,)``: the sum of their losses.

    >>> permutation_p(np.array([1.0, 1.0, 0.0, 0.0]), [2], [2.0]).round(4).tolist()
    [0.1667]
    """
    n, total = np.asarray(counts, np.float64), np.asarray(totals, np.float64)
    size, mean, spread = len(losses), losses.mean(), losses.std()
    if np.isin(losses, (0, 1)).all():
        wrong = np.rint(total)
        return np.asarray(stats.hypergeom.sf(wrong - 1, size, int(losses.sum()), n))
    if spread <= np.finfo(float).eps * abs(mean) or size < 3:
        return np.ones(len(n))
    rest = np.maximum(size - n, np.finfo(float).tiny)
    skew: Any = ((losses - mean) ** 3).mean() / spread**3
    skew = skew * (size - 2 * n) / (size - 2) * np.sqrt((size - 1) / (n * rest))
    height = (total / n - mean) / (spread * np.sqrt(rest / (n * (size - 1))))
    return np.where(n < size, stats.pearson3.sf(height, skew), 1.0)
