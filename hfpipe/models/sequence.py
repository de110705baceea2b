"""``sequence``: one decision about a sequence of vectors, such as the messages of a thread."""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from torch import Tensor

from hfpipe.errors import UserError
from hfpipe.models.base import HfpipeConfig, HfpipeModel
from hfpipe.models.parts.batches import Batch
from hfpipe.models.parts.encoder import SequenceEncoder
from hfpipe.models.parts.heads import Head, ResidualBlock


class SequenceConfig(HfpipeConfig):
    """Config of ``SequenceModel``.

    Attributes:
        inputs: One ``vector_sequence``; its ``dim`` is the size of the input vectors.
        hidden_size: Of everything behind the input projection.
        num_layers: Transformer layers.
        num_heads: Attention heads; they must divide ``hidden_size``.
        feedforward_size: Inside each layer.
        kernel_sizes: Odd, one convolution each.
    """

    model_type: ClassVar[str] = "hfpipe-sequence"

    inputs: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"sequence": {"kind": "vector_sequence", "dim": 256}}
    )
    problem_type: str | None = "binary"
    dropout: float = 0.3
    hidden_size: int = 256
    num_layers: int = 2
    num_heads: int = 8
    feedforward_size: int = 1024
    kernel_sizes: list[int] = field(default_factory=lambda: [3, 5, 7])

    def check(self, kinds: tuple[str, ...]) -> None:
        """As in the base, and what attention and convolutions ask for.

        Raises:
            UserError: See above; or more than one input.
        """
        super().check(kinds)
        if len(self.inputs) != 1:
            raise UserError(f"{self.model_type}: one input, not {len(self.inputs)}")
        if self.hidden_size % self.num_heads:
            raise UserError(
                f"{self.model_type}: num_heads={self.num_heads} does not divide "
                f"hidden_size={self.hidden_size}"
            )
        if even := [size for size in self.kernel_sizes if size % 2 == 0]:
            raise UserError(f"{self.model_type}: kernel_sizes must be odd, {even[0]} is not")


class SequenceModel(HfpipeModel):
    """Input projection, sinusoidal positions, transformer encoder, convolutions, residual head.

    Groups: ``encoder``, ``head``. A row without any step is refused.
    """

    config_class = SequenceConfig
    kinds = ("vector_sequence",)

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        [(self.input, spec)] = config.inputs.items()
        self.encoder = SequenceEncoder(
            spec["dim"],
            config.hidden_size,
            config.num_layers,
            config.num_heads,
            config.feedforward_size,
            config.kernel_sizes,
            config.dropout,
        )
        block = ResidualBlock(self.encoder.size, config.hidden_size, config.dropout)
        self.head = Head(block, config.hidden_size, config.logits)
        self.post_init()

    def encode(self, inputs: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """``(batch, hidden_size x kernels)``."""
        features = inputs[self.input]
        return self.encoder(features["values"], features["mask"]), {}
