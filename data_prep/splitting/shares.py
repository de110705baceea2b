"""Whole rows by share: how many each split gets, and which."""

from __future__ import annotations

import numpy as np

from data_prep.splitting.request import NOWHERE


def fill_at_cuts(order: np.ndarray, splits: np.ndarray, sizes: np.ndarray) -> None:
    """Give the rows that are nowhere to the splits, so that all rows have the shares.

    Args:
        order: Positions of all rows in drawn order.
        splits: The split of each row, -1 for nowhere; filled in place.
        sizes: The share of each split.
    """
    free = order[splits[order] == NOWHERE]
    there = np.bincount(splits[splits != NOWHERE], minlength=len(sizes))
    cuts = np.rint(np.cumsum(_open_shares(sizes, there, len(free))[:-1]) * len(free)).astype(int)
    for split, part in enumerate(np.split(free, cuts)):
        splits[part] = split


def fill_by_class(
    order: np.ndarray, classes: np.ndarray, splits: np.ndarray, sizes: np.ndarray, least: int
) -> None:
    """Give the rows that are nowhere to the splits, so that all rows of each class have the shares.

    Args:
        order: Positions of all rows in drawn order.
        classes: The class of each row, numbered without holes.
        splits: The split of each row, -1 for nowhere; filled in place.
        sizes: The share of each split.
        least: Rows of each class that every split gets if there are enough.
    """
    there = table(splits, classes, len(sizes))
    free = order[splits[order] == NOWHERE]
    by_class = free[np.argsort(classes[free], kind="stable")]
    ends = np.cumsum(np.bincount(classes[free], minlength=there.shape[1]))
    owed = np.zeros(len(sizes))  # what rounding has kept from each split so far
    for one, members in enumerate(np.split(by_class, ends[:-1])):
        if not len(members):
            continue
        exact = len(members) * _open_shares(sizes, there[:, one], len(members))
        counts = _apportion(exact, owed, len(members))
        _raise_to(least, counts, there[:, one])
        owed += exact - counts
        splits[members] = np.repeat(np.arange(len(sizes)), counts)


def table(splits: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """Rows of each class in each split, (splits, classes); rows that are nowhere do not count.

    >>> table(np.array([0, 1, 0, -1]), np.array([0, 0, 1, 1]), 2).tolist()
    [[1, 1], [1, 0]]
    """
    width = int(classes.max()) + 1
    placed = splits != NOWHERE
    cells = splits[placed].astype(np.int64) * width + classes[placed]
    return np.bincount(cells, minlength=count * width).reshape(count, width)


def _open_shares(sizes: np.ndarray, there: np.ndarray, free: int) -> np.ndarray:
    """The shares of the free rows that bring all rows, those already there too, to ``sizes``.

    >>> _open_shares(np.array([0.5, 0.5]), np.array([4, 0]), 8).tolist()
    [0.25, 0.75]
    """
    if not there.any():
        return sizes
    lacking = np.maximum((there.sum() + free) * sizes - there, 0)
    return lacking / lacking.sum() if lacking.any() else sizes


def _apportion(exact: np.ndarray, owed: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers near ``exact`` that sum to ``total``; what rounding owes a split goes first.

    >>> _apportion(np.array([4.8, 0.6, 0.6]), np.zeros(3), 6).tolist()
    [5, 1, 0]
    """
    counts = np.floor(exact + 1e-9).astype(int)
    missing = total - int(counts.sum())
    fractions = np.round(exact - counts, 9)
    # What is whole already is left alone: no count is further than one row from its share.
    claims = np.where(fractions > 0, np.round(fractions + owed, 9), -np.inf)
    counts[np.argsort(-claims, kind="stable")[:missing]] += 1
    return counts


def _raise_to(least: int, counts: np.ndarray, there: np.ndarray) -> None:
    """Move single rows until every split has ``least``, or no split can spare one."""
    while True:
        has = counts + there
        spare = (counts > 0) & (has > least)
        if has.min() >= least or not spare.any():
            return
        counts[np.where(spare, counts, -1).argmax()] -= 1
        counts[has.argmin()] += 1
