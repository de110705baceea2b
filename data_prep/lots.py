"""Random draws that depend on a row's id and a seed, and on nothing else.

Each row draws a lot: a hash of its id under the seed. Picking the smallest lots is a uniform
draw without replacement that does not change with the order of the rows, with the version of a
random generator, or (for the rows already there) when rows are added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

import numpy as np
import pyarrow as pa

#: Rows hashed at a time, so that a million ids are never all copied.
PORTION = 65_536


def draw_lots(
    row_ids: pa.Array | pa.ChunkedArray | Sequence[str], seed: int, purpose: str
) -> np.ndarray:
    """Give every row its lot.

    Args:
        row_ids: Distinct ids.
        seed: The seed.
        purpose: What the draw is for; two purposes give unrelated lots.

    Returns:
        The lots, (rows,) uint64.

    >>> lots = draw_lots(["ant", "bee"], 42, "split")
    >>> bool(lots[1] == draw_lots(pa.array(["bee"]), 42, "split")[0])
    True
    """
    key = blake2b(f"{seed}/{purpose}".encode(), digest_size=32).digest()
    # Copying a hash that has taken in its key is quicker than keying one for every row.
    fresh = blake2b(digest_size=8, key=key).copy

    def lot(row_id: bytes) -> bytes:
        mine = fresh()
        mine.update(row_id)
        return mine.digest()

    portions = [b"".join(map(lot, portion)) for portion in _portions(row_ids)]
    return np.frombuffer(b"".join(portions), dtype=">u8").astype(np.uint64)


def draw_order(
    row_ids: pa.Array | pa.ChunkedArray | Sequence[str], seed: int, purpose: str
) -> np.ndarray:
    """Put rows into a random order.

    Args:
        row_ids: Distinct ids.
        seed: The seed.
        purpose: What the draw is for; two purposes give unrelated orders.

    Returns:
        Positions in ``row_ids``, shuffled, (rows,) int64.

    >>> ids = ["ant", "bee", "cat", "dog"]
    >>> [ids[i] for i in draw_order(ids, 42, "split")] == [
    ...     sorted(ids)[i] for i in draw_order(sorted(ids), 42, "split")
    ... ]
    True
    """
    return by_lot(draw_lots(row_ids, seed, purpose), row_ids)


def by_lot(lots: np.ndarray, row_ids: pa.Array | pa.ChunkedArray | Sequence[str]) -> np.ndarray:
    """Put rows in the order of their lots, and those with equal lots in the order of their ids.

    Args:
        lots: (rows,) uint64.
        row_ids: Distinct ids.

    Returns:
        Positions, (rows,) int64.

    >>> by_lot(np.array([5, 9, 5, 1]), ["d", "c", "b", "a"]).tolist()
    [3, 2, 0, 1]
    """
    order = np.argsort(lots, kind="stable")
    drawn = lots[order]
    # No tie falls back on the input order.
    for tied in _runs(np.flatnonzero(drawn[1:] == drawn[:-1])):
        order[tied] = sorted(order[tied].tolist(), key=lambda position: str(row_ids[position]))
    return order.astype(np.int64)


def _portions(row_ids: pa.Array | pa.ChunkedArray | Sequence[str]) -> Iterator[Iterable[bytes]]:
    for start in range(0, len(row_ids), PORTION):
        if isinstance(row_ids, (pa.Array, pa.ChunkedArray)):
            yield row_ids.slice(start, PORTION).cast(pa.large_binary()).to_pylist()
        else:
            yield [row_id.encode() for row_id in row_ids[start : start + PORTION]]


def _runs(ties: np.ndarray) -> list[slice]:
    """Stretches of equal neighbours, from the places that equal the next one.

    >>> _runs(np.array([1, 2, 6]))
    [slice(1, 4, None), slice(6, 8, None)]
    """
    if not len(ties):
        return []
    parts = np.split(ties, np.flatnonzero(np.diff(ties) > 1) + 1)
    return [slice(int(part[0]), int(part[-1]) + 2) for part in parts]
