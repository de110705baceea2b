"""Sinusoidal positions (Vaswani et al. 2017, section 3.5)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoidal_positions(
    steps: int, size: int, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """The positions to add to a sequence: ``(steps, size)``.

    Computed at each call, so that there is no longest sequence and nothing to be saved or lost.

    Args:
        steps: Length of the sequence.
        size: Of each vector.
        device: Where the result lies.
        dtype: Of the result; it is computed in float32.

    >>> sinusoidal_positions(2, 4)[0].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    place = torch.arange(steps, device=device, dtype=torch.float32)[:, None]
    pairs = torch.arange(0, size, 2, device=device, dtype=torch.float32)
    angles = place * torch.exp(pairs * (-math.log(10_000.0) / size))
    both = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
    return both[:, :size].to(dtype or torch.float32)
