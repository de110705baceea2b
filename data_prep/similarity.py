"""All pairs of rows whose cosine similarity is above a threshold.

The rows are sparse and of unit length. Only pairs that share one of their *rare* terms are
looked at: if ``x`` is cut, its terms ordered from rare to frequent, where the rest is no longer
than the threshold, then two rows whose kept beginnings share no term cannot be more similar than
the threshold (Cauchy-Schwarz; Bayardo, Ma and Srikant 2007). No pair is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

#: A similarity must be above the threshold by more than this: sums of floats that are equal on
#: paper differ in their last digits, and a tie is not "above".
TIE = 1e-9
#: Looser still where a bound decides which pairs are looked at.
SLACK = 1e-6
#: Multiplications of one block: bounds the memory of a block to about 100 MB.
BLOCK_WORK = 4_000_000
#: Pairs whose similarity is summed at a time.
PAIRS_AT_A_TIME = 200_000
#: What looking at one candidate pair costs, in multiplications of the sparse product.
PAIR_COST = 20


@dataclass(frozen=True)
class PairBlock:
    """Similar pairs whose later row lies in ``start:stop``; ``earlier`` < ``later`` in each."""

    start: int
    stop: int
    later: np.ndarray
    earlier: np.ndarray


def similar_pairs(
    rows: csr_matrix, threshold: float, block_work: int = BLOCK_WORK
) -> Iterator[PairBlock]:
    """Find every pair of rows with cosine similarity above a threshold.

    Args:
        rows: L2-normalised rows without negative entries.
        threshold: From 0 to 1.
        block_work: How much to do at a time.

    Yields:
        The pairs, block by block, in the order of the later row; the blocks cover all rows.
    """
    rows = _rare_terms_first(rows)
    beginnings, rests = _beginnings(rows, threshold)
    if _work(beginnings).sum() * PAIR_COST > _work(rows).sum():
        beginnings, rests = rows, np.zeros(rows.shape[0])  # too many candidates: take them all
    exact = beginnings is rows
    for start, stop in _blocks(_work(beginnings), block_work):
        # Earlier rows times rows of the block: the entries are the candidates.
        products = (beginnings[:stop] @ beginnings[start:stop].T).tocoo()
        earlier, later = products.row, products.col + start
        bound = products.data + (0 if exact else np.maximum(rests[earlier], rests[later]))
        likely = (earlier < later) & (bound > threshold + (TIE if exact else -SLACK))
        earlier, later = earlier[likely], later[likely]
        if not exact:
            above = _similarities(rows, earlier, later) > threshold + TIE
            earlier, later = earlier[above], later[above]
        order = np.argsort(later, kind="stable")
        yield PairBlock(start, stop, later[order], earlier[order])


def _rare_terms_first(rows: csr_matrix) -> csr_matrix:
    frequency = np.bincount(rows.indices, minlength=rows.shape[1])
    rank = np.empty(rows.shape[1], dtype=rows.indices.dtype)
    rank[np.argsort(frequency, kind="stable")] = np.arange(rows.shape[1])
    ordered = csr_matrix((rows.data.copy(), rank[rows.indices], rows.indptr), shape=rows.shape)
    ordered.sort_indices()
    return ordered


def _beginnings(rows: csr_matrix, threshold: float) -> tuple[csr_matrix, np.ndarray]:
    """Every row up to where the rest is no longer than the threshold, and the rests' lengths."""
    squares = rows.data**2
    sums = np.concatenate([[0.0], np.cumsum(squares)])
    row_of = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    from_here_on = sums[rows.indptr[1:]][row_of] - sums[:-1]
    kept = from_here_on > threshold**2 - SLACK
    counts = np.bincount(row_of[kept], minlength=rows.shape[0])
    indptr = np.concatenate([[0], np.cumsum(counts)])
    beginnings = csr_matrix((rows.data[kept], rows.indices[kept], indptr), shape=rows.shape)
    rests = np.bincount(row_of[~kept], weights=squares[~kept], minlength=rows.shape[0])
    return beginnings, np.sqrt(rests)


def _work(rows: csr_matrix) -> np.ndarray:
    """Multiplications that each row costs in the product of ``rows`` with itself."""
    frequency = np.bincount(rows.indices, minlength=rows.shape[1]).astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(frequency[rows.indices])])
    return np.diff(sums[rows.indptr])


def _blocks(work: np.ndarray, limit: int) -> Iterator[tuple[int, int]]:
    done = np.cumsum(work)
    start = 0
    while start < len(work):
        before = done[start - 1] if start else 0.0
        stop = int(np.searchsorted(done, before + limit, side="right"))
        stop = min(max(stop, start + 1), len(work))
        yield start, stop
        start = stop


def _similarities(rows: csr_matrix, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    parts = [
        np.asarray(
            rows[left[i : i + PAIRS_AT_A_TIME]]
            .multiply(rows[right[i : i + PAIRS_AT_A_TIME]])
            .sum(axis=1)
        ).ravel()
        for i in range(0, len(left), PAIRS_AT_A_TIME)
    ]
    return np.concatenate(parts) if parts else np.empty(0)
