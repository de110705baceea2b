"""Texts that the data gives several labels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hfpipe.errors import UserError, nearest

POLICIES = ("report", "drop", "majority")


@dataclass(frozen=True)
class Conflicts:
    """Every text that has more than one label.

    Attributes:
        positions: (rows,) int64: the rows of those texts, text by text; the texts in the order of
            their first rows, the rows of a text ascending.
        starts: (texts + 1,) int64: where each text's rows begin in ``positions``.
    """

    positions: np.ndarray = field(repr=False)
    starts: np.ndarray = field(repr=False)

    @property
    def texts(self) -> int:
        """How many texts have more than one label."""
        return len(self.starts) - 1

    @property
    def rows(self) -> int:
        """How many rows have such a text."""
        return len(self.positions)

    @property
    def groups(self) -> list[np.ndarray]:
        """Positions of each such text's rows."""
        return np.split(self.positions, self.starts[1:-1]) if self.texts else []


def find_conflicts(keys: np.ndarray, labels: np.ndarray) -> Conflicts:
    """Find the texts that have more than one label.

    Args:
        keys: (rows, 2) uint64: a 128-bit hash of each text.
        labels: (rows,) integer codes.

    >>> keys = np.array([[1, 1], [2, 2], [1, 1], [2, 2]], dtype=np.uint64)
    >>> [group.tolist() for group in find_conflicts(keys, np.array([0, 1, 0, 2])).groups]
    [[1, 3]]
    """
    nothing = np.zeros(0, dtype=np.int64)
    if not len(labels):
        return Conflicts(nothing, np.zeros(1, dtype=np.int64))
    order, starts = _sorted_texts(keys)
    sizes = np.diff(starts)
    differs = labels[order] != np.repeat(labels[order[starts[:-1]]], sizes)
    wrong = np.logical_or.reduceat(differs, starts[:-1])
    # The order is stable, so a text's first row is its earliest.
    chosen = np.flatnonzero(wrong)
    chosen = chosen[np.argsort(order[starts[chosen]])]
    sizes = sizes[chosen]
    ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    inside = np.arange(ends[-1]) - np.repeat(ends[:-1], sizes)
    return Conflicts(order[np.repeat(starts[chosen], sizes) + inside], ends)


def to_drop(conflicts: Conflicts, labels: np.ndarray, policy: str) -> np.ndarray:
    """Which rows of texts with several labels to drop.

    Args:
        conflicts: As found.
        labels: (rows,) integer codes, as ``find_conflicts`` was given.
        policy: ``"report"``: none; ``"drop"``: all; ``"majority"``: those without their text's
            most frequent label, and all of a text that has no single one.

    Returns:
        Positions, ascending.

    Raises:
        UserError: There is no such policy.

    >>> keys = np.ones((3, 2), dtype=np.uint64)
    >>> labels = np.array([4, 7, 4])
    >>> to_drop(find_conflicts(keys, labels), labels, "majority").tolist()
    [1]
    """
    if policy not in POLICIES:
        raise UserError(f"no way '{policy}' to settle conflicts{nearest(policy, POLICIES)}")
    if policy == "report" or not conflicts.rows:
        return np.zeros(0, dtype=np.int64)
    if policy == "drop":
        return np.sort(conflicts.positions)
    return np.sort(conflicts.positions[~_in_majority(conflicts, labels)])


def _sorted_texts(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions sorted by key, stably, and where each key's begin, closed by their number."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    changes = np.flatnonzero(np.any(ordered[1:] != ordered[:-1], axis=1)) + 1
    return order, np.concatenate([[0], changes, [len(keys)]])


def _in_majority(conflicts: Conflicts, labels: np.ndarray) -> np.ndarray:
    """Mark the rows of ``conflicts.positions`` with the one most frequent label of their text."""
    text = np.repeat(np.arange(conflicts.texts), np.diff(conflicts.starts))
    names, label = np.unique(labels[conflicts.positions], return_inverse=True)
    pairs, pair, counts = np.unique(
        text * len(names) + label, return_inverse=True, return_counts=True
    )
    of_text = pairs // len(names)
    firsts = np.searchsorted(of_text, np.arange(conflicts.texts))
    at_most = counts == np.maximum.reduceat(counts, firsts)[of_text]
    alone = np.add.reduceat(at_most.astype(np.int64), firsts) == 1
    return (at_most & alone[of_text])[pair]
