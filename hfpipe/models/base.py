"""What every wrapper of hfpipe is: a ``PreTrainedModel`` over the one batch layout.

A wrapper says how a batch becomes features (``encode``); the head, the loss, the checks, the named
parameter groups and what is saved beside the weights are here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from hfpipe.errors import UserError, nearest
from hfpipe.models.losses import LOSSES, compute_loss
from hfpipe.models.parts.batches import (
    MAIN_TENSOR,
    Batch,
    cast,
    check_input,
    refuse_rows_without,
    width,
)
from hfpipe.models.parts.heads import Head
from hfpipe.models.parts.initialisation import initialise
from hfpipe.models.parts.lora import MARK

ONE_LOGIT = ("binary", "regression")
FREE_WIDTH = ("text", "image")


class HfpipeConfig(PreTrainedConfig):
    """What the configs of all wrappers share.

    Attributes:
        inputs: Input name → ``{"kind": …}`` and its size: ``n`` (numeric), ``sizes`` (categorical:
            entries a column, the unknown included), ``dim`` (vector, vector_sequence). The order
            means nothing: ``config.json`` sorts its keys.
        problem_type: ``single_label_classification``, ``multi_label_classification``, ``binary``
            (two labels, one logit: that of the second) or ``regression``.
        dropout: Of all that the wrapper itself adds.
        loss: Name in ``hfpipe.models.losses``; None is the usual one of the problem type.
        class_weights: Weight of each class in cross entropy.
        pos_weight: Weight of the positives in binary cross entropy, one or one a label.
        label_smoothing: Of the cross entropies.
        focal_gamma: Of the focal loss; None is the loss's own default.
        huber_delta: Of the Huber loss; None is the loss's own default.
    """

    model_type: ClassVar[str] = "hfpipe"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["extras"]

    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    problem_type: str | None = "single_label_classification"
    dropout: float = 0.1
    loss: str | None = None
    class_weights: list[float] | None = None
    pos_weight: float | list[float] | None = None
    label_smoothing: float = 0.0
    focal_gamma: float | None = None
    huber_delta: float | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        self.inputs = {name: dict(spec) for name, spec in self.inputs.items()}
        if self.problem_type == "regression" and self.id2label is None:
            kwargs.setdefault("num_labels", 1)
        super().__post_init__(**kwargs)

    @property
    def logits(self) -> int:
        """How many logits a row gets: one for ``binary``, else one a label."""
        return 1 if self.problem_type in ONE_LOGIT else int(self.num_labels)

    def of_kind(self, *kinds: str) -> list[str]:
        """The inputs of these kinds, by name and sorted, as every wrapper orders them."""
        return sorted(name for name in self.inputs if self.inputs[name]["kind"] in kinds)

    def check(self, kinds: tuple[str, ...]) -> None:
        """Refuse, with one clear line, what no model of this type can be built from.

        Args:
            kinds: The input kinds that the wrapper takes.

        Raises:
            UserError: An unknown problem type or input kind, a size that is missing, or no input.
        """
        what = self.model_type
        if self.problem_type not in LOSSES:
            near = nearest(str(self.problem_type), LOSSES)
            raise UserError(f"{what}: no problem_type is called '{self.problem_type}'{near}")
        if self.problem_type == "binary" and self.num_labels != 2:
            raise UserError(f"{what}: binary has 2 labels, not {self.num_labels}")
        if not self.inputs:
            raise UserError(f"{what}: no inputs; it takes " + ", ".join(kinds))
        for name, spec in self.inputs.items():
            check_name(name, f"{what}: input")
            kind = spec.get("kind")
            if kind not in kinds:
                near = nearest(str(kind), kinds)
                raise UserError(f"{what}: input '{name}': no kind '{kind}' goes in{near}")
            if kind not in FREE_WIDTH and width(spec) is None:
                raise UserError(f"{what}: input '{name}' ({kind}) needs n, sizes or dim")


def check_name(name: str, place: str) -> None:
    """Refuse a name that cannot be that of a part of a model.

    >>> check_name("size.bytes", "input")
    Traceback (most recent call last):
    hfpipe.errors.UserError: input 'size.bytes': a name is letters, digits and _ that torch has ...

    Raises:
        UserError: See above.
    """
    if not name.isidentifier() or hasattr(nn.ModuleDict(), name):
        raise UserError(
            f"{place} '{name}': a name is letters, digits and _ that torch has no use for; "
            "call it otherwise"
        )


@dataclass
class FusionOutput(ModelOutput):
    """What a forward pass gives.

    Attributes:
        loss: Scalar; where labels were given.
        logits: ``(batch, config.logits)``.
        extras: What else there is to tell by name, ``gate_weights (batch, towers)`` for one;
            the Trainer leaves it out of its predictions unless told ``ignore_keys=[]``.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    extras: dict[str, Tensor] | None = None


class HfpipeModel(PreTrainedModel):
    """Base of the wrappers.

    A subclass sets ``config_class`` and ``kinds``, makes ``self.head`` and writes ``encode``; being
    defined registers it with ``AutoConfig`` and ``AutoModel``.
    """

    config_class: ClassVar[type[PreTrainedConfig]] = HfpipeConfig
    kinds: ClassVar[tuple[str, ...]] = tuple(MAIN_TENSOR)
    # No name of ours: Trainer would take what it finds there for one tensor and count it.
    main_input_name = "input_ids"
    base_model_prefix = ""
    # Trainer then says over how many rows the loss is a mean, so that accumulated steps are right.
    accepts_loss_kwargs = True
    _supports_sdpa = True
    head: Head

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        AutoConfig.register(cls.config_class.model_type, cls.config_class, exist_ok=True)
        AutoModel.register(cls.config_class, cls, exist_ok=True)

    def __init__(self, config: HfpipeConfig) -> None:
        config.check(self.kinds)
        super().__init__(config)

    def _init_weights(self, module: nn.Module) -> None:
        initialise(module)

    def encode(self, inputs: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Features ``(batch, …)`` for the head, and extras for the output."""
        raise NotImplementedError

    def pooled(self, inputs: Batch) -> Tensor:
        """``(batch, head.pooled_size)``: what the last layer sees. Nothing is checked."""
        return self.head.hidden(self.encode(inputs)[0])

    def forward(
        self,
        inputs: Batch,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> FusionOutput:
        """Logits and, where labels are given, the loss.

        Args:
            inputs: ``{input name: {tensor name: tensor}}``.
            labels: ``(batch,)`` long, ``(batch, labels)`` float, or ``(batch,)`` float.
            num_items_in_batch: Rows of the whole step, where this batch is a part of it.

        Raises:
            UserError: An input is missing or of another dimension, or a row has none at all.
        """
        self.check_batch(inputs)
        features, extras = self.encode(cast(inputs, self.head.output.weight.dtype))
        return self.output(self.head(features), extras, labels, num_items_in_batch)

    def output(
        self,
        logits: Tensor,
        extras: dict[str, Tensor],
        labels: Tensor | None,
        num_items_in_batch: Tensor | int | None,
    ) -> FusionOutput:
        """Put an output together, with the loss that the config names."""
        loss = None
        if labels is not None:
            loss = compute_loss(logits, labels, self.config, num_items_in_batch)
        return FusionOutput(loss=loss, logits=logits, extras=extras or None)

    def check_batch(self, inputs: Batch) -> None:
        """Make sure that a batch is what the model was built for.

        Raises:
            UserError: Naming the input, or the row that has none.
        """
        for name, spec in self.config.inputs.items():
            check_input(inputs, name, spec)
        refuse_rows_without(inputs, self.config.inputs)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Every parameter, each in one named group: what stages freeze and give learning rates.

        A group is a part of the model (``fusion``, ``head``), a tower (``towers.tweet``), a part
        of one (``towers.tweet.layers.0``) or a tower's adapters (``towers.tweet.lora``).
        """
        groups: dict[str, list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            groups.setdefault(self.group_of(name), []).append(parameter)
        return groups

    def group_of(self, name: str) -> str:
        """The group that a parameter belongs to, by its name."""
        first, *rest = name.split(".")
        if first != "towers":
            return first
        return f"towers.{rest[0]}.lora" if MARK in name else f"towers.{rest[0]}"

    def cache_boundary(self) -> dict[str, list[str]]:
        """What may be computed once: tower → the groups that must be frozen for that.

        Empty where a model has no tower worth it.
        """
        return {}

    def floating_point_ops(self, inputs: Mapping[str, Any], exclude_embeddings: bool = True) -> int:
        """0: what the Trainer would count is the size of one tensor, not of a nested batch."""
        return 0

    def save_pretrained(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> None:
        """Save weights and config, and the code that loads them where hfpipe is not installed."""
        from hfpipe.models.remote_code import auto_map, remote_code_files

        self.config.auto_map = auto_map(self)
        super().save_pretrained(save_directory, *args, **kwargs)
        for name, content in remote_code_files(self).items():
            (Path(save_directory) / name).write_bytes(content)
