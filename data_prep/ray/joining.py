"""What is asked of all lots: which rows have similar earlier ones, pairs, clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from data_prep import _join_loops as loops
from data_prep.ray import packing
from data_prep.similarity import BLOCK_PAIRS, Join

#: What is known of a row: nothing yet, kept from now on, kept, dropped.
OPEN, FRESH, KEPT, DROPPED = range(4)


@dataclass
class Lot:
    """Rows that share a term of the lot in their beginnings, in ascending order.

    Attributes:
        rows: ``(n,)`` their places among all rows.
        entries: ``(n, terms)`` their terms' weights, in one order of the terms for all rows.
        own: ``(terms,)`` the terms that belong to this lot.
    """

    rows: np.ndarray
    entries: csr_matrix
    own: np.ndarray

    def only(self, marks: np.ndarray) -> Lot:
        """The marked rows."""
        if marks.all():
            return self
        return Lot(self.rows[marks], self.entries[marks], self.own)

    def search(self, threshold: float, listed: np.ndarray | None = None) -> _Search:
        """Make the rows ready to be compared; only listed ones are found, all by default."""
        join = Join(self.entries, threshold, ordered=True)
        found = join.search(listed)
        # Rows that share another term meet in that term's lot.
        found.lists.stops[~self.own] = found.lists.starts[~self.own]
        (scratch,) = join.scratches(1)
        return _Search(found, scratch)


@dataclass
class _Search:
    """Searched rows, and what the loops need beside them."""

    found: Any
    scratch: Any


def lots_of(block: pa.Table) -> Iterator[Lot]:
    """The lots of a block."""
    for rows, lengths, terms, values, own in zip(
        packing.arrays(block, "rows", np.int64),
        packing.arrays(block, "lengths", np.int32),
        packing.arrays(block, "terms", np.int32),
        packing.arrays(block, "values", np.float64),
        packing.arrays(block, "own", np.bool_),
        strict=True,
    ):
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        if len(rows) > 1:
            yield Lot(rows, csr_matrix((values, terms, starts), (len(rows), len(own))), own)


def beside_open(lot: Lot, status: np.ndarray, threshold: float) -> Iterator[np.ndarray]:
    """Open rows that are similar to an earlier open one: ``(n, 1)``."""
    lot = lot.only(status[lot.rows] == OPEN)
    marks = np.zeros(len(lot.rows), dtype=bool)
    search = lot.search(threshold)
    loops.mark_similar(search.found, 0, len(marks), search.scratch, marks)
    yield lot.rows[marks, None]


def beside_fresh(lot: Lot, status: np.ndarray, threshold: float) -> Iterator[np.ndarray]:
    """Open rows that are similar to an earlier fresh one: ``(n, 1)``."""
    known = status[lot.rows]
    if not (known == OPEN).any() or not (known == FRESH).any():
        return
    lot = lot.only((known == OPEN) | (known == FRESH))
    fresh = status[lot.rows] == FRESH
    marks = np.zeros(len(lot.rows), dtype=bool)
    search = lot.search(threshold, fresh)
    for row in np.flatnonzero(~fresh).tolist():
        loops.mark_similar(search.found, row, row + 1, search.scratch, marks)
    yield lot.rows[marks, None]


def open_pairs(lot: Lot, status: np.ndarray, threshold: float) -> Iterator[np.ndarray]:
    """Pairs of similar open rows: ``(n, 2)``, the later one first."""
    lot = lot.only(status[lot.rows] == OPEN)
    search = lot.search(threshold)
    count, row = len(lot.rows), 0
    room = count + BLOCK_PAIRS
    while row < count:
        found = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room)
        row, pairs = loops.find_pairs(search.found, row, count, search.scratch, *found)
        yield np.column_stack([lot.rows[part[:pairs]] for part in found[:2]])


def cluster_links(lot: Lot, status: np.ndarray, threshold: float) -> Iterator[np.ndarray]:
    """Open rows with the earliest one of their cluster in the lot: ``(n, 2)``."""
    lot = lot.only(status[lot.rows] == OPEN)
    search = lot.search(threshold)
    parents = np.arange(len(lot.rows))
    loops.join_clusters(search.found, 0, len(parents), search.scratch, parents)
    loops.unite_all(parents, parents.copy())
    linked = np.flatnonzero(parents != np.arange(len(parents)))
    yield np.column_stack([lot.rows[linked], lot.rows[parents[linked]]])


Question = Callable[[Lot, np.ndarray, float], Iterator[np.ndarray]]


def _asked(block: pa.Table, question: Question, status: Any, threshold: float) -> pa.Table:
    import ray

    known = ray.get(status)
    found = [part for lot in lots_of(block) for part in question(lot, known, threshold)]
    found = [part for part in found if len(part)]
    rows = np.unique(np.concatenate(found), axis=0) if found else np.empty(0, np.int64)
    return packing.record(rows=rows)


class Lots:
    """All lots, in the cluster."""

    def __init__(self, dataset: Any, threshold: float) -> None:
        """Lots of a dataset, as ``lots.make_lots`` gives it; similar is above the threshold."""
        self._dataset = dataset
        self._threshold = threshold

    def ask(
        self,
        question: Question,
        status: np.ndarray,
        width: int = 1,
        advance: Callable[[int], None] = lambda rows: None,
    ) -> np.ndarray:
        """Ask all lots; gives the answers, one below the other, with repeats.

        Args:
            question: One of the functions of this module.
            status: What is known of each row.
            width: Columns of an answer.
            advance: Told, as lots answer, what share of the rows that is.
        """
        import ray

        given = {"question": question, "status": ray.put(status), "threshold": self._threshold}
        answers = self._dataset.map_batches(
            _asked, batch_size=None, batch_format="pyarrow", fn_kwargs=given
        )
        found, told, blocks = [np.empty((0, width), np.int64)], 0, self._dataset.num_blocks()
        for table in answers.iter_batches(batch_size=None, batch_format="pyarrow"):
            found += [part.copy() for part in packing.arrays(table, "rows", np.int64, width)]
            share = min(len(status) - told, -(-len(status) // blocks))
            advance(share)
            told += share
        advance(len(status) - told)
        return np.concatenate(found)
