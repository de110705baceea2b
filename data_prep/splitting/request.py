"""What a way of splitting is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

SPLITS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
#: A row that is in no split: not yet, or dropped.
NOWHERE = -1


@dataclass(frozen=True)
class SplitRequest:
    """The rows to split, as arrays of one entry a row.

    Attributes:
        order: Positions in drawn order, (rows,) int64: ``draw_order(row_ids, seed, "split")``.
        labels: Class codes, (rows,) int32; all -1 where rows have no class (regression).
        label_names: The name of each class code.
        sizes: The share of each split; they sum to 1.
        units: Rows with equal codes stay together, (rows,) int64; None: each row for itself.
        group_name: The column that the units come from; None: they are near-duplicates only.
        times: When each row was, (rows,) int64 (microseconds) or float64; the lowest int64 and
            NaN are missing times.
        gap: Time left out after each split, in the unit of ``times``; 0 for none.
        given: The split that each row names, (rows,) objects; None in it: it names none.
        pinned: The split of rows that an earlier version of the dataset has, (rows,) int8; -1
            elsewhere. They stay where they are.
        given_from: What ``given`` comes from, for messages.
        group_of: The name of the group of the row at a position, for messages.
    """

    order: np.ndarray
    labels: np.ndarray
    label_names: Sequence[str] = ()
    sizes: Sequence[float] = (0.8, 0.1, 0.1)
    units: np.ndarray | None = None
    group_name: str | None = None
    times: np.ndarray | None = None
    gap: float = 0
    given: np.ndarray | None = None
    pinned: np.ndarray | None = None
    given_from: str = "--split-column"
    group_of: Callable[[int], str] | None = None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.order)

    @property
    def shown_sizes(self) -> str:
        """The shares as ``--sizes`` takes them."""
        return ",".join(f"{size:g}" for size in self.sizes)

    def settled(self) -> np.ndarray:
        """The split of every pinned row, (rows,) int16, and -1 elsewhere."""
        if self.pinned is None:
            return np.full(self.rows, NOWHERE, dtype=np.int16)
        return self.pinned.astype(np.int16)


@dataclass
class Assignment:
    """Where every row goes.

    Attributes:
        splits: (rows,) int8: 0 train, 1 validation, 2 test, -1 dropped.
        dropped: Reason to the positions of the rows that were dropped for it, ascending.
    """

    splits: np.ndarray
    dropped: dict[str, np.ndarray] = field(default_factory=dict)
