"""All pairs of rows whose cosine similarity is above a threshold, and no pair lost.

The rows are sparse and of unit length, their terms in the order from rare to frequent. Only the
*beginning* of a row is listed under its terms: up to where the rest of the row is no longer than
the threshold. Two rows whose beginnings share no term cannot be more similar than the threshold
(Cauchy-Schwarz; Bayardo, Ma and Srikant 2007; Xiao et al. 2008). Where two rows meet in a first
common term, the product of its weights plus the product of the lengths of the two rests bounds
their similarity (Anastasiu and Karypis 2014). The bound gets tighter with an outline of the listed
row, a bit for each of its terms: terms of the other row that it lacks count for nothing. Only pairs
whose bound is above the threshold are multiplied out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from data_prep import _join_arrays as arrays
from data_prep import _join_loops as loops
from data_prep._jit import in_order, spans, thread_count

#: A similarity must be above the threshold by more than this: sums of floats that are equal on
#: paper differ in their last digits, and a tie is not "above".
TIE = 1e-9
#: Rows that a thread does at a time.
BLOCK_ROWS = 4096
#: Pairs that a block holds at most (and as many more as there are rows).
BLOCK_PAIRS = 1_000_000
#: Candidates that are looked for before they are compared.
CHUNK = 256


@dataclass(frozen=True)
class PairBlock:
    """Similar pairs whose later row lies in ``start:stop``; ``earlier`` < ``later`` in each."""

    start: int
    stop: int
    later: np.ndarray
    earlier: np.ndarray
    similarity: np.ndarray


class Join:
    """Rows made ready to be compared above a threshold.

    Args:
        rows: L2-normalised rows without negative entries.
        threshold: From 0 to 1.
        ordered: The entries of each row stand in one order of the terms that is the same for
            all rows.

    Attributes:
        count: Number of rows.
        rows: The rows for the loops.
    """

    def __init__(self, rows: csr_matrix, threshold: float, *, ordered: bool = False) -> None:
        if not ordered:
            rows = rare_terms_first(rows)
        self.count, self.terms = rows.shape
        starts = rows.indptr.astype(np.int64)
        rests = np.empty(len(rows.data), dtype=np.float32)
        loops.measure(starts, rows.data, rests)
        terms = rows.indices.astype(np.int32, copy=False)
        self.rows = arrays.Rows(starts, terms, rows.data, rests)
        self.threshold = float(threshold) + TIE
        self.limit = np.float32(threshold - loops.SLACK)

    def search(self, chosen: np.ndarray | None = None, listed: bool = True) -> arrays.Search:
        """List rows under the terms of their beginnings.

        Args:
            chosen: One mark a row: only these are listed. All by default.
            listed: False: the lists are empty, with room for these rows.
        """
        marks = np.ones(self.count, dtype=bool) if chosen is None else chosen
        counts = np.zeros(self.terms + 1, dtype=np.int64)
        loops.count_beginnings(self.rows, marks, self.limit, counts[1:])
        starts = np.cumsum(counts)
        entries = np.empty(int(starts[-1]), dtype=arrays.ENTRY)
        lists = arrays.Lists(starts[:-1], starts[:-1].copy(), entries)
        if listed:
            loops.insert_all(self.rows, marks, self.limit, lists)
        return arrays.Search(self.rows, lists, self.threshold, self.limit)

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Cut the rows into blocks."""
        return spans(0, self.count, BLOCK_ROWS)

    def scratches(self, count: int | None = None) -> list[arrays.Scratch]:
        """Make what a thread needs for itself, so often; once for each thread by default."""
        return [
            arrays.Scratch(
                np.zeros(self.terms), np.full(self.count, -1, np.int32), np.empty(CHUNK, np.int32)
            )
            for _ in range(count or thread_count())
        ]


def rare_terms_first(rows: csr_matrix) -> csr_matrix:
    """Order columns from rare to frequent, and the entries of each row by column.

    >>> rare_terms_first(csr_matrix([[0.6, 0.8], [1.0, 0.0]])).toarray().tolist()
    [[0.8, 0.6], [0.0, 1.0]]
    """
    rows = csr_matrix(rows, dtype=np.float64)
    frequency = np.bincount(rows.indices, minlength=rows.shape[1])
    if not ((frequency[1:] >= frequency[:-1]).all() and rows.has_sorted_indices):
        rank = np.empty(rows.shape[1], dtype=np.int32)
        rank[np.argsort(frequency, kind="stable")] = np.arange(rows.shape[1], dtype=np.int32)
        rows = csr_matrix((rows.data.copy(), rank[rows.indices], rows.indptr), shape=rows.shape)
        rows.sort_indices()
    return rows


def similar_pairs(rows: csr_matrix, threshold: float) -> Iterator[PairBlock]:
    """Find every pair of rows with cosine similarity above a threshold.

    Args:
        rows: L2-normalised rows without negative entries.
        threshold: From 0 to 1.

    Yields:
        The pairs, block by block, in the order of the later row; the blocks cover all rows. What
        is held in memory does not grow with the number of pairs.

    >>> rows = csr_matrix([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])
    >>> [
    ...     (block.later.tolist(), block.earlier.tolist(), block.similarity.round(2).tolist())
    ...     for block in similar_pairs(rows, 0.7)
    ... ]
    [([2, 2], [1, 0], [0.96, 0.8])]
    """
    join = Join(rows, threshold)
    search = join.search()
    room = join.count + BLOCK_PAIRS

    def work(start: int, stop: int, scratch: arrays.Scratch) -> PairBlock:
        found = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room)
        done, count = loops.find_pairs(search, start, stop, scratch, *found)
        return PairBlock(start, done, *(part[:count].copy() for part in found))

    (spare,) = join.scratches(1)
    for _, stop, block in in_order(work, join.blocks(), join.scratches()):
        yield block
        while block.stop < stop:  # more pairs than a block may hold
            block = work(block.stop, stop, spare)
            yield block
