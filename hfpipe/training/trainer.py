"""The stock Trainer with our batches, rates, checkpoints and watch over them.

What differs from ``transformers.Trainer``, each at one of its own extension points:

- a batch of the loader is a whole optimizer step, cut into micro-batches (``StepSampler``); their
  losses are summed, each a share of the step's mean, so that the cut changes nothing;
- rows are evaluated longest first, by a budget of tokens (``EvaluatesByLength``), and come back in
  dataset order, and the evaluation loss is the mean over rows, not over batches;
- groups of parameters learn at rates of their own (``Rate``);
- the best evaluation is one whose weights are kept (``BestWeights``);
- checkpoints are safetensors and JSON, and hold no pickle (``SafeCheckpoints``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import Trainer
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import EvalLoopOutput

from hfpipe.errors import UserError
from hfpipe.inputs.encoding import LABELS, LENGTH
from hfpipe.training.batches import StepSampler
from hfpipe.training.best_weights import BestWeights
from hfpipe.training.checkpoints import SafeCheckpoints
from hfpipe.training.eval_steps import EvalSteps, EvaluatesByLength
from hfpipe.training.memory import is_out_of_memory
from hfpipe.training.rates import Rate
from hfpipe.training.step_loader import StepCollator, StepRows
from hfpipe.training.watch import Watch

MICRO = "micro"
WATCH = Watch.__name__


class HfpipeTrainer(EvaluatesByLength, BestWeights, SafeCheckpoints, Trainer):
    """See the module.

    Args:
        *args: As for ``Trainer``.
        train_collator: Of the train rows, where inputs may be changed at random.
        step_rows: Rows of an optimizer step, on all devices together.
        max_tokens: Of a micro-batch, padding included; None for as many as its rows have.
        eval_max_tokens: The same of a batch of evaluation.
        rates: Of parameters that do not all learn alike.
        epsilon: See ``hfpipe.training.selection.better``.
        exact_loss: Logits and labels to the mean loss over rows.
        watch: What is told of training that goes wrong.
        **kwargs: As for ``Trainer``; ``data_collator`` is that of evaluation.
    """

    def __init__(
        self,
        *args: Any,
        train_collator: Callable[..., Any],
        step_rows: int | None = None,
        max_tokens: int | None = None,
        eval_max_tokens: int | None = None,
        rates: Sequence[Rate] = (),
        epsilon: float = 0.0,
        exact_loss: Callable[[Any, Any], float] | None = None,
        watch: Watch | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.train_collator = train_collator
        self.step_rows = step_rows or self.args.train_batch_size * max(1, self.args.world_size)
        self.max_tokens, self.eval_max_tokens = max_tokens, eval_max_tokens
        self.rates, self.epsilon = list(rates), epsilon
        self.exact_loss = exact_loss
        self.watch = watch or Watch()
        self.parts = 1
        self.data_collator: Any

    # Batches

    def get_train_dataloader(self) -> DataLoader:
        """A loader whose every batch is this process's share of an optimizer step."""
        rows: Any = self.train_dataset
        sampler = StepSampler(
            np.asarray(rows[LENGTH]),
            rows_per_step=self.step_rows,
            max_rows=self._most_rows,
            max_tokens=self.max_tokens,
            strategy=str(self.args.train_sampling_strategy),
            seed=self.args.seed if self.args.data_seed is None else self.args.data_seed,
            drop_last=self.args.dataloader_drop_last,
            rank=self.args.process_index,
            world=self.args.world_size,
        )
        return self._loader(
            StepRows(rows), sampler, StepCollator(self.watch.named(self.train_collator))
        )

    @property
    def _most_rows(self) -> int:
        """Of a micro-batch: where tokens limit it, as many as a process has of a step."""
        if self.max_tokens is None:
            return int(self.args.train_batch_size)
        return -(-self.step_rows // max(1, self.args.world_size))

    # A step

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """Learn from a whole step; where memory is short, from smaller parts of it."""
        while True:
            try:
                return self._learn(model, inputs[MICRO], num_items_in_batch)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                rows = -(-max(len(each[LABELS]) for each in inputs[MICRO]) // self.parts)
                if rows < 2 or self.args.world_size > 1:
                    raise self.watch.out_of_memory(rows, inputs[MICRO]) from error
                self.parts *= 2
                model.zero_grad()  # a step is one batch, so nothing else has been added up yet
                torch.cuda.empty_cache()
                self.watch.say(f"out of memory: micro-batches are cut into {self.parts} parts now")

    def _learn(self, model: Any, micro: Sequence[Any], items: Any) -> Any:
        parts = [part for batch in micro for part in halved(batch, self.parts)]
        losses = []
        for at, part in enumerate(map(dict, parts)):
            ids = part.pop(self.watch.IDS, None)
            last = at == len(parts) - 1
            with nullcontext() if last else self.accelerator.no_sync(model):
                losses.append(super().training_step(model, part, items))
            if not torch.isfinite(losses[-1]):
                raise self.watch.not_finite(float(losses[-1]), ids, self.state, self.args)
        return torch.stack(losses).sum()

    def _get_num_items_in_batch(self, batch_samples: list, device: Any) -> Any:
        """As stock, but without the labels that are NaN, which count for nothing either."""
        known = [
            {LABELS: torch.where(torch.isnan(each[LABELS]), -100.0, each[LABELS])}
            if LABELS in each and each[LABELS].is_floating_point()
            else each
            for each in batch_samples
        ]
        return super()._get_num_items_in_batch(known, device)

    def floating_point_ops(self, inputs: Any) -> int:
        """Of all micro-batches."""
        return sum(super(HfpipeTrainer, self).floating_point_ops(each) for each in inputs[MICRO])

    def _track_num_input_tokens(self, inputs: Any) -> None:
        for each in inputs[MICRO]:
            super()._track_num_input_tokens(each)

    # Rates

    def create_optimizer(self, model: Any = None) -> Any:
        """The stock optimizer, over the groups of ``rates`` where there are some."""
        if self.optimizer is None and self.rates:
            learns = self.model if model is None else model
            made, options = self.get_optimizer_cls_and_kwargs(self.args, learns)
            if own := sorted({"params", "model", "optimizer_dict"} & options.keys()):
                raise UserError(
                    f"training.optim={self.args.optim.value} has groups of its own ({own[0]}): it "
                    "cannot learn at rates by group: set rates=null, and leave stages.NAME.groups "
                    "and layer_decay out"
                )
            decayed = self.get_decay_parameter_names(learns)
            groups = [group for rate in self.rates for group in rate.split(learns, decayed)]
            self.optimizer_cls_and_kwargs = (made, {**options, "params": groups})
        return super().create_optimizer(model)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As stock, with the rate of every group beside the first one's."""
        if "learning_rate" in logs and self.lr_scheduler is not None and self.rates:
            for group in self.lr_scheduler.optimizer.param_groups:
                logs[f"learning_rate.{group['group']}"] = float(group["lr"])
        super().log(logs, start_time)

    # Evaluation

    def evaluation_loop(self, dataloader: DataLoader, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """As stock, in dataset order, and with the exact mean loss."""
        batches = dataloader.batch_sampler
        tokens = self.eval_max_tokens if isinstance(batches, EvalSteps) else None
        try:
            with self.gathered(batches):
                found = super().evaluation_loop(dataloader, *args, **kwargs)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise self.watch.cannot_evaluate(self.args, tokens, self.is_in_train) from error
        prefix = kwargs.get("metric_key_prefix", "eval")
        metrics = dict(found.metrics or {})
        if self.exact_loss and found.label_ids is not None and found.predictions is not None:
            metrics[f"{prefix}_loss"] = self.exact_loss(found.predictions, found.label_ids)
        if self.is_in_train and found.label_ids is not None:
            self.watch.evaluated(found.predictions, found.label_ids)
        predictions, labels = found.predictions, found.label_ids
        if isinstance(batches, EvalSteps):
            predictions, labels = (ordered(each, batches.back) for each in (predictions, labels))
        return EvalLoopOutput(predictions, labels, metrics, found.num_samples)

    # Going on

    def _load_callback_state(self) -> None:
        """As stock, which makes callbacks anew; the watch is held elsewhere, and stays itself."""
        callbacks = self.state.stateful_callbacks
        said = callbacks.pop(WATCH, None)
        super()._load_callback_state()
        if said is not None:
            self.watch.recall(said["attributes"])
        # Stock writes only those again that it has read: a checkpoint may be from before them.
        for each in self.callback_handler.callbacks:
            if isinstance(each, ExportableState):
                callbacks.setdefault(type(each).__name__, each.state())


def halved(batch: Any, parts: int) -> list[Any]:
    """A batch in so many parts of its rows, as far as it has as many.

    >>> [part["labels"].tolist() for part in halved({"labels": torch.arange(3)}, 2)]
    [[0, 1], [2]]
    """
    if parts == 1:
        return [batch]
    rows = len(batch[LABELS])
    size = -(-rows // parts)
    return [_rows(batch, slice(start, start + size)) for start in range(0, rows, size)]


def _rows(batch: Any, which: slice) -> Any:
    if isinstance(batch, dict):
        return {name: _rows(each, which) for name, each in batch.items()}
    return batch[which]


def ordered(values: Any, back: np.ndarray) -> Any:
    """Arrays of rows, alone, in tuples or by name, in another order; what has other rows stays."""
    if isinstance(values, dict):
        return {name: ordered(each, back) for name, each in values.items()}
    if isinstance(values, tuple | list):
        return type(values)(ordered(each, back) for each in values)
    if isinstance(values, np.ndarray) and len(values) == len(back):
        return values[back]
    return values


def mean_loss(loss: Callable[..., Any]) -> Callable[[Any, Any], float]:
    """A loss of the Trainer as one of all rows at once.

    Args:
        loss: As ``Trainer(compute_loss_func=…)``.
    """

    def of(predictions: Any, labels: Any) -> float:
        logits = predictions[0] if isinstance(predictions, tuple | list) else predictions
        said = (torch.from_numpy(np.asarray(logits)).float(),)
        return float(loss(said, torch.from_numpy(np.asarray(labels))))

    return of


def loss_of(model: Any, compute_loss_func: Callable[..., Any] | None) -> Any:
    """The exact loss of a model, by the Trainer's function or by the model's own config."""
    from hfpipe.models.losses import trainer_loss

    if compute_loss_func is not None:
        return mean_loss(compute_loss_func)
    config = getattr(model, "config", SimpleNamespace())
    return mean_loss(trainer_loss(config)) if hasattr(config, "problem_type") else None
