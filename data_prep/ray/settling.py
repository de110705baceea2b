"""Which rows stay: settled in rounds, with little memory however many pairs are similar."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from data_prep.ray.joining import (
    DROPPED,
    FRESH,
    KEPT,
    OPEN,
    Lots,
    beside_fresh,
    beside_open,
    cluster_links,
    open_pairs,
)

#: Rounds before the pairs that are left are fetched.
ROUNDS = 3


def any_earlier(
    lots: Lots, count: int, always: np.ndarray, advance: Callable[[int], None]
) -> np.ndarray:
    """Mark every row that is similar to an earlier one; policy ``any``."""
    marks = np.zeros(count, dtype=bool)
    status = np.full(count, OPEN, dtype=np.int8)
    marks[lots.ask(beside_open, status, advance=advance)[:, 0]] = True
    return marks & ~always


def kept_earlier(
    lots: Lots, count: int, always: np.ndarray, advance: Callable[[int], None]
) -> np.ndarray:
    """Mark every row that is similar to an earlier one that is not marked; policy ``kept``.

    In each round the open rows that no earlier open row is similar to are kept, and then those
    that one of these is similar to are dropped. A family of near-duplicates, of whatever size, is
    settled in one round and never written down pair by pair. What is left after some rounds are
    chains: their pairs are fetched and settled here.
    """
    status = np.full(count, OPEN, dtype=np.int8)
    status[always] = FRESH
    for number in range(ROUNDS):
        if number or not always.any():
            held = np.zeros(count, dtype=bool)
            told = advance if not (status == KEPT).any() else _silent
            held[lots.ask(beside_open, status, advance=told)[:, 0]] = True
            status[(status == OPEN) & ~held] = FRESH
        if (status == OPEN).any():
            status[lots.ask(beside_fresh, status)[:, 0]] = DROPPED
        status[status == FRESH] = KEPT
        if not (status == OPEN).any():
            break
    else:
        _settle_pairs(status, lots.ask(open_pairs, status, 2))
    return status == DROPPED


def _silent(rows: int) -> None:
    """What was told before is not told again."""


def _settle_pairs(status: np.ndarray, pairs: np.ndarray) -> None:
    """Settle the open rows, one after the other, by all pairs of them that are similar."""
    for later, earlier in np.unique(pairs, axis=0).tolist():
        if status[earlier] != DROPPED:
            status[later] = DROPPED
    status[status == OPEN] = KEPT


def clusters(lots: Lots, count: int) -> np.ndarray:
    """As :func:`data_prep.duplicates.near_clusters`."""
    links = lots.ask(cluster_links, np.full(count, OPEN, dtype=np.int8), 2)
    ones = np.ones(len(links), dtype=np.int8)
    graph = coo_array((ones, (links[:, 0], links[:, 1])), shape=(count, count))
    component = connected_components(graph.tocsr(), directed=False)[1]
    _, first, group = np.unique(component, return_index=True, return_inverse=True)
    return first[group].astype(np.int64)
