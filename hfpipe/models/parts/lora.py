"""Low-rank adapters on a tower (Hu et al. 2022), by PEFT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from hfpipe.errors import RunError, UserError

MARK = "lora_"
"""In the name of every parameter that belongs to an adapter."""


def inject_lora(backbone: nn.Module, options: Mapping[str, Any], place: str) -> None:
    """Put adapters into a model, in place; its other parameters are frozen.

    The adapters start as PEFT starts them, so that the model's outputs are first unchanged.

    Args:
        backbone: Any transformers model.
        options: Names of ``peft.LoraConfig``: ``r``, ``lora_alpha``, ``target_modules``, ….
        place: Which tower, for messages.

    Raises:
        UserError: PEFT refuses the options.
        RunError: PEFT is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise RunError(f"{place} has LoRA adapters, which need: pip install peft") from error
    known = set(dict(backbone.named_modules()))
    try:
        inject_adapter_in_model(LoraConfig(**options), backbone)
    except (TypeError, ValueError) as error:
        raise UserError(f"{place}: lora: {' '.join(str(error).split())[:300]}") from error
    for name, module in backbone.named_modules():
        if name not in known:
            # Else the backbone would start them by its own rule, and B would not be zero.
            module._is_hf_initialized = True


def has_lora(model: nn.Module) -> bool:
    """Whether a model has adapters."""
    return any(MARK in name for name, _ in model.named_parameters())


def merge_lora(backbone: nn.Module) -> int:
    """Fold the adapters into the weights they adapt, in place, and take them out.

    Returns:
        How many modules had an adapter.
    """
    try:
        from peft.tuners.tuners_utils import BaseTunerLayer
    except ImportError:
        return 0
    adapted = [(n, m) for n, m in backbone.named_modules() if isinstance(m, BaseTunerLayer)]
    for name, module in adapted:
        module.merge()
        parent, _, last = name.rpartition(".")
        setattr(backbone.get_submodule(parent), last, module.get_base_layer())
    if hasattr(backbone, "peft_config"):
        del backbone.peft_config
    return len(adapted)
