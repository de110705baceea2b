"""Named groups of a model's parameters: what may be frozen, or learn at a rate of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError, nearest
from hfpipe.models.parts.lora import MARK

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")


def parameter_groups(model: Any) -> dict[str, list[nn.Parameter]]:
    """Every parameter of a model, each in one named group.

    A wrapper of hfpipe says itself what its groups are. A stock model, with or without adapters,
    has ``embeddings``, ``layers.0`` …, ``lora``, ``head``, and ``base`` for what else its encoder
    has.
    """
    own = getattr(model, "parameter_groups", None)
    if own is not None:
        return dict(own())
    groups: dict[str, list[nn.Parameter]] = {}
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    prefix = f"{inner.base_model_prefix}."
    for name, parameter in inner.named_parameters():
        groups.setdefault(_group(name, prefix), []).append(parameter)
    return groups


def _group(name: str, prefix: str) -> str:
    """The group of a stock model's parameter.

    >>> _group("bert.encoder.layer.3.output.dense.weight", "bert.")
    'layers.3'
    >>> (
    ...     _group("bert.embeddings.word_embeddings.weight", "bert."),
    ...     _group("classifier.bias", "bert."),
    ... )
    ('embeddings', 'head')
    """
    if MARK in name:
        return "lora"
    layer = LAYER.search(name)
    if layer:
        return f"layers.{layer[1]}"
    if "embeddings" in name.split("."):
        return "embeddings"
    # SigLIP's classifier calls its encoder vision_model, and names no prefix for it.
    return "base" if name.startswith((prefix, "vision_model.")) else "head"


def head_modules(model: PreTrainedModel) -> list[str]:
    """The modules of a stock model that are not its encoder, by name.

    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> config = BertConfig(hidden_size=8, num_attention_heads=2, num_hidden_layers=1)
    >>> head_modules(BertForSequenceClassification(config))
    ['classifier']
    """
    return [
        name
        for name, module in model.named_children()
        if name not in (model.base_model_prefix, "vision_model")
        and any(True for _ in module.parameters())
    ]


def freeze(model: Any, names: Sequence[str]) -> None:
    """Let groups learn nothing.

    Args:
        model: Any that ``parameter_groups`` takes.
        names: Groups; ``towers`` stands for every group that begins with ``towers.``, but for
            adapters: what they adapt is frozen anyway, and they are there to learn.

    Raises:
        UserError: There is no such group, or nothing would be left that learns.
    """
    groups = parameter_groups(model)
    for name in names:
        below = [each for each in groups if each.startswith(f"{name}.")]
        chosen = [each for each in below if not each.endswith(".lora")]
        chosen += [name] if name in groups else []
        if not chosen:
            raise UserError(f"model.freeze: no group '{name}'{nearest(name, groups)}")
        for parameter in (each for group in chosen for each in groups[group]):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"model.freeze: nothing is left to learn: {', '.join(groups)} are frozen")
