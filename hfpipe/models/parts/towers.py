"""Towers: whole models, ours or anybody's, that give one vector a row.

There are two, whatever the backbone: ``Backbone`` for any transformers encoder, of texts or of
images, and ``Nested`` for a wrapper of hfpipe without its last layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from hfpipe.errors import UserError, nearest
from hfpipe.models.parts.batches import Batch, never_empty
from hfpipe.models.parts.pooling import POOLS

BACKBONE_KINDS = {"text": "input_ids", "image": "pixel_values"}
"""Input kind → the main input of the backbones that take it."""

NOT_OF_A_TOWER = (
    "transformers_version",
    "architectures",
    "auto_map",
    "dtype",
    "id2label",
    "label2id",
    "problem_type",
)


def tower_config(config: PreTrainedConfig) -> dict[str, Any]:
    """What of a model's config makes a tower, for the config of the whole.

    Its dtype goes, since a tower has that of the whole; so does what is said of its head.
    """
    kept = {key: value for key, value in config.to_diff_dict().items() if key not in NOT_OF_A_TOWER}
    return {**kept, "model_type": config.model_type}


def config_of(given: Mapping[str, Any], place: str) -> PreTrainedConfig:
    """The config object that ``tower_config`` was made of.

    Raises:
        UserError: The model type is unknown.
    """
    try:
        return AutoConfig.for_model(**given)
    except (TypeError, ValueError) as error:
        model_type = given.get("model_type")
        raise UserError(f"{place}: '{model_type}' is no model type that can be loaded") from error


def without_pooler(config: PreTrainedConfig) -> dict[str, bool]:
    """How to tell a backbone that its own pooler is not wanted."""
    return {"vision_use_head": False} if hasattr(config, "vision_use_head") else {}


def take_weights(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Fill a whole model from a state that may hold more than it needs.

    Raises:
        RuntimeError: A weight of the model is not in it, or has another shape.
    """
    model.load_state_dict({name: state[name] for name in model.state_dict() if name in state})


class Backbone(nn.Module):
    """An encoder of texts or images, pooled over its steps.

    Attributes:
        inputs: The one input of the batch that it takes.
        backbone: What ``AutoModel`` makes of the config.
        size: Of the pooled vector.
    """

    def __init__(
        self, given: Mapping[str, Any], inputs: Sequence[str], pool: str, place: str
    ) -> None:
        super().__init__()
        config = config_of(given, place)
        if pool not in POOLS:
            raise UserError(f"{place}: no pooling is called '{pool}'{nearest(pool, POOLS)}")
        if pool != "pooler":
            config.update(without_pooler(config))
        self.inputs = list(inputs)
        self.backbone: PreTrainedModel = AutoModel.from_config(config)
        # A pooler that is not used would be saved, and trained by nobody.
        if pool != "pooler" and getattr(self.backbone, "pooler", None) is not None:
            self.backbone.pooler = None
        self.pool = POOLS[pool]
        self.size = int(config.hidden_size)

    def forward(self, batch: Batch) -> Tensor:
        """``(batch, size)``; what a row without this input gets is finite and means nothing."""
        features = {key: each for key, each in batch[self.inputs[0]].items() if key != "present"}
        mask = features.get("attention_mask")
        if mask is not None:
            mask = features["attention_mask"] = never_empty(mask)
        return self.pool(self.backbone(**features), mask)

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Take over trained weights; those that this tower has no use for are left."""
        take_weights(self.backbone, state)


class Nested(nn.Module):
    """A wrapper of hfpipe up to, but without, its last layer.

    Attributes:
        inputs: Those of its own config, by the same names.
        backbone: The wrapper.
        size: Of the vector before its last layer.
    """

    def __init__(self, given: Mapping[str, Any], place: str) -> None:
        super().__init__()
        self.backbone: PreTrainedModel = AutoModel.from_config(config_of(given, place))
        self.backbone.head.output = nn.Identity()
        self.inputs = sorted(self.backbone.config.inputs)
        self.size = self.backbone.head.pooled_size

    def forward(self, batch: Batch) -> Tensor:
        """``(batch, size)``."""
        return self.backbone.pooled({name: batch[name] for name in self.inputs})

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Take over trained weights; those that this tower has no use for are left."""
        take_weights(self.backbone, state)
