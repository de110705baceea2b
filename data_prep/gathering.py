"""Rows that agree in some columns become one row, with lists where they differ in others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_prep.finding import combined, text_array
from data_prep.spool import Spool
from hfpipe.rows.identity import canonical

#: Rows looked at at a time; a group is looked at whole.
PORTION = 10_000


@dataclass
class Groups:
    """Which rows become one.

    Attributes:
        order: Positions of the rows that stay, group by group, in row order within a group.
        starts: Where in ``order`` each group starts; its length at the end. ``(groups + 1,)``
    """

    order: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        """How many groups."""
        return len(self.starts) - 1

    def portions(self, rows: int | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Whole groups at a time: the positions of their rows, and where each group starts.

        >>> groups = Groups(np.array([0, 2, 1, 3]), np.array([0, 2, 3, 4]))
        >>> [(rows.tolist(), starts.tolist()) for rows, starts in groups.portions(3)]
        [([0, 2, 1], [0, 2, 3]), ([3], [0, 1])]
        """
        rows, first = rows or PORTION, 0
        while first < len(self):
            fits = int(np.searchsorted(self.starts, self.starts[first] + rows, side="right")) - 1
            last = max(first + 1, fits)
            low, high = self.starts[first], self.starts[last]
            yield self.order[low:high], self.starts[first : last + 1] - low
            first = last


class KeyCodes:
    """Numbers for what rows hold in the key columns, in order of first appearance.

    >>> keys = KeyCodes(["a", "b"])
    >>> keys.codes(pa.table({"a": ["x", "y", "x", " "], "b": [1, 1, 1, 1]}), "f").tolist()
    [0, 1, 0, -1]
    """

    def __init__(self, columns: Sequence[str]) -> None:
        """Start without any."""
        self.columns = list(columns)
        self._known: dict[tuple[str, ...], int] = {}

    def codes(self, table: pa.Table, place: str) -> np.ndarray:
        """The code of each row; -1 where a column is empty.

        Raises:
            UserError: A column holds what is no text, number or the like.
        """
        values = [text_array(place, table, name).to_pylist() for name in self.columns]
        found = np.full(table.num_rows, -1, dtype=np.int64)
        for row, key in enumerate(zip(*values, strict=True)):
            if all(part and part.strip() for part in key):
                found[row] = self._known.setdefault(key, len(self._known))
        return found


def groups_of(codes: np.ndarray, kept: np.ndarray) -> Groups:
    """The rows at ``kept``, ascending, by their code; the group of the first row comes first.

    >>> found = groups_of(np.array([1, 0, 1, -1]), np.array([0, 1, 2]))
    >>> found.order.tolist(), found.starts.tolist()
    ([0, 2, 1], [0, 2, 3])
    """
    _, first, group, sizes = np.unique(
        codes[kept], return_index=True, return_inverse=True, return_counts=True
    )
    by_first = np.argsort(first)
    rank = np.empty(len(first), dtype=np.int64)
    rank[by_first] = np.arange(len(first))
    order = kept[np.argsort(rank[group], kind="stable")]
    return Groups(order, np.concatenate([[0], np.cumsum(sizes[by_first])]))


def differing(spool: Spool, groups: Groups, columns: Sequence[str]) -> set[str]:
    """Those of the columns in which rows of one group differ, in any group."""
    left = list(columns)
    found: set[str] = set()
    for positions, starts in groups.portions():
        if not left:
            break
        table = spool.take(positions)
        inner = np.ones(len(positions), dtype=bool)
        inner[starts[:-1]] = False  # a group's first row has none before it
        for name in list(left):
            codes = _codes(combined(table.column(name)))
            if np.any((codes[1:] != codes[:-1]) & inner[1:]):
                found.add(name)
                left.remove(name)
    return found


def _codes(column: pa.Array) -> np.ndarray:
    """Numbers, equal for equal values; null equals null, and NaN equals NaN."""
    kind = column.type
    if pa.types.is_null(kind):
        return np.zeros(len(column), dtype=np.int64)
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
    elif pa.types.is_nested(kind):
        said = [None if each is None else canonical({"": each}) for each in column.to_pylist()]
        column = pa.array(said, pa.binary())
    indices = pc.fill_null(column.dictionary_encode().indices, -1)
    return np.asarray(indices.to_numpy(zero_copy_only=False))


def gathered(
    spool: Spool,
    groups: Groups,
    lists: Collection[str],
    texts: Collection[str] = (),
    change: Callable[[pa.Table, np.ndarray], pa.Table] = lambda table, positions: table,
) -> Iterator[pa.Table]:
    """One row a group, in portions.

    Args:
        spool: All rows.
        groups: Which of them become one.
        lists: Columns that become lists; of the others a group's first value is taken.
        texts: Those of the lists that become lists of texts, whatever they hold.
        change: Changes the rows of a portion first; is told their positions.
    """
    for positions, starts in groups.portions():
        table = change(spool.take(positions), positions)
        columns = {}
        for name in table.column_names:
            column = combined(table.column(name))
            if name not in lists:
                columns[name] = column.take(pa.array(starts[:-1]))
                continue
            if name in texts and not pa.types.is_nested(column.type):
                column = text_array(name, table, name)
            columns[name] = pa.ListArray.from_arrays(pa.array(starts, pa.int32()), column)
        yield pa.table(columns)
