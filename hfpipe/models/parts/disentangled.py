"""Attention of DeBERTa-v2 and v3 without tables of relative positions (He et al. 2021), exactly.

Stock transformers multiplies every query and key with all relative embeddings and picks from the
products by index, a pair of tokens at a time. How far two tokens are apart depends on ``i - j``
alone: here each distance has one row, and its product is shifted into place.

`fuse` swaps the class of a stock model's attention modules, in place. Parameters, their names and
the configuration stay, so that what is saved or pushed is a stock model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention

from hfpipe.models.parts.banded import banded_attention
from hfpipe.models.parts.distances import distance_rows, skew

MASKED = -3e4
"""Added to masked scores on an accelerator: its kernels turn the least number into NaN."""


def fuse(model: nn.Module) -> int:
    """Put the fused attention on every disentangled attention module, in place.

    Args:
        model: Any model; one without such modules is left as it is.

    Returns:
        How many modules have it now that had not.
    """
    return _swap(model, DisentangledSelfAttention, FusedSelfAttention)


def unfuse(model: nn.Module) -> int:
    """Undo `fuse`; returns how many modules are stock again."""
    return _swap(model, FusedSelfAttention, DisentangledSelfAttention)


def _swap(model: nn.Module, old: type[nn.Module], new: type[nn.Module]) -> int:
    found = [module for module in model.modules() if type(module) is old]
    for module in found:
        module.__class__ = new
    return len(found)


class FusedSelfAttention(DisentangledSelfAttention):
    """Stock attention's parameters, computed another way.

    Relative positions are taken to be those the stock encoder makes. Where attention weights are
    asked for, or queries that are not the hidden states, the stock way is taken.
    """

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: Tensor | None = None,
        rel_embeddings: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            hidden_states: ``(batch, length, hidden)``.
            attention_mask: ``(batch, 1 or heads, length, length)``; not 0 where a query may look.
            output_attentions: Return the probabilities as well.
            query_states: Queries of their own.
            relative_pos: ``(1, length, length)``, as the stock encoder makes it.
            rel_embeddings: ``(rows, hidden)``, one row a distance or bucket.

        Returns:
            The context, ``(batch, length, hidden)``, and the probabilities or None.
        """
        own_positions = (
            relative_pos is not None and relative_pos.dim() > 2 and len(relative_pos) > 1
        )
        if output_attentions or query_states is not None or own_positions:
            return super().forward(
                hidden_states,
                attention_mask,
                output_attentions,
                query_states=query_states,
                relative_pos=relative_pos,
                rel_embeddings=rel_embeddings,
            )
        batch, length, _ = hidden_states.shape
        states = [part(hidden_states) for part in (self.query_proj, self.key_proj, self.value_proj)]
        mask = attention_mask.bool().expand(batch, -1, length, length)
        dropout = self.dropout.p if self.training else 0.0
        scale = (
            self.attention_head_size * (1 + len({"c2p", "p2c"} & {*self.pos_att_type}))
        ) ** -0.5
        if hidden_states.device.type != "cpu":
            return self.on_accelerator(states, mask, rel_embeddings, scale, dropout), None
        tables, places = self.tables(rel_embeddings, length)
        train = torch.is_grad_enabled() and any(
            each is not None and each.requires_grad for each in (*states, *tables)
        )
        context, *_ = banded_attention(
            *states, *tables, mask, self.num_attention_heads, scale, places, dropout, train
        )
        return context, None

    def tables(
        self, rel_embeddings: Tensor | None, length: int, whole: bool = False
    ) -> tuple[tuple[Tensor | None, Tensor | None], list[int]]:
        """Project the relative embeddings that a text of this length needs.

        Args:
            rel_embeddings: ``(rows, hidden)``.
            length: Of the text.
            whole: Project all.

        Returns:
            The tables ``(rows, hidden)`` for queries and for keys, None where that term is off;
            and their places, as `distance_rows` takes them.
        """
        kinds = {"c2p", "p2c"} & {*self.pos_att_type} if self.relative_attention else set()
        if rel_embeddings is None or not kinds:
            return (None, None), [0, -1, 0, length]
        span, buckets, furthest = (
            self.pos_ebd_size,
            self.position_buckets,
            self.max_relative_positions,
        )
        far = span if whole else reach(length, buckets, furthest, span)
        first, last = span - far, min(span + far + 1, 2 * span)
        rows = self.pos_dropout(rel_embeddings[first:last])
        keys = self.key_proj if self.share_att_key else getattr(self, "pos_key_proj", None)
        queries = self.query_proj if self.share_att_key else getattr(self, "pos_query_proj", None)
        key_rows = keys(rows) if "c2p" in kinds and keys is not None else None
        query_rows = queries(rows) if "p2c" in kinds and queries is not None else None
        return (key_rows, query_rows), [first, buckets, furthest, span]

    def on_accelerator(
        self,
        states: list[Tensor],
        mask: Tensor,
        rel_embeddings: Tensor | None,
        scale: float,
        dropout: float,
    ) -> Tensor:
        """The context ``(batch, length, hidden)``: by flashdeberta's kernel if it can, or sdpa."""
        batch, length, _ = states[0].shape
        query, key, value = (
            each.view(batch, length, self.num_attention_heads, -1).transpose(1, 2)
            for each in states
        )
        lengths = None
        if self.relative_attention and flash_fits(query, dropout):
            lengths = padded_lengths(mask)
        tables, places = self.tables(rel_embeddings, length, whole=lengths is not None)
        by_head = [
            None if t is None else t.view(1, len(t), self.num_attention_heads, -1).transpose(1, 2)
            for t in tables
        ]
        if lengths is not None:
            parts = [each.contiguous() for each in (query, key, value)]
            rows = [None if t is None else t.contiguous() for t in by_head]
            _, buckets, furthest, _ = places
            context = flash_kernel()(*parts, lengths, *rows, False, scale, buckets, furthest)  # type: ignore[misc]
        else:
            index = distance_rows(length, *places, query.device)
            bias = distance_bias(query, key, by_head[0], by_head[1], index) * scale
            bias = bias.masked_fill(~mask, MASKED).expand(batch, self.num_attention_heads, -1, -1)
            context = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=bias, dropout_p=dropout, scale=scale
            )
        return context.transpose(1, 2).flatten(2)


def reach(length: int, buckets: int, furthest: int, span: int) -> int:
    """How many rows of relative embeddings to each side a text needs, or one more.

    The buckets' logarithm is taken in another precision than stock transformers takes it, hence
    the one to spare.

    >>> reach(64, 256, 512, 256), reach(300, 256, 512, 256), reach(512, -1, 512, 512)
    (63, 207, 511)
    """
    far, middle = length - 1, buckets // 2
    if buckets > 0 and furthest > 0 and far > middle:
        if middle < 1 or furthest - 1 <= middle:
            return span
        share = math.log(far / middle) / math.log((furthest - 1) / middle)
        far = math.ceil(share * (middle - 1)) + middle + 1
    return min(far, span)


def distance_bias(
    query: Tensor, key: Tensor, key_rows: Tensor | None, query_rows: Tensor | None, index: Tensor
) -> Tensor:
    """What distance adds to the scores, before scaling: autograd's own derivative.

    Args:
        query: ``(batch, heads, length, size)``; so is ``key``.
        key: What is attended to.
        key_rows: ``(1, heads, rows, size)`` or None; so is ``query_rows``.
        query_rows: The table that keys are multiplied with.
        index: ``(2 * length - 1,)``: the row of each distance.

    Returns:
        ``(batch, heads, length, length)``, or a single 0.
    """
    length, bias = query.shape[-2], query.new_zeros(1, 1, 1, 1)
    if key_rows is not None:
        bias = bias + skew(query @ key_rows.index_select(2, index.flip(0)).mT, length)
    if query_rows is not None:
        bias = bias + skew(key @ query_rows.index_select(2, index).mT, length).mT
    return bias


@lru_cache(maxsize=1)
def flash_kernel() -> Callable[..., Any] | None:
    """The kernel of the package flashdeberta, if it is installed."""
    try:
        module = import_module("flashdeberta.ops.flash_attention")
    except ImportError:
        return None
    kernel: Callable[..., Any] = module.flash_attention_with_disentangled
    return kernel


def flash_fits(query: Tensor, dropout: float) -> bool:
    """Whether flashdeberta's kernel may do it: half precision on CUDA, no dropout in it."""
    half = query.dtype in (torch.float16, torch.bfloat16)
    able = query.is_cuda and half and not dropout and not torch.compiler.is_compiling()
    return able and flash_kernel() is not None


def padded_lengths(mask: Tensor) -> Tensor | None:
    """The tokens of each row, if the mask is nothing but padding to the right; else None.

    Args:
        mask: ``(batch, 1 or heads, length, length)`` of bool.

    >>> corner = torch.tensor([[True, True, False], [True, True, False], [False, False, False]])
    >>> padded_lengths(corner.view(1, 1, 3, 3))
    tensor([2], dtype=torch.int32)
    >>> padded_lengths(~corner.view(1, 1, 3, 3)) is None
    True
    """
    lengths = mask[:, 0].any(-2).sum(-1)
    valid = torch.arange(mask.shape[-1], device=mask.device) < lengths[:, None]
    plain = (valid[:, None, :] & valid[:, :, None])[:, None].expand_as(mask)
    return lengths.int() if torch.equal(mask, plain) else None
