"""Random draws that depend on a row's id and a seed, and on nothing else.

Each row draws a lot: a hash of its id under the seed. Picking the smallest lots is a uniform
draw without replacement that does not change with the order of the rows, with the version of a
random generator, or (for the rows already there) when rows are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np


def draw_order(row_ids: Sequence[str], seed: int, purpose: str) -> np.ndarray:
    """Put rows into a random order.

    Args:
        row_ids: Distinct ids.
        seed: The seed.
        purpose: What the draw is for; two purposes give unrelated orders.

    Returns:
        Positions in ``row_ids``, shuffled.

    >>> ids = ["ant", "bee", "cat", "dog"]
    >>> [ids[i] for i in draw_order(ids, 42, "split")] == [
    ...     sorted(ids)[i] for i in draw_order(sorted(ids), 42, "split")
    ... ]
    True
    """
    key = blake2b(f"{seed}/{purpose}".encode(), digest_size=32).digest()
    lots = [blake2b(row_id.encode(), digest_size=8, key=key).digest() for row_id in row_ids]
    # The id settles the order of equal lots, so that no tie falls back on the input order.
    order = sorted(range(len(row_ids)), key=lambda i: (lots[i], row_ids[i]))
    return np.array(order, dtype=np.int64)
