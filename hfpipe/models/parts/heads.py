"""Heads: hidden layers that end in one linear layer with an output a logit."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def hidden_layers(size: int, sizes: Sequence[int], dropout: float) -> nn.Sequential:
    """Linear, GELU and dropout for each of ``sizes``.

    >>> len(hidden_layers(8, [4, 2], 0.1))
    6
    """
    layers: list[nn.Module] = []
    for out in sizes:
        layers += [nn.Linear(size, out), nn.GELU(), nn.Dropout(dropout)]
        size = out
    return nn.Sequential(*layers)


def projection(size: int, out: int) -> nn.Sequential:
    """Linear, GELU, LayerNorm: brings what a tower gives to the size that all share."""
    return nn.Sequential(nn.Linear(size, out), nn.GELU(), nn.LayerNorm(out))


class Head(nn.Module):
    """Hidden layers, then the logits.

    Attributes:
        hidden: ``(batch, size)`` to ``(batch, pooled_size)``.
        output: ``(batch, pooled_size)`` to ``(batch, logits)``.
        pooled_size: What a tower hands on when this model stands in a larger one.
    """

    def __init__(self, hidden: nn.Module, pooled_size: int, logits: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.pooled_size = pooled_size
        self.output = nn.Linear(pooled_size, logits)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(batch, logits)`` of features ``(batch, size)``."""
        return self.output(self.hidden(features))


def mlp_head(size: int, sizes: Sequence[int], logits: int, dropout: float) -> Head:
    """A head of plain hidden layers.

    >>> mlp_head(8, [4, 2], 1, 0.1).pooled_size
    2
    """
    return Head(hidden_layers(size, sizes, dropout), [size, *sizes][-1], logits)


class ResidualBlock(nn.Module):
    """Brings features to ``out`` and adds one hidden layer's correction (He et al. 2016)."""

    def __init__(self, size: int, out: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(size, out)
        self.correct = nn.Sequential(
            nn.LayerNorm(out),
            nn.Linear(out, out),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(out, out),
        )
        self.norm = nn.LayerNorm(out)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """``(batch, size)`` to ``(batch, out)``."""
        straight = self.project(self.dropout(features))
        return self.norm(straight + self.dropout(self.correct(straight)))
