"""``gated_fusion``: a tower a vector, weighed for each row by what its metadata say.

Gated multimodal units (Arevalo et al. 2017), with one softmax over the towers, and a choice of how
the weighed vectors become one.
"""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar

import torch
from torch import Tensor, nn

from hfpipe.errors import UserError, nearest
from hfpipe.models.base import HfpipeConfig, HfpipeModel
from hfpipe.models.parts.batches import Batch, presence
from hfpipe.models.parts.fusion import POOLED, STRATEGIES, Gate, fuse_weighted
from hfpipe.models.parts.heads import mlp_head, projection
from hfpipe.models.parts.metadata import Metadata


class GatedFusionConfig(HfpipeConfig):
    """Config of ``GatedFusionModel``.

    Attributes:
        inputs: At least one ``vector``; any ``numeric`` and ``categorical``.
        tower_size: Of what each tower makes of its vector.
        gate_size: Hidden layer of the gate.
        sizes: Hidden layers of the head.
        strategy: How the weighed vectors become one: ``sum_pool``, ``max_pool`` or ``concat``,
            which gives the head as many times ``tower_size`` as there are vectors.
        metadata_in_head: The head sees the metadata too, not only the gate. Without it, a row
            with no vector at all has nothing but zeros to predict from.
    """

    model_type: ClassVar[str] = "hfpipe-gated-fusion"

    dropout: float = 0.15
    tower_size: int = 256
    gate_size: int = 64
    sizes: list[int] = field(default_factory=lambda: [256, 128])
    strategy: str = "sum_pool"
    metadata_in_head: bool = True

    def check(self, kinds: tuple[str, ...]) -> None:
        """As in the base, and that there is a vector, and a known strategy.

        Raises:
            UserError: See above.
        """
        super().check(kinds)
        if not self.of_kind("vector"):
            raise UserError(f"{self.model_type}: no input is a vector, so there is nothing to gate")
        if self.strategy not in STRATEGIES:
            near = nearest(self.strategy, STRATEGIES)
            raise UserError(f"{self.model_type}: no strategy is called '{self.strategy}'{near}")

    @property
    def fused_size(self) -> int:
        """Length of the vectors made one."""
        return self.tower_size * (1 if self.strategy in POOLED else len(self.of_kind("vector")))


class GatedFusionModel(HfpipeModel):
    """Towers (Linear, GELU, LayerNorm), softmax gate from metadata and presence, head.

    An absent vector has weight 0 and adds nothing, whatever the strategy. Where a row has none, the
    head sees zeros and the metadata; without metadata such a row is refused. Extras:
    ``gate_weights`` of ``(batch, towers)``, in the order of ``towers_in_order``. Groups:
    ``towers.<vector>``, ``metadata``, ``fusion``, ``head``.
    """

    config_class = GatedFusionConfig
    kinds = ("vector", "numeric", "categorical")

    def __init__(self, config: GatedFusionConfig) -> None:
        super().__init__(config)
        self.towers_in_order = config.of_kind("vector")
        self.towers = nn.ModuleDict(
            {
                name: projection(config.inputs[name]["dim"], config.tower_size)
                for name in self.towers_in_order
            }
        )
        self.metadata = Metadata(config.inputs)
        self.fusion = Gate(self.metadata.size, len(self.towers), config.gate_size)
        size = config.fused_size + (self.metadata.size if config.metadata_in_head else 0)
        self.head = mlp_head(size, config.sizes, config.logits, config.dropout)
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()

    def encode(self, inputs: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The fused vector, with the metadata behind it; and the weights."""
        present = torch.stack([presence(inputs[name]) for name in self.towers_in_order], dim=1)
        towers = [tower(inputs[name]["values"]) for name, tower in self.towers.items()]
        stacked = self.dropout(torch.stack(towers, dim=1))
        metadata = self.metadata(inputs)
        weights = self.fusion(metadata, present, stacked)
        parts = [fuse_weighted(stacked, weights, present, self.config.strategy)]
        if self.config.metadata_in_head:
            parts += metadata
        return torch.cat(parts, dim=1), {"gate_weights": weights}
