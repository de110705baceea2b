"""LoRA adapters (Hu et al. 2022), by PEFT: put on, folded in, taken off, pushed alone, loaded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.inputs.targets import LabelSpec
from hfpipe.models.groups import head_modules
from hfpipe.models.parts.lora import (
    MARK,
    drop_lora,
    has_lora,
    inject_lora,
    merge_lora,
    saved_modules,
)
from hfpipe.models.stock import loading, new_classifier

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from hfpipe.models.families._base import Origin


def put_on(model: PreTrainedModel, options: Mapping[str, Any], place: str = "model.lora") -> None:
    """Put adapters into a model, in place: what is below them is frozen, the head learns as before.

    The model stays of its class, so that a checkpoint holds all of it, and its logits stay as they
    were. No adapter is ever put on the head, whatever ``target_modules`` match.

    Args:
        model: A stock classifier, or a late fusion.
        options: Names of ``peft.LoraConfig``; for a late fusion, a tower's name to such options,
            where a tower without any is left alone.
        place: What to call the options in messages.

    Raises:
        UserError: PEFT refuses the options, there are none, they match no module, or there are
            adapters already.
    """
    if has_adapters(model):
        raise UserError(f"{place}: the model has adapters: fold them in, or take them off, first")
    if hasattr(model, "add_lora"):
        chosen = {tower: each for tower, each in options.items() if each}
        if not chosen:
            raise UserError(f"{place}: no tower is to have adapters: set model.towers.NAME.lora")
        for tower, each in chosen.items():
            model.add_lora(tower, each)
        return
    if not options:
        raise UserError(f"{place} is empty: say which adapters, such as r: 8")
    inject_lora(model, options, place, head_modules(model))


def fold_in(model: PreTrainedModel) -> int:
    """Fold adapters into the weights below them, in place: the same outputs, no adapters.

    The weights stay frozen; whoever trains on says which learn.

    Returns:
        How many modules had an adapter.
    """
    return int(getattr(model, "merge_lora", partial(merge_lora, model))())


def take_off(model: PreTrainedModel) -> int:
    """Take adapters off, in place; the weights below them are what they were.

    Returns:
        How many modules had an adapter.
    """
    return int(getattr(model, "drop_lora", partial(drop_lora, model))())


def has_adapters(model: PreTrainedModel) -> bool:
    """Whether a model has adapters."""
    return has_lora(model)


def as_adapter(
    model: PreTrainedModel, options: Mapping[str, Any], base: Origin | None
) -> PeftModel:
    """The PEFT model of a model with adapters, to save adapters and head alone; equal logits.

    Nothing else is saved, so that it says the same as ``model`` only if all below the adapters is
    still as it was loaded. The given model becomes a part of it.

    Args:
        model: A stock classifier, after ``put_on``.
        options: Those it was called with.
        base: Where its encoder came from, for whoever loads the adapters.

    Raises:
        UserError: The model has no adapters, or others.
    """
    from peft import LoraConfig, get_peft_model

    held = {name: each for name, each in model.state_dict().items() if MARK in name}
    if not held:
        raise UserError("model.push: the trained model has no adapters to push: set merged")
    take_off(model)
    whole = dict.fromkeys([*head_modules(model), *saved_modules(options)])
    chosen = {**options, "modules_to_save": list(whole)}
    if base is not None:
        model.name_or_path = base.repo_id
        chosen["revision"] = base.revision
    training = model.training
    adapted = get_peft_model(model, LoraConfig(**chosen)).train(training)
    prefix = "base_model.model."
    found = {name.removeprefix(prefix) for name in adapted.state_dict() if MARK in name}
    if found != set(held):
        raise UserError("model.lora: the model has other adapters than these options make")
    adapted.load_state_dict({f"{prefix}{name}": each for name, each in held.items()}, strict=False)
    return adapted


def load_adapters(
    endpoint: Endpoint, repo_id: str, revision: str, target: LabelSpec, auto: str
) -> PreTrainedModel:
    """Adapters that were pushed alone, on their base, folded in.

    Raises:
        UserError: The base is gone, or the adapters are not of it.
    """
    from peft import PeftConfig, PeftModel

    with loading(endpoint, repo_id, revision, "adapter"):
        config = PeftConfig.from_pretrained(
            repo_id, revision=revision, token=endpoint.token or False
        )
        base = str(config.base_model_name_or_path)
        model = new_classifier(endpoint, base, str(config.revision or "main"), target, auto=auto)
        adapted = PeftModel.from_pretrained(
            model, repo_id, revision=revision, token=endpoint.token or False
        )
    return adapted.merge_and_unload()
