"""A sequence of vectors to one vector: transformer, convolutions, max pool; padding-invariant."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hfpipe.models.parts.batches import never_empty
from hfpipe.models.parts.pooling import masked_max
from hfpipe.models.parts.positions import sinusoidal_positions


class SequenceEncoder(nn.Module):
    """Projection, sinusoidal positions, transformer layers, convolutions, max pool.

    The layers are pre-norm (Xiong et al. 2020) with a norm behind the last one: post-norm layers
    need a warm-up to train, and plateau schedules have none. Steps that ``mask`` leaves out
    are neither attended to, nor convolved (they are zero, as the convolution's own padding is),
    nor pooled, so padding changes nothing.

    Attributes:
        size: Length of the resulting vector: ``hidden_size`` a kernel.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        layers: int,
        heads: int,
        feedforward_size: int,
        kernel_sizes: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(input_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                hidden_size,
                heads,
                feedforward_size,
                dropout,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(hidden_size)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(hidden_size, hidden_size, kernel, padding=kernel // 2)
            for kernel in kernel_sizes
        )
        self.size = hidden_size * len(kernel_sizes)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Encode sequences.

        Args:
            values: ``(batch, steps, input_size)``.
            mask: ``(batch, steps)`` bool: the real steps.

        Returns:
            ``(batch, size)``.
        """
        mask = never_empty(mask.bool())
        hidden = self.project(values)
        steps, size = hidden.shape[1:]
        hidden = hidden + sinusoidal_positions(steps, size, hidden.device, hidden.dtype)
        hidden = self.dropout(hidden)
        for layer in self.layers:
            hidden = layer(hidden, src_key_padding_mask=~mask)
        hidden = self.norm(hidden).masked_fill(~mask[..., None], 0.0).transpose(1, 2)
        found = [
            masked_max(torch.relu(convolution(hidden)).transpose(1, 2), mask)
            for convolution in self.convolutions
        ]
        return self.dropout(torch.cat(found, dim=1))
