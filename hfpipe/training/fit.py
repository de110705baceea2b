"""Set the stock Trainer up for a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfpipe.errors import UserError, nearest
from hfpipe.recipe import Recipe
from hfpipe.training.precision import bf16_is_fast, on_cpu
from hfpipe.training.reporting import Reporting

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import EvalPrediction, TrainingArguments

    from hfpipe.inputs.collator import Collator
    from hfpipe.metrics.tasks import Task
    from hfpipe.training.rates import Rate
    from hfpipe.training.trainer import HfpipeTrainer
    from hfpipe.training.watch import Watch

ROWS = {"remove_unused_columns": False, "label_names": ["labels"]}
"""What lets encoded rows reach the collator as they are, and labels the metrics."""


def training_arguments(recipe: Recipe, folder: Path, reporting: Reporting) -> TrainingArguments:
    """The recipe's ``training:`` block as ``TrainingArguments``, with what the machine decides.

    ``gradient_accumulation_steps`` is 1 in them: a step is one batch, which is cut up inside it;
    see ``step_rows``.

    Args:
        recipe: Its ``training`` names win over every default here.
        folder: Where checkpoints go.
        reporting: Trackers and progress bar.

    Raises:
        UserError: A value that ``TrainingArguments`` refuses.
    """
    import torch
    from transformers import TrainingArguments

    from hfpipe.metrics.directions import DIRECTIONS

    cpu = bool(recipe.training.get("use_cpu", on_cpu()))
    chosen: dict[str, Any] = {
        "output_dir": str(folder.resolve()),
        "bf16": bf16_is_fast(cpu),
        "use_cpu": cpu,
        "run_name": reporting.run_name,
        "disable_tqdm": reporting.quiet,
        "restore_callback_states_from_checkpoint": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
        **ROWS,
    }
    best = recipe.training.get("metric_for_best_model")
    if best:
        direction = DIRECTIONS.get(str(best).removeprefix("eval_"), "lower")
        chosen["greater_is_better"] = direction == "higher"
    chosen |= recipe.training
    # What the recipe says of trackers is in there already; see ``trackers_of``.
    chosen["report_to"] = list(reporting.report_to) or "none"
    chosen["gradient_accumulation_steps"] = 1
    if chosen.get("fp16"):
        chosen["bf16"] = recipe.training.get("bf16", False)
    try:
        return one_device(TrainingArguments(**chosen))
    except (TypeError, ValueError) as error:
        said = " ".join(str(error).split())[:300]
        # Of a name that is none of a list, transformers says the list, but not the argument.
        wrong = (key for key, each in chosen.items() if said.startswith(f"{each} is not a valid"))
        place = ".".join(["training", *list(wrong)[:1]])
        raise UserError(f"recipe {recipe.name}: {place}: {said}") from error


def one_device(arguments: TrainingArguments) -> TrainingArguments:
    """The same with one GPU of several: more of them are for more processes (``torchrun``).

    In one process stock copies the model to each (``DataParallel``), which is slow, and multiplies
    a loss that is already the mean of all rows by their number.
    """
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments


def step_rows(recipe: Recipe, arguments: TrainingArguments) -> int:
    """Rows of an optimizer step: of a device, times accumulated batches, times devices.

    Raises:
        UserError: ``gradient_accumulation_steps`` is no number from 1 on.
    """
    steps = recipe.training.get("gradient_accumulation_steps", 1)
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise UserError(
            f"recipe {recipe.name}: training.gradient_accumulation_steps: '{steps}' is no whole "
            "number from 1 on"
        )
    return int(arguments.train_batch_size) * steps * max(1, int(arguments.world_size))


def build_trainer(
    model: Any,
    arguments: TrainingArguments,
    collator: Collator,
    task: Task,
    train: Dataset | None = None,
    validation: Dataset | None = None,
    *,
    seed: int | None = None,
    loss: Callable[..., Any] | None = None,
    rows: int | None = None,
    max_tokens: int | None = None,
    eval_max_tokens: int | None = None,
    rates: Sequence[Rate] = (),
    epsilon: float = 0.0,
    watch: Watch | None = None,
    aim: str = "f1",
) -> HfpipeTrainer:
    """A Trainer with our batches, metrics, losses, rates and progress bar.

    Disentangled attention inside the model is fused, in place; the model stays a stock one.

    Args:
        model: What ``Family.build`` gave.
        arguments: See ``training_arguments``.
        collator: Makes batches without random changes.
        task: Says what is measured.
        train: Encoded rows, with labels.
        validation: Encoded rows, with labels: what the best checkpoint is chosen on.
        seed: Of random changes to the inputs in training; None for none.
        loss: As ``Trainer(compute_loss_func=…)``; None: the model's own.
        rows: Of an optimizer step; see ``step_rows``.
        max_tokens: Of a micro-batch.
        eval_max_tokens: Of a batch of evaluation; None for what suits the device.
        rates: Of parameters that do not all learn alike.
        epsilon: Metrics no further apart are even.
        watch: What is told of training that goes wrong.
        aim: What the threshold of the metrics is best for.
    """
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    from hfpipe.models.parts.disentangled import fuse
    from hfpipe.training.limits import token_limits
    from hfpipe.training.memory import keep_freed_memory
    from hfpipe.training.progress import Progress
    from hfpipe.training.trainer import HfpipeTrainer, loss_of

    if arguments.device.type == "cpu":
        keep_freed_memory()
    fuse(model)
    limits = token_limits(arguments, collator, max_tokens, eval_max_tokens)
    trainer = HfpipeTrainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=collator,
        compute_metrics=compute_metrics(task, aim),
        compute_loss_func=loss,
        train_collator=replace(collator, seed=seed),
        step_rows=rows,
        max_tokens=limits[0],
        eval_max_tokens=limits[1],
        rates=rates,
        epsilon=epsilon,
        exact_loss=loss_of(model, loss),
        watch=watch,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    if watch is not None:
        trainer.add_callback(watch)
    if not arguments.disable_tqdm:
        trainer.add_callback(Progress(watch.stage if watch else ""))
    return trainer


def compute_metrics(task: Task, aim: str = "f1") -> Callable[[EvalPrediction], dict[str, float]]:
    """The metrics that the Trainer computes on validation, at the threshold that is best for it."""

    def on(prediction: EvalPrediction) -> dict[str, float]:
        truth, scores = prediction.label_ids, task.scores(prediction.predictions)
        found = task.metrics(truth, scores, task.best_threshold(truth, scores, aim))
        return {name: value for name, value in found.items() if value is not None}

    return on


def check_best_metric(
    recipe: Recipe, task: Task, place: str = "training.metric_for_best_model"
) -> None:
    """Refuse, before any training, a best-model metric that evaluation does not produce.

    Args:
        recipe: Its ``training.metric_for_best_model`` is looked at.
        task: Says what evaluation produces.
        place: Where the user named it.

    Raises:
        UserError: With the nearest names.
    """
    wanted = str(recipe.training.get("metric_for_best_model") or "loss").removeprefix("eval_")
    produced = [*task.metric_names(), "loss"]
    if wanted not in produced:
        raise UserError(
            f"recipe {recipe.name}: {place} '{wanted}' is not a metric of this task"
            f"{nearest(wanted, produced)}"
        )


def check_defined(recipe: Recipe, task: Task, truth: Any, place: str, split: str) -> None:
    """Refuse a best-model metric that no model could have, by the labels of validation alone.

    Args:
        recipe: Its ``training.metric_for_best_model`` is looked at.
        task: Says what evaluation produces.
        truth: The encoded labels of validation.
        place: Where the user named the metric.
        split: Where the labels are.

    Raises:
        UserError: With what is missing.
    """
    wanted = str(recipe.training.get("metric_for_best_model") or "loss").removeprefix("eval_")
    if wanted == "loss" or str(recipe.training.get("eval_strategy", "no")) == "no":
        return
    labels = np.asarray(truth)[task.labelled(truth)]
    answers = _answers(task, labels) if len(labels) else []
    if not answers or any(task.metrics(labels, each)[wanted] is not None for each in answers):
        return
    reason = task.undefined(labels, answers[0]).get(wanted, "too few rows")
    raise UserError(
        f"recipe {recipe.name}: {place} '{wanted}' is not defined on {split}: {reason}: name "
        "another metric, such as loss, or have such rows there"
    )


def _answers(task: Task, labels: Any) -> list[Any]:
    """Scores of a model that is always right, and of one that says everything in turn."""
    turns = np.arange(1, len(labels) + 1)
    if task.name == "classification":
        every = np.eye(len(task.labels))
        return [every[labels], every[turns % len(every)]]
    others = turns % 2 if task.labels or task.name == "binary" else turns / len(turns)
    right = np.nan_to_num(np.asarray(labels, np.float64))
    shape = (-1, *[1] * (right.ndim - 1))
    return [right, np.broadcast_to(others.reshape(shape), right.shape).astype(np.float64)]
