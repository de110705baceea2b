"""Which evaluation is the best one, and when there has been no better one for too long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers.trainer_callback import ExportableState, TrainerCallback

PREFIX = "eval_"


def key_of(metric: str | None) -> str:
    """A metric as the Trainer's logs call it; the loss where none is named.

    >>> key_of("f1"), key_of("eval_f1"), key_of(None)
    ('eval_f1', 'eval_f1', 'eval_loss')
    """
    name = metric or "loss"
    return name if name.startswith(PREFIX) else PREFIX + name


def better(
    new: Mapping[str, float],
    best: Mapping[str, float] | None,
    metric: str,
    higher: bool,
    epsilon: float = 0.0,
) -> bool:
    """Whether an evaluation is better than the best so far.

    Args:
        new: Its metrics, as the Trainer logs them.
        best: Those of the best one; None where there is none yet.
        metric: The key that decides.
        higher: Whether more of it is better.
        epsilon: Metrics no further apart are even, and the lower ``eval_loss`` decides.

    >>> worse, even = {"eval_f1": 0.8, "eval_loss": 0.5}, {"eval_f1": 0.799, "eval_loss": 0.4}
    >>> better(even, worse, "eval_f1", True), better(even, worse, "eval_f1", True, epsilon=0.01)
    (False, True)
    """
    if best is None:
        return True
    gain = new[metric] - best[metric] if higher else best[metric] - new[metric]
    if abs(gain) <= epsilon and epsilon > 0:
        return new["eval_loss"] < best["eval_loss"]
    return gain > 0


def evaluation_at(history: Sequence[Mapping[str, Any]], step: int | None) -> Mapping[str, Any]:
    """What was logged of the evaluation at a step; empty where there was none.

    >>> evaluation_at([{"loss": 1.0, "step": 3}, {"eval_loss": 0.5, "step": 3}], 3)
    {'eval_loss': 0.5, 'step': 3}
    """
    for entry in reversed(history):
        if entry.get("step") == step and "eval_loss" in entry:
            return entry
    return {}


class EarlyStopping(TrainerCallback, ExportableState):
    """Ends a stage after so many evaluations in turn without a better one.

    Args:
        patience: So many; 0 never ends it.
        min_epochs: Not before so many epochs.
        epsilon: See ``better``.
    """

    def __init__(self, patience: int = 0, min_epochs: float = 0.0, epsilon: float = 0.0) -> None:
        self.patience, self.min_epochs, self.epsilon = patience, min_epochs, epsilon
        self.waited = 0
        self.stopped = False
        self.best: dict[str, float] | None = None

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Count, and stop."""
        key = key_of(args.metric_for_best_model)
        if metrics is None or key not in metrics:
            return
        if better(metrics, self.best, key, bool(args.greater_is_better), self.epsilon):
            self.best = {each: float(metrics[each]) for each in {key, "eval_loss"}}
            self.waited = 0
        else:
            self.waited += 1
        epochs = float(state.epoch or 0)
        if self.patience and self.waited >= self.patience and epochs >= self.min_epochs:
            self.stopped = control.should_training_stop = True

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {
            "args": {
                "patience": self.patience,
                "min_epochs": self.min_epochs,
                "epsilon": self.epsilon,
            },
            "attributes": {"waited": self.waited, "stopped": self.stopped, "best": self.best},
        }
