"""What the loops of :mod:`data_prep._join_loops` work on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: One row in a term's list.
ENTRY = np.dtype(
    [
        ("outline", np.uint64),  # a bit for each of the row's terms; terms may share a bit
        ("row", np.int32),
        ("value", np.float32),  # the weight of the term
        ("rest", np.float32),  # the length of what follows the term in the row
    ],
    align=True,
)


class Rows(NamedTuple):
    """Sparse rows of unit length.

    Attributes:
        starts: ``(rows + 1,)`` where each row starts in the others.
        terms: ``(entries,)`` the terms, from rare to frequent within a row.
        values: ``(entries,)`` their weights.
        rests: ``(entries,)`` the length of what follows the entry in its row.
    """

    starts: np.ndarray
    terms: np.ndarray
    values: np.ndarray
    rests: np.ndarray


class Lists(NamedTuple):
    """For each term the rows, in ascending order, that have it in their beginning.

    Attributes:
        starts: ``(terms,)`` where each term's list starts in ``entries``.
        stops: ``(terms,)`` where it stops; there may be room for more.
        entries: The rows.
    """

    starts: np.ndarray
    stops: np.ndarray
    entries: np.ndarray


class Search(NamedTuple):
    """Rows, where to look for similar ones, and above what.

    Attributes:
        rows: The rows.
        lists: Those that are looked at.
        threshold: What a similarity must be above.
        limit: What a bound must be above: less by ``SLACK``.
    """

    rows: Rows
    lists: Lists
    threshold: float
    limit: np.float32


class Scratch(NamedTuple):
    """What a thread needs for itself.

    Attributes:
        weights: ``(terms,)`` the row in hand; all zero between rows.
        seen: ``(rows,)`` the last query for which each row was looked at.
        found: Candidates for the row in hand.
    """

    weights: np.ndarray
    seen: np.ndarray
    found: np.ndarray
