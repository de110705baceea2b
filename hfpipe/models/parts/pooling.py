"""From one vector a step to one vector a row, whatever the padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def masked_mean(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the steps that ``mask`` marks: ``(batch, size)``; zeros for a row without any.

    Args:
        hidden: ``(batch, steps, size)``.
        mask: ``(batch, steps)``; None counts every step.

    >>> masked_mean(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[1, 1, 0]])).tolist()
    [[2.0]]
    """
    if mask is None:
        return hidden.mean(dim=1)
    weight = mask.to(hidden.dtype)[..., None]
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def masked_max(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Largest value of each feature over the marked steps: ``(batch, size)``.

    >>> masked_max(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[1, 1, 0]])).tolist()
    [[3.0]]
    """
    if mask is not None:
        hidden = hidden.masked_fill(~mask.bool()[..., None], torch.finfo(hidden.dtype).min)
    return hidden.amax(dim=1)


def first_step(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """The first marked step, the ``[CLS]`` of most encoders: ``(batch, size)``.

    >>> first_step(torch.tensor([[[1.0], [3.0]]]), torch.tensor([[0, 1]])).tolist()
    [[3.0]]
    """
    if mask is None:
        return hidden[:, 0]
    first = mask.to(torch.long).argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), first]


POOLS: dict[str, Callable[[Any, Tensor | None], Tensor]] = {
    "mean": lambda output, mask: masked_mean(output.last_hidden_state, mask),
    "max": lambda output, mask: masked_max(output.last_hidden_state, mask),
    "first": lambda output, mask: first_step(output.last_hidden_state, mask),
    "pooler": lambda output, mask: output.pooler_output,
}
"""Name → pooling of an encoder's output; ``pooler`` is the encoder's own."""
