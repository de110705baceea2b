"""``concat_mlp``: all that is known of a row side by side, through one multilayer perceptron."""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar

import torch
from torch import Tensor

from hfpipe.errors import UserError, nearest
from hfpipe.models.base import HfpipeConfig, HfpipeModel
from hfpipe.models.parts.batches import Batch, presence
from hfpipe.models.parts.fusion import POOLED, STRATEGIES, fuse
from hfpipe.models.parts.heads import mlp_head
from hfpipe.models.parts.metadata import Metadata


class ConcatMLPConfig(HfpipeConfig):
    """Config of ``ConcatMLPModel``.

    Attributes:
        inputs: Any of ``vector``, ``numeric``, ``categorical``. Without a vector it is the
            metadata tower.
        sizes: Of the hidden layers.
        strategy: How the vectors are fused, their presence mask appended: ``concat``,
            ``sum_pool`` or ``max_pool`` (these two need one dimension).
    """

    model_type: ClassVar[str] = "hfpipe-concat-mlp"

    dropout: float = 0.2
    sizes: list[int] = field(default_factory=lambda: [1024, 512, 256])
    strategy: str = "concat"

    def check(self, kinds: tuple[str, ...]) -> None:
        """As in the base, and that the strategy can fuse these vectors.

        Raises:
            UserError: See above.
        """
        super().check(kinds)
        if self.strategy not in STRATEGIES:
            near = nearest(self.strategy, STRATEGIES)
            raise UserError(f"{self.model_type}: no strategy is called '{self.strategy}'{near}")
        dims = {name: self.inputs[name]["dim"] for name in self.of_kind("vector")}
        if self.strategy in POOLED and len(set(dims.values())) > 1:
            shown = ", ".join(f"'{name}' has {dim}" for name, dim in dims.items())
            raise UserError(
                f"{self.model_type}: strategy {self.strategy} needs vectors of one dimension, "
                f"but {shown}; use concat"
            )

    @property
    def fused_size(self) -> int:
        """Length of the fused vectors with their presence mask; 0 without a vector."""
        dims = [self.inputs[name]["dim"] for name in self.of_kind("vector")]
        if not dims:
            return 0
        return len(dims) + (dims[0] if self.strategy in POOLED else sum(dims))


class ConcatMLPModel(HfpipeModel):
    """Fused vectors, numbers with missing indicators and learned categories; GELU layers; logits.

    Groups: ``metadata`` (the categories' vectors, where there are any), ``head``.
    """

    config_class = ConcatMLPConfig
    kinds = ("vector", "numeric", "categorical")

    def __init__(self, config: ConcatMLPConfig) -> None:
        super().__init__(config)
        self.vectors = config.of_kind("vector")
        self.metadata = Metadata(config.inputs)
        size = config.fused_size + self.metadata.size
        self.head = mlp_head(size, config.sizes, config.logits, config.dropout)
        self.post_init()

    def encode(self, inputs: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """All of a row in one vector."""
        parts = self.metadata(inputs)
        if self.vectors:
            present = torch.stack([presence(inputs[name]) for name in self.vectors], dim=1)
            vectors = [inputs[name]["values"] for name in self.vectors]
            parts = [fuse(vectors, present, self.config.strategy), *parts]
        return torch.cat(parts, dim=1), {}
