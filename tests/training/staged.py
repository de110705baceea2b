"""Recipes with stages on a tiny BERT, and the weights that each stage left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file

from tests.toys import push_rows
from tests.toys import toy_rows as topics
from tests.training.support import text

if TYPE_CHECKING:
    from torch import Tensor

    from hfpipe.finetuning import Finetuned
    from hfpipe.hub.endpoint import Endpoint

WORDS = {"text": text()}
LORA = {"r": 2, "lora_alpha": 4, "target_modules": ["query", "value"]}
LAST = {
    "seed": 3,
    "num_train_epochs": 1,
    "per_device_train_batch_size": 8,
    "learning_rate": 5e-3,
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "logging_steps": 1,
    "metric_for_best_model": "loss",
}
"""An epoch a stage, whose last weights go on."""
BEST = {**LAST, "load_best_model_at_end": True}
"""The best ones do."""


def bert(base: str, **more: Any) -> dict[str, Any]:
    return {"kind": "sequence_classification", "base": base, **more}


def topics_of(hub: Endpoint, name: str, train: int = 48) -> str:
    """Rows of three topics."""
    splits = {"train": topics(train, 1), "validation": topics(18, 2), "test": topics(6, 3)}
    return push_rows(hub, f"local/{name}", **splits)


def recipe_file(
    folder: Path,
    name: str,
    dataset: str,
    model: dict[str, Any],
    stages: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    inputs: dict[str, Any] | None = None,
    **blocks: Any,
) -> Path:
    """A recipe as its YAML."""
    block = {
        "description": "toy",
        "data": {"dataset": dataset, "inputs": WORDS if inputs is None else inputs},
        "model": model,
        "training": LAST if training is None else training,
        "evaluation": {"baselines": False},
        "stages": stages or {},
        **blocks,
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(block))
    return path


def learn(
    hub: Endpoint,
    folder: Path,
    name: str,
    *recipe: Any,
    resume: bool = False,
    wandb: bool = False,
    out: Path | None = None,
    **more: Any,
) -> Finetuned:
    """Fine-tune by such a recipe, in ``folder / name``; see ``recipe_file``."""
    from hfpipe.finetuning import FinetuneOptions, finetune
    from hfpipe.recipe import load_recipe

    path = recipe_file(folder, name, *recipe, **more)
    where = out or folder / name
    options = FinetuneOptions(f"local/{name}", where, wandb=wandb, quiet=True, resume=resume)
    return finetune(load_recipe(str(path)), hub, options)


def checkpoint(tuned: Finetuned, stage: str) -> dict[str, Tensor]:
    """The weights of the last checkpoint of a stage."""
    found = (tuned.folder / "checkpoints" / stage).glob("checkpoint-*")
    newest = max(found, key=lambda each: int(each.name.rpartition("-")[2]))
    return dict(load_file(newest / "model.safetensors"))


def same(left: Any, right: Any) -> bool:
    """Whether two files or states of weights are equal bit for bit."""
    import torch

    left, right = (load_file(each) if isinstance(each, Path) else each for each in (left, right))
    return left.keys() == right.keys() and all(
        torch.equal(each, right[key]) for key, each in left.items()
    )
