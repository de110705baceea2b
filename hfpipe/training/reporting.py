"""One run with one step counter for every tracker, however many stages it has."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transformers.trainer_callback import TrainerCallback


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
