"""The compiled loops behind :mod:`data_prep.terms`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_prep._jit import compiled

#: A slot of the hash table: the upper half is of the hash, the lower half the term; or free.
FREE = -1
LOWER_HALF = 0xFFFFFFFF
#: The hash is FNV-1a, stirred.
FNV_START = np.uint64(14695981039346656037)
FNV_FACTOR = np.uint64(1099511628211)
#: Bytes between terms. Those of characters beyond ASCII are no such: they stand only in texts that
#: were cut into terms before.
SEPARATORS = bytes(byte for byte in range(128) if not (chr(byte).isalnum() or chr(byte) == "_"))
#: What each byte becomes before terms are looked for: lower case, or 0 between terms.
FOLDED = bytes(range(256)).lower().translate(bytes.maketrans(SEPARATORS, bytes(len(SEPARATORS))))
#: Columns of ``Table.facts``.
START, LENGTH, TAIL, SEEN = range(4)


class Table(NamedTuple):
    """All terms so far.

    Attributes:
        slots: ``(power of two,)`` the hash table.
        facts: ``(terms, 4)`` side by side, as they are needed together: where the term starts in
            ``letters``; how many bytes it has; the last eight of them; the place of its last count
            in :class:`Counts`, plus ``base``.
        letters: The bytes of the terms, one term after the other.
        size: ``[number of terms, number of letters]``.
    """

    slots: np.ndarray
    facts: np.ndarray
    letters: np.ndarray
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
def stirred(code: np.uint64) -> np.uint64:
    """Let every bit of a hash depend on many others."""
    code ^= code >> np.uint64(29)
    code *= np.uint64(0xBF58476D1CE4E5B9)
    return code ^ (code >> np.uint64(32))


@compiled
def place_terms(table: Table) -> None:
    """Put all terms into a new, larger hash table."""
    mask = np.uint64(len(table.slots) - 1)
    for term in range(table.size[0]):
        code = FNV_START
        start = table.facts[term, START]
        for at in range(start, start + table.facts[term, LENGTH]):
            code = (code ^ np.uint64(table.letters[at])) * FNV_FACTOR
        code = stirred(code)
        slot = code & mask
        while table.slots[slot] != FREE:
            slot = (slot + np.uint64(1)) & mask
        table.slots[slot] = np.int64(code >> np.uint64(33)) << 32 | term


@compiled
def find_or_add(
    data: np.ndarray, start: int, stop: int, tail: int, code: np.uint64, table: Table
) -> int:
    """Look a term up, all of its bytes compared; number it if it is new.

    Args:
        data: Bytes.
        start: Where the term starts in them.
        stop: Where it stops.
        tail: Its last eight bytes, fewer if it has fewer.
        code: Its hash.
        table: All terms; added to.

    Returns:
        The term; -1 if it is new and there is no room.
    """
    mask = np.uint64(len(table.slots) - 1)
    mark = np.int64(code >> np.uint64(33)) << 32
    slot, length = code & mask, stop - start
    while table.slots[slot] != FREE:
        if table.slots[slot] & ~LOWER_HALF == mark:
            term = table.slots[slot] & LOWER_HALF
            if table.facts[term, TAIL] == tail and table.facts[term, LENGTH] == length:
                place, same = table.facts[term, START], 0
                while same < length - 8 and table.letters[place + same] == data[start + same]:
                    same += 1
                if same >= length - 8:
                    return term
        slot = (slot + np.uint64(1)) & mask
    term, place = table.size[0], table.size[1]
    if term == len(table.facts) or place + length > len(table.letters):
        return -1
    table.slots[slot] = mark | term
    facts = table.facts[term]
    facts[START], facts[LENGTH], facts[TAIL], facts[SEEN] = place, length, tail, -1
    for i in range(length):
        table.letters[place + i] = data[start + i]
    table.size[0], table.size[1] = term + 1, place + length
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
    row, at, written = state[0], state[1], state[2]
    while row < len(starts) - 1:
        first, end = counts.ends[row] + base, starts[row + 1]
        while at < end:
            start, code, tail = at, FNV_START, np.int64(0)
            while at < end and data[at] != 0:
                code = (code ^ np.uint64(data[at])) * FNV_FACTOR
                tail = tail << 8 | np.int64(data[at])
                at += 1
            if at - start > 1:
                term = find_or_add(data, start, at, tail, stirred(code), table)
                if term < 0:
                    state[0], state[1], state[2] = row, start, written
                    return
                if table.facts[term, SEEN] < first:
                    table.facts[term, SEEN] = written + base
                    counts.terms[written] = term
                    counts.counts[written] = 0
                    written += 1
                counts.counts[table.facts[term, SEEN] - base] += 1
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
