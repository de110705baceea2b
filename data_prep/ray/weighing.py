"""TF-IDF of a chunk of rows, when all that is known of the others is how many have each term."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from data_prep import _term_loops
from data_prep.ray import packing
from data_prep.ray._loops import find_keys
from data_prep.ray.counting import ChunkTerms, keyed_sums, parted, terms_of
from data_prep.ray.reading import RayBatches
from data_prep.similarity import Join


@dataclass(frozen=True)
class Selection:
    """Which rows take part; one bit a row, so that each node can have it whole.

    Attributes:
        bits: The rows' marks, packed.
        chunks: Source and number of each chunk -> its place.
        starts: Position of each chunk's first row.
        before: How many rows take part before it.
        count: How many take part.
    """

    bits: np.ndarray
    chunks: dict[tuple[int, int], int]
    starts: np.ndarray
    before: np.ndarray
    count: int

    @classmethod
    def of(cls, kept: np.ndarray, batches: RayBatches) -> Selection:
        """The rows at these positions, which are in ascending order."""
        starts = np.concatenate([[0], np.cumsum(batches.sizes, dtype=np.int64)])
        marks = np.zeros(int(starts[-1]), dtype=bool)
        marks[kept] = True
        places = {chunk: place for place, chunk in enumerate(batches.chunks)}
        return cls(np.packbits(marks), places, starts, np.searchsorted(kept, starts), len(kept))

    def within(self, source: int, number: int) -> tuple[np.ndarray, int]:
        """Places of the rows of a chunk that take part, and how many take part before them."""
        place = self.chunks.get((source, number))
        if place is None:  # what stands at the end of a source is no chunk
            return np.empty(0, dtype=np.int64), 0
        start, stop = int(self.starts[place]), int(self.starts[place + 1])
        marks = np.unpackbits(self.bits[start // 8 : -(-stop // 8)])[start % 8 :][: stop - start]
        return np.flatnonzero(marks), int(self.before[place])


@dataclass(frozen=True)
class Vocabulary:
    """Terms that more than one row has, by their keys in ascending order.

    Attributes:
        high: ``(terms,)`` the first halves of the keys.
        low: ``(terms,)`` their second halves.
        rows: ``(terms,)`` rows that have the term.
        count: How many rows there are.
    """

    high: np.ndarray
    low: np.ndarray
    rows: np.ndarray
    count: int

    def find(self, keys: np.ndarray) -> np.ndarray:
        """The place of each key; -1 for a term that is not here: only one row has it."""
        places = np.empty(len(keys), dtype=np.int64)
        find_keys(self.high, self.low, np.ascontiguousarray(keys), places)
        return places


@dataclass(frozen=True)
class Weighed:
    """TF-IDF rows of a chunk.

    Attributes:
        first: Place of the first of them among all rows that take part.
        rows: ``(rows, terms)`` of unit length; the columns from rare to frequent.
        places: ``(terms,)`` each column's place in the vocabulary, or -1.
        begins: ``(entries,)`` whether the entry is in the beginning of its row.
    """

    first: int
    rows: csr_matrix
    places: np.ndarray
    begins: np.ndarray


def document_frequencies(batches: RayBatches, selection: Any, count: int) -> Vocabulary:
    """Count for each term the rows that have it, of those that take part."""
    keys, rows = keyed_sums(batches.blocks, _rows_of_terms, {"selection": selection}, 1)
    several = rows[:, 0] > 1
    kept = np.ascontiguousarray(keys[several].T)
    return Vocabulary(kept[0], kept[1], rows[several, 0], count)


def _rows_of_terms(block: pa.Table, selection: Any, bits: int) -> pa.Table:
    import ray

    keys, rows = [np.empty((0, 2), np.uint64)], [np.empty(0, np.int64)]
    for _, terms in taking_part(block, ray.get(selection)):
        keys.append(terms.keys)
        rows.append(np.bincount(terms.counts.indices, minlength=len(terms.keys)))
    sums = np.concatenate(rows)
    return parted(np.concatenate(keys)[sums > 0], sums[sums > 0, None].astype(np.int64), bits)


def taking_part(block: pa.Table, selection: Selection) -> Iterator[tuple[int, ChunkTerms]]:
    """For each chunk: how many rows take part before it, and the terms of those of its rows."""
    chunks = zip(packing.numbers(block, "source"), packing.numbers(block, "number"), strict=True)
    for (source, number), terms in zip(chunks, terms_of(block), strict=True):
        rows, before = selection.within(source, number)
        if len(rows):
            yield before, ChunkTerms(terms.keys, terms.counts[rows])


def weigh(
    block: pa.Table, selection: Selection, vocabulary: Vocabulary, threshold: float
) -> Iterator[Weighed]:
    """Weigh the rows of a block's chunks; values as :func:`data_prep.terms.tfidf` gives them.

    Where two terms are equally frequent, the order of the columns is another; so the last digits
    may differ, by far less than what is called a tie.
    """
    for first, terms in taking_part(block, selection):
        places = vocabulary.find(terms.keys)
        frequency = np.where(places >= 0, vocabulary.rows[places] if len(vocabulary.rows) else 1, 1)
        order = np.lexsort((places, frequency))
        column = np.empty(len(order), dtype=np.int32)
        column[order] = np.arange(len(order), dtype=np.int32)
        idf = np.log((1 + vocabulary.count) / (1 + frequency)) + 1
        counts = terms.counts
        values = counts.data * idf[counts.indices]
        rows = csr_matrix((values, column[counts.indices], counts.indptr), counts.shape)
        rows.sort_indices()
        _term_loops.normalise(rows.indptr, rows.data)
        yield Weighed(first, rows, places[order], _beginnings(rows, threshold))


def _beginnings(rows: csr_matrix, threshold: float) -> np.ndarray:
    """Mark the entries of each row up to where the rest of it is no longer than the threshold."""
    join = Join(rows, threshold, ordered=True)
    begins = np.ones(len(rows.data), dtype=bool)
    begins[1:] = join.rows.rests[:-1] > join.limit
    begins[rows.indptr[:-1][np.diff(rows.indptr) > 0]] = True
    return begins


def postings(
    batches: RayBatches, vocabulary: Vocabulary, given: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Count for each term of the vocabulary the rows that have it in their beginning.

    Returns:
        ``(terms,)`` the rows, and ``(terms,)`` the entries that these rows have.
    """
    keys, sums = keyed_sums(batches.blocks, _postings_of, given, 2)
    found = np.zeros((len(vocabulary.rows), 2), dtype=np.int64)
    found[vocabulary.find(keys)] = sums
    return found[:, 0], found[:, 1]


def _postings_of(
    block: pa.Table, selection: Any, vocabulary: Any, threshold: float, bits: int
) -> pa.Table:
    import ray

    known: Vocabulary = ray.get(vocabulary)
    keys, sums = [np.empty((0, 2), np.uint64)], [np.empty((0, 2), np.int64)]
    for weighed in weigh(block, ray.get(selection), known, threshold):
        shared = weighed.places[weighed.rows.indices] >= 0
        row_of = np.repeat(np.arange(weighed.rows.shape[0]), np.diff(weighed.rows.indptr))
        entries = np.bincount(row_of[shared], minlength=weighed.rows.shape[0])
        listed = shared & weighed.begins
        places = weighed.places[weighed.rows.indices[listed]]
        found, group = np.unique(places, return_inverse=True)
        rows = np.bincount(group, minlength=len(found))
        held = np.bincount(group, weights=entries[row_of[listed]], minlength=len(found))
        keys.append(np.column_stack([known.high[found], known.low[found]]))
        sums.append(np.column_stack([rows, held]).astype(np.int64))
    return parted(np.concatenate(keys), np.concatenate(sums), bits)
