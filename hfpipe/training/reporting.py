"""One run with one step counter for every tracker, however many stages it has."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transformers.trainer_callback import TrainerCallback

from hfpipe.errors import UserError, nearest
from hfpipe.recipe import Recipe

PACKAGES = {
    "azure_ml": "azureml-core",
    "comet_ml": "comet-ml",
    "flyte": "flytekit",
    "tensorboard": "'hfpipe[tensorboard]'",
}
"""Tracker → what to give pip, where it is not the tracker's own name."""


@dataclass(frozen=True)
class Reporting:
    """Where a run's curves go besides the screen.

    Attributes:
        report_to: Names as in ``TrainingArguments.report_to``.
        run_name: How the run is called there.
        quiet: No progress bar.
    """

    report_to: tuple[str, ...] = ()
    run_name: str = "hfpipe"
    quiet: bool = False


def trackers_of(recipe: Recipe, wandb: bool = True) -> tuple[str, ...]:
    """The trackers of a run: those of ``training.report_to``; by default W&B.

    Args:
        recipe: Composed and typed.
        wandb: False leaves W&B out, whatever the recipe says (``--no-wandb``).

    Raises:
        UserError: A name that is no tracker's, a tracker that is not installed, or a stage that
            wants its own.
    """
    for name, stage in recipe.stages.items():
        if "report_to" in stage.training:
            raise UserError(
                f"recipe {recipe.name}: stages.{name}.training.report_to: a run has the same "
                "trackers from its first stage to its last: use training.report_to"
            )
    given = recipe.training.get("report_to")
    names = ["wandb"] if given is None else [given] if isinstance(given, str) else list(given)
    if names == ["none"]:
        return ()
    found = _installed() if names == ["all"] else [_known(recipe, str(name)) for name in names]
    return tuple(dict.fromkeys(name for name in found if wandb or name != "wandb"))


def _known(recipe: Recipe, name: str) -> str:
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    place = f"recipe {recipe.name}: training.report_to: "
    if name not in INTEGRATION_TO_CALLBACK:
        raise UserError(f"{place}no tracker '{name}'{nearest(name, INTEGRATION_TO_CALLBACK)}")
    if name not in _installed():
        raise UserError(
            f"{place}{name} is not installed: pip install {PACKAGES.get(name, name)}, or leave it "
            "out"
        )
    return name


def _installed() -> list[str]:
    from transformers.integrations.integration_utils import get_available_reporting_integrations

    return list(get_available_reporting_integrations())


@dataclass(frozen=True)
class Offset:
    """What lies before a stage.

    Attributes:
        stage: Its number, from 1; 0 where a run has no stages.
        steps: Optimizer steps of the stages before it.
        epochs: Their epochs.
    """

    stage: int = 0
    steps: int = 0
    epochs: float = 0.0

    def shifted(self, entry: dict[str, Any]) -> dict[str, Any]:
        """A row of the Trainer's log with the run's own step and epoch, and the stage.

        >>> Offset(2, 100, 1.5).shifted({"loss": 0.5, "step": 20, "epoch": 0.5})
        {'loss': 0.5, 'step': 120, 'epoch': 2.0, 'stage': 2}
        """
        found = dict(entry)
        if "step" in found:
            found["step"] += self.steps
        if found.get("epoch") is not None:
            found["epoch"] += self.epochs
        if self.stage:
            found["stage"] = self.stage
        return found


class Shifted(TrainerCallback):
    """A tracker's callback that is told the steps of the whole run instead of a stage's.

    Args:
        inner: The callback of transformers.
        offset: What lies before the stage.
    """

    def __init__(self, inner: TrainerCallback, offset: Offset) -> None:
        self.inner, self.offset = inner, offset


def _event(name: str) -> Callable[..., Any]:
    def forward(self: Shifted, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        told = copy.copy(state)
        told.global_step = state.global_step + self.offset.steps
        if state.epoch is not None:
            told.epoch = state.epoch + self.offset.epochs
        if kwargs.get("logs") is not None:
            kwargs["logs"] = self.offset.shifted(kwargs["logs"])
        return getattr(self.inner, name)(args, told, control, **kwargs)

    return forward


for _name in (each for each in dir(TrainerCallback) if each.startswith("on_")):
    setattr(Shifted, _name, _event(_name))


def shift_trackers(trainer: Any, offset: Offset) -> None:
    """Tell every tracker of a Trainer the run's own steps; our own callbacks stay as they are."""
    if not offset.stage:
        return
    handler = trainer.callback_handler
    handler.callbacks = [
        Shifted(each, offset)
        if type(each).__module__.startswith("transformers.integrations")
        else each
        for each in handler.callbacks
    ]
