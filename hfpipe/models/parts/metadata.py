"""Numbers and categories of a row as one vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hfpipe.models.parts.batches import Batch


def embedding_size(categories: int) -> int:
    """How long the vector of a category is: half their number, from 2 to 32.

    >>> [embedding_size(count) for count in (2, 10, 1000)]
    [2, 5, 32]
    """
    return max(2, min(32, (categories + 1) // 2))


class Metadata(nn.Module):
    """Every numeric input with its missing indicators, every category as a learned vector.

    Attributes:
        size: Length of the vector; 0 where there is no such input.
    """

    def __init__(self, specs: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        # Sorted, as config.json sorts its keys: the order must survive saving.
        self.numeric = sorted(name for name in specs if specs[name]["kind"] == "numeric")
        categorical = sorted(name for name in specs if specs[name]["kind"] == "categorical")
        self.embeddings = nn.ModuleDict(
            {
                name: nn.ModuleList(
                    nn.Embedding(count, embedding_size(count)) for count in specs[name]["sizes"]
                )
                for name in categorical
            }
        )
        self.size = sum(2 * specs[name]["n"] for name in self.numeric) + sum(
            each.embedding_dim for tables in self.embeddings.values() for each in tables
        )

    def forward(self, batch: Batch) -> list[Tensor]:
        """What to join: tensors ``(batch, …)`` whose widths sum up to ``size``."""
        parts: list[Tensor] = []
        for name in self.numeric:
            values = batch[name]["values"]
            missing = batch[name].get("missing")
            parts += [values, torch.zeros_like(values) if missing is None else missing.to(values)]
        for name, tables in self.embeddings.items():
            codes = batch[name]["codes"]
            parts += [table(codes[:, at]) for at, table in enumerate(tables)]
        return parts
