"""Towers out of models that were trained before: from memory, a folder or a repo."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging

from hfpipe.errors import UserError
from hfpipe.models.parts.lora import has_lora, merge_lora
from hfpipe.models.parts.towers import BACKBONE_KINDS, tower_config

OURS = "hfpipe-"
"""How the model types of our wrappers begin."""


def broken_files() -> tuple[type[Exception], ...]:
    """What transformers raises, of itself or of what it reads with, for files that do not load."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    plain = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)
    return (*plain, SafetensorError, StrictDataclassError)


def load_tower(
    name: str,
    source: PreTrainedModel | str | Path,
    options: Mapping[str, Any],
    specs: Mapping[str, Mapping[str, Any]],
    loading: Mapping[str, Any],
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """A tower's model without the head of its own task, and where it came from.

    Args:
        name: Of the tower.
        source: A model, a folder or a repo id.
        options: May name the tower's ``inputs``.
        specs: Input specs, as far as they are known.
        loading: ``revision``, ``token``, … for ``from_pretrained``.

    Returns:
        The model in float32, adapters merged, and ``{"source": …}`` or nothing.

    Raises:
        UserError: It cannot be loaded, has no such weights, or takes another kind of input.
    """
    origin: dict[str, Any] = {}
    if isinstance(source, str | Path):
        model = _load(name, str(source), _wanted(name, options, specs), dict(loading))
        if not Path(source).exists():
            origin = {"source": {"repo_id": str(source), "revision": loading.get("revision")}}
    else:
        # Merging below must not change the caller's model.
        model = encoder_of(deepcopy(source) if has_lora(source) else source)
    # A late fusion also notes it in its config.
    getattr(model, "merge_lora", partial(merge_lora, model))()
    return model, origin


def tower_spec(
    name: str,
    model: PreTrainedModel,
    options: Mapping[str, Any],
    specs: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """How the config of a fusion describes a tower; adds the inputs that it brings to ``specs``.

    Raises:
        UserError: The model takes another kind of input than the one it is to have.
    """
    described = {**options, "config": tower_config(model.config)}
    if model.config.model_type.startswith(OURS):
        described["inputs"] = sorted(model.config.inputs)
        for each, spec in model.config.inputs.items():
            if specs.setdefault(each, dict(spec)) != spec:
                raise UserError(
                    f"tower '{name}' was trained with input '{each}' as {spec}, but here it is "
                    f"{specs[each]}: it needs the processor that was pushed with it"
                )
        return described
    kinds = {main: kind for kind, main in BACKBONE_KINDS.items()}
    kind = kinds.get(model.main_input_name)
    wanted = _wanted(name, options, specs) or kind
    if kind is None or wanted != kind:
        raise UserError(
            f"tower '{name}': its input is a {wanted}, but a {model.config.model_type} model takes "
            f"a {kind or model.main_input_name}"
        )
    described["inputs"] = list(options.get("inputs", [name]))
    for each in described["inputs"]:
        specs.setdefault(each, {"kind": kind})
    return described


def encoder_of(model: PreTrainedModel) -> PreTrainedModel:
    """The encoder inside a classifier; the model itself where it is one, or is ours.

    A model with a tower for images and one for texts, such as SigLIP, gives that of its main input.
    """
    if model.config.model_type.startswith(OURS):
        return model
    if hasattr(model, "get_base_model"):  # peft's wrapper
        model = model.get_base_model()
    inner = model.base_model
    vision = getattr(inner, "vision_model", None)
    if isinstance(vision, PreTrainedModel) and model.main_input_name == "pixel_values":
        return vision
    return inner


def _wanted(
    name: str, options: Mapping[str, Any], specs: Mapping[str, Mapping[str, Any]]
) -> str | None:
    """The kind of a tower's first input, where that is known."""
    first = next(iter(options.get("inputs", [name])))
    return specs[first]["kind"] if first in specs else None


def _load(name: str, source: str, wanted: str | None, loading: dict[str, Any]) -> PreTrainedModel:
    place = f"tower '{name}': '{source}'"
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        config = AutoConfig.from_pretrained(source, **loading)
        if wanted == "image" and hasattr(config, "vision_config"):
            config = config.vision_config
        model, found = AutoModel.from_pretrained(
            source, config=config, dtype="float32", output_loading_info=True, **loading
        )
    except broken_files() as error:
        if hasattr(error, "response"):
            raise
        cause = " ".join(str(error).split())[:200]
        raise UserError(f"{place} is no model that can be loaded: {cause}") from error
    finally:
        logging.set_verbosity(level)
    # A pooler that an encoder lacks is not used; anything else would be noise in its place.
    missing = sorted(key for key in found["missing_keys"] if "pooler" not in key)
    if missing or found["mismatched_keys"]:
        lacks = missing[0] if missing else sorted(map(str, found["mismatched_keys"]))[0]
        raise UserError(f"{place} lacks weights of a {config.model_type} model, such as {lacks}")
    return encoder_of(model)
