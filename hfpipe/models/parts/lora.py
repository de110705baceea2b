"""Low-rank adapters in a model, in place (Hu et al. 2022), by PEFT."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from hfpipe.errors import RunError, UserError, nearest

MARK = "lora_"
"""In the name of every parameter that belongs to an adapter."""

NOT_IN_PLACE = (
    "alora_invocation_tokens",
    "arrow_config",
    "inference_mode",
    "kasa_config",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
)
"""Options of ``peft.LoraConfig`` with which adapters cannot learn, or not leave in place again."""

LORA_STARTS = ("gaussian", "orthogonal", "mica")
"""The named ways to start adapters that leave the weights below them as they are."""

REFUSED = (AttributeError, ImportError, NotImplementedError, TypeError, ValueError, re.error)
"""What PEFT raises for options that it does not take."""


def inject_lora(
    backbone: nn.Module, options: Mapping[str, Any], place: str, apart: Iterable[str] = ()
) -> None:
    """Put adapters into a model, in place; its other parameters are frozen.

    The adapters start as PEFT starts them, so that the model's outputs are first unchanged.

    Args:
        backbone: Any transformers model.
        options: Names of ``peft.LoraConfig``: ``r``, ``lora_alpha``, ``target_modules``, ….
        place: What to call the options in messages.
        apart: Modules that get no adapter whatever the options match, and learn as they did; so do
            the options' ``modules_to_save``.

    Raises:
        UserError: PEFT refuses the options, or they match nothing.
        RunError: PEFT is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise RunError(f"{place}: LoRA adapters need: pip install peft") from error
    _check_options(options, place)
    paths = [name for name, _ in backbone.named_modules() if name]
    own = saved_modules(options)
    _check_named(paths, own, f"{place}: modules_to_save")
    outside = "|".join(map(re.escape, [*apart, *own]))
    others = [name for name in paths if not _is_apart(name, outside)]
    _check_targets(backbone, others, options.get("target_modules"), f"{place}: target_modules")
    learning = {
        parameter: parameter.requires_grad
        for name, parameter in backbone.named_parameters()
        if _is_apart(name, outside)
    }
    try:
        inject_adapter_in_model(LoraConfig(**_arguments(options, outside)), backbone)
    except REFUSED as error:
        raise UserError(f"{place}: {' '.join(str(error).split())[:300]}") from error
    for parameter, learns in learning.items():
        parameter.requires_grad_(learns)
    _settle(backbone, {"", *paths})


def _arguments(options: Mapping[str, Any], outside: str) -> dict[str, Any]:
    """The user's options as PEFT needs them to leave alone what stays apart."""
    chosen = {key: value for key, value in options.items() if key != "modules_to_save"}
    if outside:
        chosen["exclude_modules"] = _excluding(options.get("exclude_modules"), outside)
    return chosen


def _settle(backbone: nn.Module, known: set[str]) -> None:
    """Let new modules start as PEFT made them, and be in training only if the model is."""
    for name, module in backbone.named_modules():
        if name not in known:
            # Else the backbone would start them by its own rule, and B would not be zero.
            module._is_hf_initialized = True
    for _, module in adapted_modules(backbone):
        module.train(backbone.training)


def _is_apart(name: str, outside: str) -> bool:
    """Whether a module or parameter belongs to one of those that stay apart.

    PEFT takes ``modules_to_save`` at any depth; so must this.

    >>> _is_apart("pooler.dense.weight", "pooler|head"), _is_apart("my_pooler.dense", "pooler")
    (True, False)
    """
    return bool(outside) and re.search(rf"(?:^|\.)(?:{outside})(?:\.|$)", name) is not None


def _excluding(own: Any, outside: str) -> str:
    r"""PEFT's ``exclude_modules`` as one pattern: the user's, and what stays apart.

    >>> _excluding(["key"], "classifier")
    '(?:.*\\.)?(?:key)|(?:.*\\.)?(?:classifier)(?:\\..*)?'
    """
    head = rf"(?:.*\.)?(?:{outside})(?:\..*)?"
    if not own:
        return head
    if isinstance(own, str):
        return f"(?:{own})|{head}"
    return rf"(?:.*\.)?(?:{'|'.join(map(re.escape, own))})|{head}"


def _check_options(options: Mapping[str, Any], place: str) -> None:
    """Refuse what PEFT knows, but cannot undo in place.

    Raises:
        UserError: With the option.
    """
    for name in NOT_IN_PLACE:
        if options.get(name):
            raise UserError(
                f"{place}: {name}: such adapters cannot be trained and folded in: leave it out"
            )
    if options.get("bias", "none") != "none":
        raise UserError(f"{place}: bias: what is below the adapters stays frozen: leave it out")
    start = options.get("init_lora_weights", True)
    if not isinstance(start, bool) and start not in LORA_STARTS:
        raise UserError(
            f"{place}: init_lora_weights: '{start}' is no start that leaves the weights below the "
            f"adapters as they are{nearest(str(start), ['true', *LORA_STARTS])}"
        )


def _check_targets(model: nn.Module, paths: list[str], targets: Any, place: str) -> None:
    """Targets must be there: those that a list names, or those that PEFT knows where none are.

    Raises:
        UserError: One is not, or PEFT does not know this type of model; its linear modules are
            then told.
    """
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as DEFAULTS

    if isinstance(targets, list | tuple):  # else a regular expression, or all-linear
        _check_named(paths, targets, place)
    kind = getattr(getattr(model, "config", None), "model_type", "such")
    if targets is None and kind not in DEFAULTS:
        linear = {
            path.rpartition(".")[2]
            for path in paths
            if isinstance(model.get_submodule(path), nn.Linear)
        }
        raise UserError(
            f"{place}: peft knows none for a {kind} model: name them{nearest('', sorted(linear))}"
        )


def _check_named(paths: list[str], names: Iterable[Any], place: str) -> None:
    """Each of the names must be that of a module, or PEFT would pass it over.

    Raises:
        UserError: One is not, with the nearest.
    """
    for name in names:
        if not any(f".{path}".endswith(f".{name}") for path in paths):
            leaves = sorted({path.rpartition(".")[2] for path in paths})
            raise UserError(f"{place}: the model has no module '{name}'{nearest(name, leaves)}")


def saved_modules(options: Mapping[str, Any]) -> list[str]:
    """The modules that options name to learn, and to be saved, as a whole.

    >>> saved_modules({"modules_to_save": "embeddings"}), saved_modules({})
    (['embeddings'], [])
    """
    own = options.get("modules_to_save") or []
    return [own] if isinstance(own, str) else list(own)


def adapted_modules(model: nn.Module) -> list[tuple[str, Any]]:
    """The modules that an adapter is on, with their paths."""
    if "peft" not in sys.modules:  # whoever put adapters on has imported it, and it takes a second
        return []
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [(n, m) for n, m in model.named_modules() if isinstance(m, BaseTunerLayer)]


def has_lora(model: nn.Module) -> bool:
    """Whether a model has adapters."""
    return bool(adapted_modules(model))


def merge_lora(backbone: nn.Module) -> int:
    """Fold the adapters into the weights they adapt, in place, and take them out.

    Returns:
        How many modules had an adapter.
    """
    for _, module in adapted_modules(backbone):
        module.merge()
    return drop_lora(backbone)


def drop_lora(backbone: nn.Module) -> int:
    """Take the adapters out, in place, and leave the weights below them.

    Returns:
        How many modules had an adapter.
    """
    adapted = adapted_modules(backbone)
    for name, module in adapted:
        parent, _, last = name.rpartition(".")
        setattr(backbone.get_submodule(parent), last, module.get_base_layer())
    for module in backbone.modules():
        vars(module).pop("peft_config", None)
    return len(adapted)
