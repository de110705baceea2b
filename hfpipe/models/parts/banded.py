"""Attention with a bias by relative distance, forward and backward, in pieces.

A score is ``scale * (q_i·k_j + q_i·K[i-j] + k_j·Q[i-j])``. The last two terms are products with a
small table, one row a distance; `skew` shifts such a product into place by its strides, without
an index. Both directions go through a few heads' scores at a time, so that memory is bounded, and
in blocks of rows, so that few distances are multiplied that no pair of a block has.

It is one operator to PyTorch (``torch.ops.hfpipe.banded_attention``): autograd, checkpointing and
``torch.compile`` see its inputs and outputs only. It has no second derivative. Written for CPUs; it
computes on any device.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from hfpipe.models.parts.distances import (
    blocks,
    by_head,
    chunks,
    distance_rows,
    gather_up,
    side_by_side,
    skew,
    spread,
)

LEVELS = 1 << 16
"""Dropout draws 16 bits a score."""


def keep(shape: tuple[int, ...], rate: float, like: Tensor) -> Tensor:
    """Draw which scores dropout keeps: 1 or 0, of one byte, as multiplying is fastest so.

    PyTorch's ``bernoulli_`` spends a draw a score on a CPU; this spends one of 64 bits on four.
    """
    count = math.prod(shape)
    bits = torch.empty(-(-count // 4), dtype=torch.int64, device=like.device)
    bits = bits.random_(-(1 << 63), None).view(torch.int16)[:count]
    return (bits >= round(rate * LEVELS) - LEVELS // 2).view(torch.uint8).view(shape)


def kept_share(rate: float) -> float:
    """The share that `keep` keeps, exactly."""
    return 1 - round(rate * LEVELS) / LEVELS


def penalties(mask: Tensor, like: Tensor) -> Tensor | None:
    """What masked scores get added; None where nothing is masked.

    It is so large that adding leaves nothing of the score: a row that is masked as a whole has
    equal probabilities, as in stock transformers.
    """
    if bool(mask.all()):
        return None
    floor = torch.finfo(like.dtype).min / 2
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(~mask, floor)


SCHEMA = (
    "(Tensor query, Tensor key, Tensor value, Tensor? key_rows, Tensor? query_rows, Tensor mask,"
    " int heads, float scale, int[] places, float dropout, bool train)"
    " -> (Tensor, Tensor, Tensor)"
)


@torch.library.custom_op("hfpipe::banded_attention", mutates_args=(), schema=SCHEMA)
def banded_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_rows: Tensor | None,
    query_rows: Tensor | None,
    mask: Tensor,
    heads: int,
    scale: float,
    places: list[int],
    dropout: float,
    train: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Attend.

    Args:
        query: ``(batch, length, heads * size)``; so are ``key`` and ``value``.
        key: What is attended to.
        value: What is gathered from there.
        key_rows: ``(rows, heads * size)``: the table that queries are multiplied with.
        query_rows: ``(rows, heads * size)``: the table that keys are multiplied with.
        mask: ``(batch, 1 or heads, length, length)``: True where a query may look.
        heads: How many.
        scale: Of all three products.
        places: ``first, buckets, furthest, span`` of `distance_rows`.
        dropout: Of probabilities.
        train: Whether to return what the backward pass needs.

    Returns:
        The context, ``(batch, length, heads * size)``; with ``train`` the probabilities before
        dropout and what dropout kept, ``(heads, batch, length, length)``, else empty tensors.
    """
    batch, length, _ = query.shape
    index = distance_rows(length, *places, query.device)
    key_table = spread(key_rows, index.flip(0), heads, scale)
    query_table = spread(query_rows, index, heads, scale)
    penalty = penalties(mask, query)
    q, k, v = (by_head(states, heads) for states in (query, key, value))
    v = v / kept_share(dropout) if dropout else v
    context = torch.empty_like(v)
    whole = (heads, batch, length, length)
    probabilities = q.new_empty(whole if train else 0)
    kept = q.new_empty(whole if train and dropout else 0, dtype=torch.uint8)
    # What autocast would do is done: its casts would only be in the way.
    with torch.autocast(query.device.type, enabled=False):
        for head, rows in chunks(heads, batch, length):
            here, there = q[head, rows], k[head, rows]
            turned = []
            if query_table is not None:
                for block, window in blocks(length):
                    products = there[:, block] @ query_table[head, window].T
                    turned.append((block, skew(products, length)))
            for block, window in blocks(length):
                if key_table is not None:
                    scores = skew(here[:, block] @ key_table[head, window].T, length)
                    scores.baddbmm_(here[:, block], there.mT, alpha=scale)
                else:
                    scores = torch.bmm(here[:, block] * scale, there.mT)
                for columns, part in turned:
                    scores[:, :, columns].add_(part[:, :, block].mT)
                if penalty is not None:
                    scores.add_(penalty[rows, min(head, penalty.shape[1] - 1), block])
                shares = torch.softmax(scores, -1)
                if train:
                    probabilities[head, rows, block] = shares
                if dropout:
                    draw = keep(shares.shape, dropout, shares)
                    shares.mul_(draw)
                    if train:
                        kept[head, rows, block] = draw
                context[head, rows, block] = torch.bmm(shares, v[head, rows])
    return side_by_side(context), probabilities, kept


@banded_attention.register_fake
def _shapes(query: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    (batch, length, _), heads, (dropout, train) = query.shape, rest[5], rest[-2:]
    whole = (heads, batch, length, length)
    return (
        torch.empty_like(query, memory_format=torch.contiguous_format),
        query.new_empty(whole if train else 0),
        query.new_empty(whole if train and dropout else 0, dtype=torch.uint8),
    )


BACKWARD_SCHEMA = (
    "(Tensor upstream, Tensor probabilities, Tensor kept, Tensor query, Tensor key,"
    " Tensor value, Tensor? key_rows, Tensor? query_rows, Tensor mask, int heads, float scale,"
    " int[] places, float dropout) -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)


@torch.library.custom_op(
    "hfpipe::banded_attention_backward", mutates_args=(), schema=BACKWARD_SCHEMA
)
def banded_attention_backward(
    upstream: Tensor,
    probabilities: Tensor,
    kept: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_rows: Tensor | None,
    query_rows: Tensor | None,
    mask: Tensor,
    heads: int,
    scale: float,
    places: list[int],
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The gradients of query, key, value and both tables; empty for a table that is None."""
    batch, length, _ = query.shape
    index = distance_rows(length, *places, query.device)
    tables = (
        spread(key_rows, index.flip(0), heads, scale),
        spread(query_rows, index, heads, scale),
    )
    d_tables = tuple(None if table is None else torch.zeros_like(table) for table in tables)
    # A row that is masked as a whole has probabilities, but nothing to learn from them.
    open_rows = None if bool(mask.all()) else mask.any(-1, keepdim=True).to(query.dtype)
    q, k, v, g = (by_head(each, heads) for each in (query, key, value, upstream))
    v = v / kept_share(dropout) if dropout else v
    dq, dk, dv = torch.empty_like(q), torch.empty_like(q), torch.empty_like(q)
    bands: dict[tuple[int, int], Tensor] = {}
    with torch.autocast(query.device.type, enabled=False):
        for head, rows in chunks(heads, batch, length):
            here, there, shares = q[head, rows], k[head, rows], probabilities[head, rows]
            dropped = shares * kept[head, rows] if dropout else shares
            dv[head, rows] = torch.bmm(dropped.mT, g[head, rows])
            d = torch.bmm(g[head, rows], v[head, rows].mT)
            if dropout:
                d.mul_(kept[head, rows])
            d = torch._softmax_backward_data(d, shares, -1, shares.dtype)
            if open_rows is not None:
                d.mul_(open_rows[rows, min(head, open_rows.shape[1] - 1)])
            d_here, d_there = torch.bmm(d, there).mul_(scale), torch.bmm(d.mT, here).mul_(scale)
            sides = ((here, d_here, d), (there, d_there, d.mT))
            for (x, dx, source), table, d_table in zip(sides, tables, d_tables, strict=True):
                if table is None or d_table is None:
                    continue
                for block, window in blocks(length):
                    size = (len(x), block.stop - block.start)
                    if size not in bands:
                        # What no pair has stays zero: only the band is ever written.
                        bands[size] = x.new_zeros(*size, length + size[1] - 1)
                    band = bands[size]
                    skew(band, length).copy_(source[:, block])
                    dx[:, block] += band @ table[head, window]
                    flat = x[:, block].reshape(-1, x.shape[-1])
                    d_table[head, window].addmm_(band.flatten(0, 1).T, flat)
            dq[head, rows], dk[head, rows] = d_here, d_there
    dv = dv / kept_share(dropout) if dropout else dv
    return (
        side_by_side(dq),
        side_by_side(dk),
        side_by_side(dv),
        gather_up(d_tables[0], key_rows, index.flip(0), scale),
        gather_up(d_tables[1], query_rows, index, scale),
    )


@banded_attention_backward.register_fake
def _gradient_shapes(upstream: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    states, tables = rest[2:5], rest[5:7]
    likes = (torch.empty_like(each, memory_format=torch.contiguous_format) for each in states)
    return (*likes, *(upstream.new_empty(0) if t is None else torch.empty_like(t) for t in tables))


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*output[1:], *inputs[:6])
    ctx.settings = inputs[6:10]


def _backward(ctx: Any, upstream: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
    if upstream is None:
        return (None,) * 11
    saved = ctx.saved_tensors
    found = banded_attention_backward(upstream, *saved, *ctx.settings)
    tables = [None if t is None else g for g, t in zip(found[3:], saved[5:7], strict=True)]
    return (*found[:3], *tables, *[None] * 6)


banded_attention.register_autograd(_backward, setup_context=_remember)
