"""Set the stock Trainer up for a recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError, nearest
from hfpipe.recipe import Recipe
from hfpipe.training.precision import bf16_is_fast, on_cpu

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import (
        EvalPrediction,
        PreTrainedModel,
        PreTrainedTokenizerBase,
        Trainer,
        TrainingArguments,
    )


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


def training_arguments(recipe: Recipe, folder: Path, reporting: Reporting) -> TrainingArguments:
    """The recipe's ``training:`` block as ``TrainingArguments``, with what the machine decides.

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

    chosen: dict[str, Any] = {
        "output_dir": str(folder),
        "bf16": bf16_is_fast(),
        "use_cpu": on_cpu(),
        "report_to": list(reporting.report_to) or "none",
        "run_name": reporting.run_name,
        "disable_tqdm": reporting.quiet,
        "restore_callback_states_from_checkpoint": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
    best = recipe.training.get("metric_for_best_model")
    if best:
        direction = DIRECTIONS.get(str(best).removeprefix("eval_"), "lower")
        chosen["greater_is_better"] = direction == "higher"
    chosen |= recipe.training
    if chosen.get("fp16"):
        chosen["bf16"] = recipe.training.get("bf16", False)
    try:
        return TrainingArguments(**chosen)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"recipe {recipe.name}: training: {' '.join(str(error).split())[:300]}"
        ) from error


def build_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    arguments: TrainingArguments,
    train: Dataset | None = None,
    validation: Dataset | None = None,
) -> Trainer:
    """A Trainer with dynamic padding, our metrics and our progress bar.

    Args:
        model: A classifier.
        tokenizer: Pads the batches.
        arguments: See ``training_arguments``.
        train: Encoded rows, with labels.
        validation: Encoded rows, with labels: what the best checkpoint is chosen on.
    """
    from transformers import DataCollatorWithPadding, Trainer
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    from hfpipe.training.memory import keep_freed_memory
    from hfpipe.training.progress import Progress

    if arguments.device.type == "cpu":
        keep_freed_memory()
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation,
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=compute_metrics(),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    if not arguments.disable_tqdm:
        trainer.add_callback(Progress())
    return trainer


def compute_metrics() -> Callable[[EvalPrediction], dict[str, float]]:
    """The metrics that the Trainer computes on validation."""
    from hfpipe.metrics.classification import classification_metrics

    def on(prediction: EvalPrediction) -> dict[str, float]:
        scores = classification_metrics(prediction.label_ids, softmax(prediction.predictions))
        return {name: value for name, value in scores.items() if value is not None}

    return on


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities ``(n, classes)`` of logits ``(n, classes)``, in float64.

    >>> import numpy as np
    >>> softmax(np.zeros((1, 4))).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    from scipy.special import softmax as stable_softmax

    return stable_softmax(logits.astype("float64"), axis=-1)


def check_best_metric(recipe: Recipe, classes: int) -> None:
    """Refuse, before any training, a best-model metric that evaluation does not produce.

    Args:
        recipe: Its ``training.metric_for_best_model`` is looked at.
        classes: How many; some metrics exist for two classes only.

    Raises:
        UserError: With the nearest names.
    """
    import numpy as np

    from hfpipe.metrics.classification import classification_metrics

    wanted = str(recipe.training.get("metric_for_best_model") or "loss").removeprefix("eval_")
    truth = np.arange(classes)
    produced = [*classification_metrics(truth, np.eye(classes)), "loss"]
    if wanted not in produced:
        raise UserError(
            f"recipe {recipe.name}: training.metric_for_best_model '{wanted}' is not a metric of "
            f"this task{nearest(wanted, produced)}"
        )
