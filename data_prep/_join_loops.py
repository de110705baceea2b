"""The compiled loops behind :mod:`data_prep.similarity` and :mod:`data_prep.duplicates`."""

from __future__ import annotations

import numpy as np

from data_prep._jit import compiled
from data_prep._join_arrays import Lists, Rows
from data_prep._join_arrays import Scratch as Scratch
from data_prep._join_arrays import Search as Search

#: Bits of an outline, less one.
OUTLINE_BITS = 63
#: Terms of the row in hand that are compared with an outline.
OUTLINE_TERMS = 16
#: Bounds are off by less than this, and their squares too: they are in single precision.
SLACK = 1e-6


@compiled
def measure(starts: np.ndarray, values: np.ndarray, rests: np.ndarray) -> None:
    """Fill in ``rests``."""
    for row in range(len(starts) - 1):
        squares = 0.0
        for k in range(starts[row + 1] - 1, starts[row] - 1, -1):
            rests[k] = np.sqrt(squares)
            squares += values[k] * values[k]


@compiled
def count_beginnings(rows: Rows, chosen: np.ndarray, limit: float, counts: np.ndarray) -> None:
    """Count for each term the rows, of those chosen, that have it in their beginning."""
    for row in range(len(rows.starts) - 1):
        if chosen[row]:
            rest = np.float32(1)
            for k in range(rows.starts[row], rows.starts[row + 1]):
                if rest <= limit:
                    break
                counts[rows.terms[k]] += 1
                rest = rows.rests[k]


@compiled
def insert(rows: Rows, row: int, limit: float, lists: Lists) -> None:
    """Add a row to the lists of the terms of its beginning."""
    outline = np.uint64(0)
    for k in range(rows.starts[row], rows.starts[row + 1]):
        outline |= np.uint64(1) << np.uint64(rows.terms[k] & OUTLINE_BITS)
    rest = np.float32(1)
    for k in range(rows.starts[row], rows.starts[row + 1]):
        if rest <= limit:
            break
        rest = rows.rests[k]
        place = lists.stops[rows.terms[k]]
        lists.entries[place].outline = outline
        lists.entries[place].row = row
        lists.entries[place].value = rows.values[k]
        lists.entries[place].rest = rest
        lists.stops[rows.terms[k]] = place + 1


@compiled
def insert_all(rows: Rows, chosen: np.ndarray, limit: float, lists: Lists) -> None:
    """Add the chosen rows to the lists."""
    for row in range(len(rows.starts) - 1):
        if chosen[row]:
            insert(rows, row, limit, lists)


@compiled
def take(rows: Rows, row: int, scratch: Scratch) -> None:
    """Take a row in hand."""
    for k in range(rows.starts[row], rows.starts[row + 1]):
        scratch.weights[rows.terms[k]] = rows.values[k]


@compiled
def release(rows: Rows, row: int, scratch: Scratch) -> None:
    """Undo :func:`take`."""
    for k in range(rows.starts[row], rows.starts[row + 1]):
        scratch.weights[rows.terms[k]] = 0.0


@compiled
def similarity(rows: Rows, other: int, scratch: Scratch) -> float:
    """Multiply another row with the one in hand."""
    total = 0.0
    for k in range(rows.starts[other], rows.starts[other + 1]):
        total += scratch.weights[rows.terms[k]] * rows.values[k]
    return total


@compiled
def may_be_similar(rows: Rows, k: int, end: int, entry: np.record, limit: float) -> bool:
    """Tell whether a bound on the similarity of two rows that meet in a term is above the limit.

    The bound holds where the term is the first that both rows have. It is the product of the two
    weights, plus the product of the lengths of the rests; the rest of the row in hand without the
    terms that the other row does not have, as far as its outline shows.

    Args:
        rows: The rows.
        k: The term's entry in the row in hand.
        end: Where that row ends.
        entry: The other row, in the term's list.
        limit: The limit.
    """
    product = np.float32(rows.values[k]) * entry.value
    if product + rows.rests[k] * entry.rest <= limit:
        return False
    if product > limit:
        return True
    # How much of the square of the rest's length may be missing in the other row.
    needed = np.float64(limit - product) / entry.rest
    spare = np.float64(rows.rests[k]) * rows.rests[k] - needed * needed + SLACK
    for i in range(k + 1, min(end, k + 1 + OUTLINE_TERMS)):
        if not (entry.outline >> np.uint64(rows.terms[i] & OUTLINE_BITS)) & np.uint64(1):
            spare -= rows.values[i] * rows.values[i]
            if spare < 0:
                return False
    return True


@compiled
def candidates(
    search: Search,
    k: int,
    end: int,
    at: int,
    until: int,
    limit: float,
    query: int,
    scratch: Scratch,
) -> tuple[int, int]:
    """Look for rows in a piece of the list of a term of the row in hand.

    Where the term is not the first that both rows have, the row was seen there, or cannot be
    similar: a bound that holds for the larger part of the product holds for the smaller.

    Args:
        search: What is searched.
        k: The term's entry in the row in hand.
        end: Where that row ends.
        at: Where to go on in the lists.
        until: Only rows before this one are looked at.
        limit: What the bound must be above.
        query: What the row in hand is called in ``scratch.seen``.
        scratch: Takes the rows found.

    Returns:
        Where to go on, and how many were found.
    """
    rows, lists = search.rows, search.lists
    stop = lists.stops[rows.terms[k]]
    count = 0
    while at < stop and count < len(scratch.found):
        entry = lists.entries[at]
        if entry.row >= until:
            return stop, count
        if may_be_similar(rows, k, end, entry, limit) and scratch.seen[entry.row] != query:
            scratch.seen[entry.row] = query
            scratch.found[count] = entry.row
            count += 1
        at += 1
    return at, count


@compiled
def has_similar(search: Search, row: int, scratch: Scratch) -> bool:
    """Tell whether an earlier row of the lists is similar to the row; the first one will do."""
    rows, lists = search.rows, search.lists
    take(rows, row, scratch)
    similar = False
    remaining, end = np.float32(1), rows.starts[row + 1]
    for k in range(rows.starts[row], end):
        if similar or remaining <= search.limit:
            break
        at, stop = lists.starts[rows.terms[k]], lists.stops[rows.terms[k]]
        while at < stop and not similar:
            at, count = candidates(search, k, end, at, row, search.limit, row, scratch)
            for i in range(count):
                if similarity(rows, scratch.found[i], scratch) > search.threshold:
                    similar = True
                    break
        remaining = rows.rests[k]
    release(rows, row, scratch)
    return similar


@compiled
def mark_similar(search: Search, start: int, stop: int, scratch: Scratch, marks: np.ndarray) -> int:
    """Mark the rows from start to stop that an earlier row of the lists is similar to.

    Returns:
        How many are marked.
    """
    marked = 0
    for row in range(start, stop):
        marks[row] = has_similar(search, row, scratch)
        marked += marks[row]
    return marked


@compiled
def settle_marks(search: Search, start: int, stop: int, scratch: Scratch, marks: np.ndarray) -> int:
    """Take back the marks of rows to which no row of the lists is similar; list the unmarked.

    Returns:
        How many rows had a mark.
    """
    marked = 0
    for row in range(start, stop):
        if marks[row]:
            marked += 1
            marks[row] = has_similar(search, row, scratch)
        if not marks[row]:
            insert(search.rows, row, search.limit, search.lists)
    return marked


@compiled
def find_pairs(
    search: Search,
    start: int,
    stop: int,
    scratch: Scratch,
    later: np.ndarray,
    earlier: np.ndarray,
    similar: np.ndarray,
) -> tuple[int, int]:
    """Write down the similar pairs of the rows from start on, to stop or while there is room.

    Returns:
        The first row not done, and the number of pairs.
    """
    rows = search.rows
    written = 0
    for row in range(start, stop):
        if written + row > len(later):
            return row, written
        take(rows, row, scratch)
        remaining, end = np.float32(1), rows.starts[row + 1]
        for k in range(rows.starts[row], end):
            if remaining <= search.limit:
                break
            at, last = search.lists.starts[rows.terms[k]], search.lists.stops[rows.terms[k]]
            while at < last:
                at, count = candidates(search, k, end, at, row, search.limit, row, scratch)
                for i in range(count):
                    total = similarity(rows, scratch.found[i], scratch)
                    if total > search.threshold:
                        later[written] = row
                        earlier[written] = scratch.found[i]
                        similar[written] = total
                        written += 1
            remaining = rows.rests[k]
        release(rows, row, scratch)
    return stop, written


@compiled
def root(parents: np.ndarray, row: int) -> int:
    """Find the earliest known row of a row's cluster, and shorten the way there."""
    while parents[row] != row:
        parents[row] = parents[parents[row]]
        row = parents[row]
    return row


@compiled
def unite(parents: np.ndarray, one: int, other: int) -> None:
    """Join the clusters of two rows."""
    one, other = root(parents, one), root(parents, other)
    if one < other:
        parents[other] = one
    else:
        parents[one] = other


@compiled
def unite_all(parents: np.ndarray, others: np.ndarray) -> None:
    """Join what other parents join too; every parent becomes its cluster's earliest row."""
    for row in range(len(parents)):
        unite(parents, row, others[row])
    for row in range(len(parents)):
        parents[row] = root(parents, row)


@compiled
def join_clusters(
    search: Search, start: int, stop: int, scratch: Scratch, parents: np.ndarray
) -> None:
    """Join every row from start to stop with the earlier rows that it is similar to.

    Two rows that are joined already are not compared.
    """
    rows = search.rows
    for row in range(start, stop):
        take(rows, row, scratch)
        remaining, end = np.float32(1), rows.starts[row + 1]
        for k in range(rows.starts[row], end):
            if remaining <= search.limit:
                break
            at, last = search.lists.starts[rows.terms[k]], search.lists.stops[rows.terms[k]]
            while at < last:
                at, count = candidates(search, k, end, at, row, search.limit, row, scratch)
                for i in range(count):
                    other = scratch.found[i]
                    apart = root(parents, other) != root(parents, row)
                    if apart and similarity(rows, other, scratch) > search.threshold:
                        unite(parents, row, other)
            remaining = rows.rests[k]
        release(rows, row, scratch)


@compiled
def find_nearest(
    search: Search,
    queries: np.ndarray,
    start: int,
    stop: int,
    tie: float,
    scratch: Scratch,
    nearest: np.ndarray,
    best: np.ndarray,
) -> None:
    """Find the most similar row of the lists for the queries from start to stop.

    The limit rises with the best row found. A row no more than ``tie`` away from it is as similar.
    """
    rows = search.rows
    for query in range(start, stop):
        row, found, most = queries[query], np.int64(-1), search.threshold
        limit = search.limit
        take(rows, row, scratch)
        scratch.seen[row] = query
        remaining, end = np.float32(1), rows.starts[row + 1]
        for k in range(rows.starts[row], end):
            if remaining <= limit:
                break
            at, last = search.lists.starts[rows.terms[k]], search.lists.stops[rows.terms[k]]
            while at < last:
                at, count = candidates(search, k, end, at, len(scratch.seen), limit, query, scratch)
                for i in range(count):
                    other = np.int64(scratch.found[i])
                    total = similarity(rows, other, scratch)
                    tied = found >= 0 and abs(total - most) <= tie
                    if (tied and other < found) or (not tied and total > most):
                        found, most = other, total
                        limit = np.float32(most - SLACK)
            remaining = rows.rests[k]
        release(rows, row, scratch)
        nearest[query] = found
        best[query] = most if found >= 0 else 0.0
