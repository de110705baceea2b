"""Terms counted where the rows are, and brought together: by key, and for all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix, vstack

from data_prep.ray import packing
from data_prep.ray.shuffling import shuffled
from data_prep.terms import TermCounter

if TYPE_CHECKING:
    from data_prep.ray.reading import RayBatches

#: Into so many parts, a power of 2, the keys are cut at most.
MOST_BITS = 10


@dataclass(frozen=True)
class ChunkTerms:
    """The terms of a chunk of rows.

    Attributes:
        keys: ``(terms, 2)`` uint64: a hash of 128 bits for each, in order of first appearance.
        counts: ``(rows, terms)`` int32.
    """

    keys: np.ndarray
    counts: csr_matrix


def count_terms(texts: Sequence[str]) -> dict[str, packing.Content]:
    """Count the terms of a chunk's texts; gives the cells of its record.

    >>> cells = count_terms(["a red cat", "cat"])
    >>> terms_of(packing.record(**cells))[0].counts.toarray().tolist()
    [[1, 1], [0, 1]]
    """
    counter = TermCounter()
    counter.add(texts)
    counts = counter.counts()
    digests = [blake2b(term, digest_size=16).digest() for term in counter.terms()]
    return {
        "term_keys": b"".join(digests),
        "term_places": counts.indices.astype(np.int32),
        "term_counts": counts.data.astype(np.int32),
        "term_rows": np.diff(counts.indptr).astype(np.int32),
    }


def terms_of(block: pa.Table) -> list[ChunkTerms]:
    """The terms of a block's chunks."""
    cells = zip(
        packing.arrays(block, "term_keys", np.uint64, 2),
        packing.arrays(block, "term_places", np.int32),
        packing.arrays(block, "term_counts", np.int32),
        packing.arrays(block, "term_rows", np.int32),
        strict=True,
    )
    found = []
    for keys, places, counts, lengths in cells:
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        shape = (len(lengths), len(keys))
        found.append(ChunkTerms(keys, csr_matrix((counts, places, starts), shape)))
    return found


class RayTerms:
    """The terms of all rows, in the cluster; fetched where a step of this process needs them."""

    #: With more rows, the steps of this process do without: a row's terms are about 100 bytes.
    most_rows = 5_000_000

    def __init__(self, batches: RayBatches) -> None:
        """Of the rows in ``batches``."""
        self._batches = batches

    def counts(self) -> csr_matrix:
        """As :meth:`data_prep.terms.TermCounter.counts`, column by column the same."""
        import ray

        from data_prep.ray.failing import cluster_errors

        fetch = ray.remote(num_cpus=0)(_terms_only)
        with cluster_errors():
            blocks = ray.get([fetch.remote(block) for block in self._batches.blocks])
        parts = [part for block in blocks for part in terms_of(block)]
        keys = np.concatenate([np.empty((0, 2), np.uint64), *(part.keys for part in parts)])
        columns, count = numbered_keys(keys)
        placed = []
        for part, column in zip(
            parts, packing.slices(columns, np.array([len(p.keys) for p in parts])), strict=True
        ):
            own = part.counts
            shape = (own.shape[0], count)
            placed.append(csr_matrix((own.data, column[own.indices], own.indptr), shape))
        return vstack([csr_matrix((0, count), dtype=np.int32), *placed], format="csr")


def _terms_only(block: pa.Table) -> pa.Table:
    return block.select(["term_keys", "term_places", "term_counts", "term_rows"])


def numbered_keys(keys: np.ndarray) -> tuple[np.ndarray, int]:
    """Number keys in order of first appearance; gives the numbers, and how many there are.

    >>> numbered_keys(np.array([[5, 1], [3, 3], [5, 1]], np.uint64))[0].tolist()
    [0, 1, 0]
    """
    order, starts = grouped_keys(keys)
    if not len(order):
        return np.empty(0, np.int32), 0
    group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(order)))
    rank = np.empty(len(starts), dtype=np.int32)
    rank[np.argsort(order[starts])] = np.arange(len(starts), dtype=np.int32)
    numbers = np.empty(len(order), dtype=np.int32)
    numbers[order] = rank[group]
    return numbers, len(starts)


def grouped_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort keys; gives their order, equal ones as they stand, and where each new one starts."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order, np.flatnonzero(fresh)


def add_up(keys: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add what stands with equal keys.

    Args:
        keys: ``(n, 2)`` uint64.
        sums: ``(n, k)`` int64.

    Returns:
        Each key once, in ascending order, and its sums.
    """
    order, starts = grouped_keys(keys)
    if not len(order):
        return keys, sums
    return keys[order[starts]], np.add.reduceat(sums[order], starts, axis=0)


def keyed_sums(
    blocks: Sequence[Any], emit: Callable[..., pa.Table], given: dict[str, Any], width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Map blocks to keys with numbers, and add up the numbers of each key.

    Args:
        blocks: The blocks.
        emit: Gives for a block what :func:`parted` makes; called with ``given`` and ``bits``.
        given: More for ``emit``.
        width: Numbers of each key.

    Returns:
        ``(keys, 2)`` keys in ascending order, and ``(keys, width)`` sums.
    """
    bits = min(MOST_BITS, max(1, (len(blocks) - 1).bit_length()))
    sums = shuffled(blocks, emit, {**given, "bits": bits}, "part", _sum_part, {"width": width})
    found = {}
    for table in sums.iter_batches(batch_size=None, batch_format="pyarrow"):
        for part, keys, added in zip(
            packing.numbers(table, "part"),
            packing.arrays(table, "keys", np.uint64, 2),
            packing.arrays(table, "sums", np.int64, width),
            strict=True,
        ):
            found[part] = keys.copy(), added.copy()
    parts = [found[part] for part in sorted(found)]
    return np.concatenate([keys for keys, _ in parts]), np.concatenate([s for _, s in parts])


def parted(keys: np.ndarray, sums: np.ndarray, bits: int) -> pa.Table:
    """Add up, and cut into parts by the first bits of the keys: a record for each."""
    keys, sums = add_up(keys, sums)
    bounds = np.arange(1, 1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
    ends = np.concatenate([[0], np.searchsorted(keys[:, 0], bounds), [len(keys)]])
    return packing.records(
        {"part": part, "keys": keys[start:end], "sums": sums[start:end]}
        for part, (start, end) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))
        if start < end or not part
    )


def _sum_part(group: pa.Table, width: int) -> pa.Table:
    keys, sums = add_up(
        np.concatenate(packing.arrays(group, "keys", np.uint64, 2)),
        np.concatenate(packing.arrays(group, "sums", np.int64, width)),
    )
    return packing.record(part=packing.numbers(group, "part")[0], keys=keys, sums=sums)
