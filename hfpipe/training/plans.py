"""The stages of a recipe as they will run, and what can be said of them without a model."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from hfpipe.blocks import Stage, Stopping
from hfpipe.errors import UserError, nearest
from hfpipe.recipe import Recipe, validate_training

LORA = ("on", "merged", "off")
NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Plan:
    """A stage as it will run.

    Attributes:
        index: From 0.
        name: Of the stage; empty where the recipe has none.
        stage: Its block.
        recipe: With the stage's own ``training`` and ``early_stopping``.
    """

    index: int
    name: str
    stage: Stage
    recipe: Recipe

    @property
    def place(self) -> str:
        """Where in the recipe it stands, for messages."""
        return f"stages.{self.name}" if self.name else "model"

    @property
    def metric_place(self) -> str:
        """Where the metric is named that decides, for messages."""
        own = f"stages.{self.name}." if self.name else ""
        if self.stopping.metric:
            return f"{own if self.stage.early_stopping else ''}early_stopping.metric"
        named = "metric_for_best_model" in self.stage.training
        return f"{own if named else ''}training.metric_for_best_model"

    @property
    def stopping(self) -> Stopping:
        """When it ends early."""
        return self.recipe.early_stopping

    def folder(self, checkpoints: Path) -> Path:
        """Where its checkpoints go."""
        return checkpoints / self.name if self.name else checkpoints


def plans_of(recipe: Recipe) -> list[Plan]:
    """The stages of a recipe, in order; one where it names none.

    Rows come in another order in each stage, and a stage that names a metric to stop by is also
    judged by it.
    """
    found = []
    for index, (name, stage) in enumerate((recipe.stages or {"": Stage()}).items()):
        training = {**recipe.training, **stage.training}
        stopping = stage.early_stopping or recipe.early_stopping
        if stopping.metric:
            training["metric_for_best_model"] = stopping.metric
        if index:
            seed = training.get("data_seed")
            training["data_seed"] = int(training.get("seed", 42) if seed is None else seed) + index
        own = replace(recipe, training=training, early_stopping=stopping)
        found.append(Plan(index, name, stage, own))
    return found


def validate_stages(recipe: Recipe) -> None:
    """Check ``stages`` and ``early_stopping`` as far as no model is needed.

    Raises:
        UserError: A name, a training argument or a value that cannot be.
    """
    for name, stage in recipe.stages.items():
        place = f"stages.{name}"
        if not NAME.fullmatch(name):
            raise UserError(f"{place}: a stage's name is letters, digits, _ and -")
        validate_training(recipe, stage.training, f"{place}.training")
        if stage.lora is not None and stage.lora not in LORA:
            raise UserError(f"{place}.lora: no '{stage.lora}'{nearest(stage.lora, LORA)}")
        if stage.lora == "on" and not _adaptable(recipe):
            raise UserError(f"{place}.lora: which adapters? give model.lora, as model.lora.r=8")
        _check_pushed_alone(recipe, stage, place)
    if recipe.stages and recipe.model.lora and not _puts_on(recipe):
        raise UserError("model.lora: no stage puts the adapters on: give one of them lora: on")
    for plan in plans_of(recipe):
        _check_stopping(plan)


def _adaptable(recipe: Recipe) -> bool:
    return bool(recipe.model.lora or any(each.lora for each in recipe.model.towers.values()))


def _puts_on(recipe: Recipe) -> bool:
    return any(stage.lora == "on" for stage in recipe.stages.values())


def _check_pushed_alone(recipe: Recipe, stage: Stage, place: str) -> None:
    """Adapters that are pushed alone are of no use where their base has changed."""
    if recipe.model.push != "adapter":
        return
    other = sorted(set(stage.groups) - {"lora", "head"})
    if stage.lora in ("merged", "off") or other or not (stage.groups or stage.lora == "on"):
        said = f"trains {other[0]}" if other else "changes the model beneath them"
        raise UserError(
            f"{place}: {said}, but model.push=adapter pushes adapters and head alone: train lora "
            "and head only, or set model.push=merged"
        )


def _check_stopping(plan: Plan) -> None:
    stopping, place = plan.stopping, f"stages.{plan.name}." if plan.name else ""
    for key in ("patience", "min_epochs", "epsilon"):
        value = getattr(stopping, key)
        if not 0 <= value < float("inf"):
            raise UserError(f"{place}early_stopping.{key}={value}: it is a number from 0 on")
    if not stopping.patience:
        return
    if str(plan.recipe.training.get("eval_strategy", "no")) == "no":
        raise UserError(
            f"{place}early_stopping: nothing is evaluated while it learns: set "
            "training.eval_strategy=epoch"
        )
    if not plan.recipe.training.get("load_best_model_at_end"):
        raise UserError(
            f"{place}early_stopping keeps the best weights: set "
            "training.load_best_model_at_end=true"
        )
