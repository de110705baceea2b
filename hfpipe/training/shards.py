"""Weights that FSDP has cut up over the processes of a run, and those in one piece."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.distributed._functional_collectives import AsyncCollectiveTensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME

SWITCH = "ACCELERATE_USE_FSDP"


def is_to_be_cut(training: Mapping[str, Any]) -> bool:
    """Whether a run has FSDP, by its training arguments or by ``accelerate launch --use_fsdp``.

    >>> is_to_be_cut({"fsdp": "full_shard"}), is_to_be_cut({"fsdp": ""})
    (True, False)
    """
    return bool(training.get("fsdp")) or os.environ.get(SWITCH, "").lower() == "true"


@contextmanager
def settings_kept() -> Iterator[None]:
    """Take back at the end what accelerate sets for good: FSDP for every Trainer that follows."""
    before = os.environ.get(SWITCH)
    try:
        yield
    finally:
        os.environ.pop(SWITCH, None)
        if before is not None:
            os.environ[SWITCH] = before


def gathered(state: Any) -> Any:
    """Nested state with every tensor in one piece: all processes call it, and all have it then."""
    return tree_map(_whole, state)


def _whole(value: Any) -> Any:
    full = value.full_tensor() if isinstance(value, DTensor) else value
    return full.wait() if isinstance(full, AsyncCollectiveTensor) else full


def weights_of(model: Any) -> dict[str, torch.Tensor]:
    """All weights of a model that is cut up, by the names that they have in one that is not."""
    whole = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True))
    return {name: _whole(each) for name, each in whole.items()}


def made_whole(whole: Any, model: Any) -> Any:
    """Put the weights of a model that is cut up into its copy from before it was.

    Args:
        whole: The copy.
        model: What was cut up, and has learnt.

    Returns:
        The copy.
    """
    with torch.no_grad():
        found = weights_of(model)
        whole.load_state_dict({name: each.cpu() for name, each in found.items()})
    return whole


def put_weights(model: Any, checkpoint: str) -> None:
    """Put the weights of a checkpoint into a model, whether that is cut up or not."""
    found = _weights_in(Path(checkpoint))
    own = [*model.named_parameters(), *model.named_buffers()]
    with torch.no_grad():
        for name, tensor in own:
            if name in found:  # a weight with two names is saved under one
                tensor.copy_(_cut(found[name], tensor))


def cut_state(state: Mapping[str, Any], optimizer: Any) -> dict[str, Any]:
    """The state of an optimizer in one piece as that of one whose parameters are cut up."""
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    cut = {
        at: {name: _cut(each, parameters[at]) for name, each in of.items()}
        for at, of in state["state"].items()
    }
    return {**state, "state": cut}


def _cut(value: Any, like: torch.Tensor) -> Any:
    """A tensor cut up as another one of its shape is; anything else as it is."""
    same = isinstance(value, torch.Tensor) and value.shape == like.shape
    if not (same and isinstance(like, DTensor)):
        return value
    moved = value.to(device=like.device, dtype=value.dtype)
    return distribute_tensor(moved, like.device_mesh, like.placements)


def _weights_in(checkpoint: Path) -> dict[str, torch.Tensor]:
    files = [checkpoint / "model.safetensors"]
    if (checkpoint / SAFE_WEIGHTS_INDEX_NAME).exists():
        files = sorted(checkpoint.glob("model-*.safetensors"))
    return {name: each for file in files for name, each in load_file(file).items()}
