"""Tables with one row a distance, their products shifted into place, and work in small pieces."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

CHUNK = 1 << 22
"""So many scores at a time, at least one row of the batch: 16 MiB in float32. Smaller pieces stay
in a core's own cache, but threads then wait for each other for longer than for the memory."""
BLOCK = 128
"""Rows of scores that share a window of distances."""


@lru_cache(maxsize=64)
def distance_rows(
    length: int, first: int, buckets: int, furthest: int, span: int, device: torch.device
) -> Tensor:
    """Which row of a table belongs to each distance from ``1 - length`` to ``length - 1``.

    Args:
        length: Of the text, in tokens.
        first: The table begins with this row of the relative embeddings.
        buckets: Beyond half of it distances share rows; none do where it is not above 0.
        furthest: Distances are clipped here by the buckets' rule.
        span: The row of distance 0.
        device: Where the answer lies.

    >>> distance_rows(3, 2, -1, 4, 4, torch.device("cpu")).tolist()
    [0, 1, 2, 3, 4]
    >>> distance_rows(6, 0, 4, 8, 4, torch.device("cpu")).tolist()
    [1, 1, 1, 2, 3, 4, 5, 6, 7, 7, 7]
    """
    # What is cached may be asked for by an evaluation first and by training later.
    with torch.inference_mode(False):
        distances = torch.arange(1 - length, length, device=device)
        if buckets > 0 and furthest > 0:
            distances = make_log_bucket_position(distances, buckets, furthest).long()
        return (distances + span).clamp(0, 2 * span - 1) - first


def skew(products: Tensor, length: int) -> Tensor:
    """Shift rows over distances into rows over positions: a view, nothing is copied.

    Args:
        products: ``(…, rows, length + rows - 1)``, contiguous, furthest to the left first.
        length: Of the text.

    Returns:
        ``(…, rows, length)``: row ``i``, column ``j`` is row ``i``, column ``j - i + rows - 1``.

    >>> skew(torch.arange(12).view(3, 4), 2).tolist()
    [[2, 3], [5, 6], [8, 9]]
    """
    *outer, rows, width = products.shape
    strides = products.stride()[:-2]
    start = products.storage_offset() + rows - 1
    return products.as_strided((*outer, rows, length), (*strides, width - 1, 1), start)


def by_head(states: Tensor, heads: int) -> Tensor:
    """``(batch, length, heads * size)`` to ``(heads, batch, length, size)``, contiguous."""
    return states.view(*states.shape[:2], heads, -1).permute(2, 0, 1, 3).contiguous()


def side_by_side(states: Tensor) -> Tensor:
    """``(heads, batch, length, size)`` to ``(batch, length, heads * size)``, contiguous."""
    return states.permute(1, 2, 0, 3).flatten(2).contiguous()


def chunks(heads: int, batch: int, length: int) -> Iterator[tuple[int, slice]]:
    """Pairs of a head and rows of the batch."""
    rows = max(1, CHUNK // (length * length))
    for head in range(heads):
        for row in range(0, batch, rows):
            yield head, slice(row, row + rows)


def blocks(length: int) -> list[tuple[slice, slice]]:
    """Blocks of positions, each with the window of distances that it needs.

    >>> blocks(3)
    [(slice(0, 3, None), slice(0, 5, None))]
    >>> [(b.stop - b.start, w.stop - w.start) for b, w in blocks(300)]
    [(128, 427), (128, 427), (44, 343)]
    """
    starts = range(0, length, BLOCK)
    ends = [min(length, start + BLOCK) for start in starts]
    return [
        (slice(start, end), slice(length - end, 2 * length - 1 - start))
        for start, end in zip(starts, ends, strict=True)
    ]


def spread(rows: Tensor | None, index: Tensor, heads: int, scale: float) -> Tensor | None:
    """A table's rows, one a distance: ``(rows, heads * size)`` to ``(heads, distances, size)``."""
    if rows is None:
        return None
    table = (rows * scale).index_select(0, index)
    return table.view(len(index), heads, -1).transpose(0, 1).contiguous()


def gather_up(table: Tensor | None, rows: Tensor | None, index: Tensor, scale: float) -> Tensor:
    """The gradient of what `spread` was given."""
    if table is None or rows is None:
        return index.new_empty(0, dtype=torch.float32)
    flat = table.transpose(0, 1).flatten(1) * scale
    return torch.zeros_like(rows).index_add_(0, index, flat)
