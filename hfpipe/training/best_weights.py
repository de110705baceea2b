"""Which evaluation of a Trainer is the best one, and so whose weights it ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import Trainer
from transformers.optimization import GreedyLR
from transformers.trainer_utils import SaveStrategy

from hfpipe.training.selection import better, evaluation_at, key_of

if TYPE_CHECKING:
    from hfpipe.training.watch import Watch


class BestWeights(Trainer):
    """Mixin before a Trainer: what the best evaluation is.

    Stock ends with an error where the metric is not defined, and takes an evaluation whose weights
    nobody keeps for the best one.

    >>> BestWeights.epsilon
    0.0
    """

    epsilon: float = 0.0
    watch: Watch

    def _evaluate(self, trial: Any, ignore_keys: Any, skip_scheduler: bool = False) -> Any:
        found = super()._evaluate(trial, ignore_keys, skip_scheduler=True)
        waits = isinstance(self.lr_scheduler, ReduceLROnPlateau | GreedyLR)
        value = found.get(key_of(self.args.metric_for_best_model))
        if waits and not skip_scheduler and value is not None:
            self.lr_scheduler.step(value)
        return found

    def _determine_best_metric(self, metrics: Any, trial: Any) -> bool:
        """Whether it is the best evaluation so far, or, as ``save_strategy=best`` asks, is saved.

        That strategy saves by this answer alone, and would forget that a signal asked for it.
        """
        asked = bool(self.control.should_save)
        return self._is_best(metrics, trial) or asked

    def _is_best(self, metrics: Any, trial: Any) -> bool:
        """As stock; metrics that are even are told apart by their loss."""
        if self.args.metric_for_best_model is None:
            return False
        key = key_of(self.args.metric_for_best_model)
        if key not in metrics:
            self.watch.say(
                f"validation {key.removeprefix('eval_')} is not defined in every evaluation, and "
                "one without it is never the best: choose another metric, or more validation rows"
            )
            return False
        if not self._stays():
            return False
        if self.epsilon and self.state.best_global_step:
            best = evaluation_at(self.state.log_history, self.state.best_global_step)
            if not better(metrics, best, key, bool(self.args.greater_is_better), self.epsilon):
                return False
            self.state.best_metric = metrics[key]
            self.state.best_global_step = self.state.global_step
            return True
        return bool(super()._determine_best_metric(metrics, trial))

    def _stays(self) -> bool:
        """Whether the weights of this step are saved, and so can be what a stage ends with.

        By the plan: were it by what a signal saves too, who goes on could end with other weights.
        """
        if self.args.save_strategy != SaveStrategy.STEPS or not self.args.load_best_model_at_end:
            return True
        step, every = self.state.global_step, self.state.save_steps
        return step >= self.state.max_steps or (every > 0 and step % every == 0)
