"""Rows brought together by the terms of their beginnings: in lots that a task can hold.

Two similar rows have the first term that is common to them in both their beginnings
(:mod:`data_prep.similarity`). Each term belongs to a lot, and a row goes, with all its terms, to
the lots of the terms of its beginning. So every similar pair meets in some lot. A term that too
many rows have in their beginning is cut: its rows into segments, and each pair of segments has a
lot of its own (Vernica, Carey and Li 2010, where a list does not fit into memory).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from data_prep.ray import packing
from data_prep.ray.reading import RayBatches
from data_prep.ray.shuffling import shuffled
from data_prep.ray.weighing import Weighed, weigh

#: Entries (of 12 bytes) that are sent in one block.
SENT_ENTRIES = 4_000_000


@dataclass(frozen=True)
class Room:
    """How much is held at a time.

    Attributes:
        rows: Rows of a lot, about.
        entries: Entries of its rows, about.
        parts: Lots are sent in so many parts at most: each is a record of each chunk, and a record
            takes its time whatever is in it.
    """

    rows: int = 100_000
    entries: int = 4_000_000
    parts: int = 1024


@dataclass(frozen=True)
class Plan:
    """Which lots each term of a vocabulary belongs to.

    Attributes:
        first: ``(terms,)`` number of the term's first lot; -1 where no two rows meet in it.
        segments: ``(terms,)`` segments that the term's rows are cut into; 1: they are not.
        lots: How many lots there are.
        lots_in_part: How many of them are sent together.
    """

    first: np.ndarray
    segments: np.ndarray
    lots: int
    lots_in_part: int

    @classmethod
    def of(cls, rows: np.ndarray, entries: np.ndarray, room: Room, tasks: int) -> Plan:
        """Give terms to lots.

        Args:
            rows: ``(terms,)`` rows that have the term in their beginning.
            entries: ``(terms,)`` entries of these rows.
            room: How much a lot shall hold.
            tasks: Make so many lots at least, as far as there are terms.

        >>> plan = Plan.of(np.array([2, 1, 3, 9]), np.array([8, 2, 9, 30]), Room(6, 100), 1)
        >>> plan.first.tolist(), plan.segments.tolist(), plan.lots
        ([0, -1, 0, 1], [1, 1, 1, 3], 4)
        """
        load = np.maximum(rows / room.rows, entries / room.entries)
        first = np.full(len(rows), -1, dtype=np.int64)
        segments = np.ones(len(rows), dtype=np.int32)
        light = np.flatnonzero((rows > 1) & (load <= 1))
        lots = max(int(np.ceil(load[light].sum())), min(tasks, len(light)))
        # In turn, the heaviest first: so that all become about equally heavy.
        first[light[np.argsort(-load[light], kind="stable")]] = np.arange(len(light)) % max(1, lots)
        heavy = np.flatnonzero((rows > 1) & (load > 1))
        segments[heavy] = np.maximum(3, np.ceil(2 * load[heavy])).astype(np.int32)
        sizes = segment_pairs(segments[heavy])
        first[heavy] = lots + np.cumsum(sizes) - sizes
        lots += int(sizes.sum())
        return cls(first, segments, lots, max(1, -(-lots // room.parts)))

    def owners(self, places: np.ndarray, lot: int) -> np.ndarray:
        """Mark the terms, by their places, that belong to a lot."""
        first = self.first[places]
        return (first >= 0) & (first <= lot) & (lot < first + segment_pairs(self.segments[places]))


def segment_pairs(segments: np.ndarray) -> np.ndarray:
    """How many lots so many segments make; a pair of one segment with itself is in the others.

    >>> segment_pairs(np.array([1, 3, 4])).tolist()
    [1, 3, 6]
    """
    counts = np.asarray(segments, dtype=np.int64)
    return np.maximum(1, counts * (counts - 1) // 2)


def copies(weighed: Weighed, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """The lots that the rows of a chunk go to.

    Returns:
        ``(copies,)`` lots in ascending order, and ``(copies,)`` the rows that go there.
    """
    columns = weighed.rows.indices[weighed.begins]
    row_of = np.repeat(np.arange(weighed.rows.shape[0]), np.diff(weighed.rows.indptr))
    rows, places = row_of[weighed.begins], weighed.places[columns]
    listed = places >= 0
    listed[listed] = plan.first[places[listed]] >= 0
    rows, places = rows[listed], places[listed]
    first, segments = plan.first[places], plan.segments[places]
    lots, owners = [first[segments == 1]], [rows[segments == 1]]
    for count in np.unique(segments[segments > 1]).tolist():
        cut = segments == count
        pairs = first[cut, None] + _pairs_of(weighed.first + rows[cut], count)
        lots.append(pairs.reshape(-1))
        owners.append(np.repeat(rows[cut], count - 1))
    found = np.unique(np.column_stack([np.concatenate(lots), np.concatenate(owners)]), axis=0)
    return found[:, 0], found[:, 1]


def _pairs_of(rows: np.ndarray, segments: int) -> np.ndarray:
    """The numbers of the pairs of segments that each row's segment is in.

    >>> _pairs_of(np.array([0, 1, 2]), 3).tolist()
    [[0, 1], [0, 2], [0, 2]]
    """
    mixed = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(33)
    own = (mixed % np.uint64(segments)).astype(np.int64)[:, None]
    other = np.arange(segments - 1)[None, :]
    other = other + (other >= own)
    low, high = np.minimum(own, other), np.maximum(own, other)
    return low * segments - low * (low + 1) // 2 + high - low - 1


def send(
    block: pa.Table, selection: Any, vocabulary: Any, plan: Any, threshold: float
) -> Iterator[pa.Table]:
    """Send the rows of a block to their lots: a record for each chunk and part of the lots."""
    import ray

    known: Plan = ray.get(plan)
    yield packing.record(part=-1, lots=b"", rows=b"", lengths=b"", places=b"", values=b"")
    for weighed in weigh(block, ray.get(selection), ray.get(vocabulary), threshold):
        shared = weighed.places[weighed.rows.indices] >= 0
        rows = _only(weighed.rows, shared)
        lots, owners = copies(weighed, known)
        # So many copies at a time that memory is bounded however many there are.
        portion = np.cumsum(np.diff(rows.indptr)[owners]) // SENT_ENTRIES
        for start, stop in _runs(portion):
            sent = lots[start:stop], owners[start:stop]
            yield _records(weighed, rows, *sent, known.lots_in_part)


def _only(rows: csr_matrix, entries: np.ndarray) -> csr_matrix:
    starts = np.concatenate([[0], np.cumsum(entries)])[rows.indptr]
    return csr_matrix((rows.data[entries], rows.indices[entries], starts), rows.shape)


def _runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Where equal neighbours start and stop.

    >>> _runs(np.array([4, 4, 7]))
    [(0, 2), (2, 3)]
    """
    if not len(values):
        return []
    ends = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return list(pairwise(ends))


def _records(
    weighed: Weighed, rows: csr_matrix, lots: np.ndarray, owners: np.ndarray, lots_in_part: int
) -> pa.Table:
    copied = rows[owners]
    places = weighed.places[copied.indices].astype(np.int32)  # 12 bytes an entry in all
    return packing.records(
        {
            "part": int(lots[start]) // lots_in_part,
            "lots": lots[start:stop],
            "rows": weighed.first + owners[start:stop],
            "lengths": np.diff(copied.indptr[start : stop + 1]).astype(np.int32),
            "places": places[copied.indptr[start] : copied.indptr[stop]],
            "values": copied.data[copied.indptr[start] : copied.indptr[stop]],
        }
        for start, stop in _runs(lots // lots_in_part)
    )


def gather(group: pa.Table, plan: Any) -> pa.Table:
    """Put the lots of a part together: a record for each, with its rows in their order."""
    import ray

    known: Plan = ray.get(plan)
    lots = np.concatenate(packing.arrays(group, "lots", np.int64))
    rows = np.concatenate(packing.arrays(group, "rows", np.int64))
    lengths = np.concatenate(packing.arrays(group, "lengths", np.int32))
    places = np.concatenate(packing.arrays(group, "places", np.int32))
    values = np.concatenate(packing.arrays(group, "values", np.float64))
    if not len(rows):
        return _lot(rows, places, values, lengths, known, -1)
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    order = np.lexsort((rows, lots))
    shape = (len(rows), int(places.max(initial=0)) + 1)
    ordered = csr_matrix((values, places, starts), shape)[order]
    rows, lots, lengths = rows[order], lots[order], np.diff(ordered.indptr)
    found = []
    for start, stop in _runs(lots):
        entries = slice(ordered.indptr[start], ordered.indptr[stop])
        content = rows[start:stop], ordered.indices[entries], ordered.data[entries]
        found.append(_lot(*content, lengths[start:stop], known, int(lots[start])))
    return pa.concat_tables(found).combine_chunks()


def _lot(
    rows: np.ndarray,
    places: np.ndarray,
    values: np.ndarray,
    lengths: np.ndarray,
    plan: Plan,
    lot: int,
) -> pa.Table:
    """A lot's record: its terms are numbered anew, and it is said which are its own."""
    terms, columns = np.unique(places, return_inverse=True)
    return packing.record(
        lot=lot,
        rows=rows,
        lengths=lengths.astype(np.int32),
        terms=columns.astype(np.int32),
        values=values,
        own=plan.owners(terms, lot),
    )


def make_lots(batches: RayBatches, plan: Plan, given: dict[str, Any]) -> Any:
    """Send all rows to their lots; gives a dataset of them that lies in the cluster."""
    import ray

    shared = {"plan": ray.put(plan)}
    given = {**given, **shared}
    return shuffled(batches.blocks, send, given, "part", gather, shared).materialize()
