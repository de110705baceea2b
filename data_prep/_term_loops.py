"""The compiled loops behind :mod:`data_prep.terms`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_prep._jit import compiled

#: A slot of the hash table: the upper half is the hash, the lower half the term; or free.
FREE = -1
LOWER_HALF = 0xFFFFFFFF

#: Bytes between terms. Those of characters beyond ASCII are no such: they stand only in texts that
#: were cut into terms before.
SEPARATORS = bytes(byte for byte in range(128) if not (chr(byte).isalnum() or chr(byte) == "_"))
#: What each byte becomes before terms are looked for: lower case, or 0 between terms.
FOLDED = bytes(range(256)).lower().translate(bytes.maketrans(SEPARATORS, bytes(len(SEPARATORS))))


class Table(NamedTuple):
    """All terms so far.

    Attributes:
        slots: ``(power of two,)`` the hash table.
        letters: The bytes of the terms, one term after the other.
        starts: Where each term starts in ``letters``, and where the last one stops.
        seen: Where each term was counted last: a place in :class:`Counts`, plus ``base``.
        size: ``[number of terms]``.
    """

    slots: np.ndarray
    letters: np.ndarray
    starts: np.ndarray
    seen: np.ndarray
    size: np.ndarray


class Counts(NamedTuple):
    """The counts of a portion of texts.

    Attributes:
        terms: The term of each count.
        counts: The counts.
        ends: ``(texts + 1,)`` where each text's counts end, after a 0.
    """

    terms: np.ndarray
    counts: np.ndarray
    ends: np.ndarray


@compiled
def place_hashes(starts: np.ndarray, letters: np.ndarray, terms: int, slots: np.ndarray) -> None:
    """Put all terms into a new, larger hash table."""
    mask = np.uint64(len(slots) - 1)
    for term in range(terms):
        code = hashed(letters, starts[term], starts[term + 1])
        slot = code & mask
        while slots[slot] != FREE:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = np.int64(code >> np.uint64(33)) << 32 | term


@compiled
def hashed(data: np.ndarray, start: int, stop: int) -> np.uint64:
    """Hash some bytes: FNV-1a, stirred."""
    code = np.uint64(14695981039346656037)
    for at in range(start, stop):
        code = (code ^ np.uint64(data[at])) * np.uint64(1099511628211)
    code ^= code >> np.uint64(29)
    code *= np.uint64(0xBF58476D1CE4E5B9)
    return code ^ (code >> np.uint64(32))


@compiled
def find_or_add(data: np.ndarray, start: int, stop: int, table: Table) -> int:
    """Look a term up by its bytes, all of them compared; number it if it is new."""
    code = hashed(data, start, stop)
    mask = np.uint64(len(table.slots) - 1)
    mark = np.int64(code >> np.uint64(33)) << 32
    slot = code & mask
    while table.slots[slot] != FREE:
        if table.slots[slot] & ~LOWER_HALF == mark:
            term = table.slots[slot] & LOWER_HALF
            place = table.starts[term]
            if table.starts[term + 1] - place == stop - start:
                same = 0
                while same < stop - start and table.letters[place + same] == data[start + same]:
                    same += 1
                if same == stop - start:
                    return term
        slot = (slot + np.uint64(1)) & mask
    term = table.size[0]
    table.slots[slot] = mark | term
    place = table.starts[term]
    for i in range(stop - start):
        table.letters[place + i] = data[start + i]
    table.starts[term + 1] = place + stop - start
    table.seen[term] = -1
    table.size[0] = term + 1
    return term


@compiled
def count_terms(
    data: np.ndarray, starts: np.ndarray, table: Table, counts: Counts, base: int, state: np.ndarray
) -> None:
    """Count the terms of texts, until all are done or the table is full.

    Args:
        data: The bytes of all texts, folded.
        starts: ``(texts + 1,)`` where each text starts in ``data``.
        table: All terms; added to.
        counts: Written to.
        base: Number of counts written for other texts before.
        state: ``[text, place in data, counts written]``: where to go on; updated.
    """
    row, at, written = state
    while row < len(starts) - 1:
        first, end = counts.ends[row] + base, starts[row + 1]
        while at < end:
            start = at
            while at < end and data[at] != 0:
                at += 1
            if at - start > 1:
                terms = table.size[0]
                if terms == len(table.seen) or table.starts[terms] + at - start > len(
                    table.letters
                ):
                    state[0], state[1], state[2] = row, start, written
                    return
                term = find_or_add(data, start, at, table)
                if table.seen[term] < first:
                    table.seen[term] = written + base
                    counts.terms[written] = term
                    counts.counts[written] = 0
                    written += 1
                counts.counts[table.seen[term] - base] += 1
            at += 1
        at = end
        row += 1
        counts.ends[row] = written
    state[0], state[1], state[2] = row, at, written


@compiled
def normalise(starts: np.ndarray, values: np.ndarray) -> None:
    """Divide each row by its length."""
    for row in range(len(starts) - 1):
        squares = 0.0
        for k in range(starts[row], starts[row + 1]):
            squares += values[k] * values[k]
        length = np.sqrt(squares)
        for k in range(starts[row], starts[row + 1]):
            values[k] /= length
