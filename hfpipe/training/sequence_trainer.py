"""Train sequences that are in memory: the best threshold of every epoch, the best epoch back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hfpipe.errors import UserError
from hfpipe.inputs.collator import Collator
from hfpipe.metrics.tasks import Binary
from hfpipe.models.sequence import SequenceModel
from hfpipe.training.fit import ROWS, build_trainer

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import EvalPrediction, Trainer

BINARY = Binary()

BEST_F1: Mapping[str, Any] = {
    "weight_decay": 0.01,
    "lr_scheduler_type": "reduce_lr_on_plateau",
    **dict.fromkeys(("eval_strategy", "save_strategy", "logging_strategy"), "epoch"),
    "save_total_limit": 1,
    "save_only_model": True,
    "load_best_model_at_end": True,
    "metric_for_best_model": "f1",
    "greater_is_better": True,
}
"""``TrainingArguments`` that bring the epoch with the best validation F1 back."""

OF_TRAINING = ("epoch", "loss", "grad_norm", "learning_rate", "eval_loss")
"""What of a row of ``by_epoch`` is no metric of the validation rows."""

TIMINGS = ("runtime", "samples_per_second", "steps_per_second", "step")


@dataclass(frozen=True)
class TrainResult:
    """What training gives.

    Attributes:
        model: The model, with the weights of the best epoch.
        threshold: Where the validation F1 of that epoch is highest.
        metrics: Of the validation rows, in that epoch, at ``threshold``.
        history: A row an epoch: ``epoch``, ``loss`` (train), ``learning_rate``, ``eval_loss``, and
            the validation metrics at that epoch's own best ``threshold``.
        folder: Where the model and its processor were saved, where they were.
    """

    model: SequenceModel
    threshold: float
    metrics: dict[str, float]
    history: list[dict[str, float]]
    folder: Path | None = None

    @classmethod
    def of(cls, trainer: Trainer, model: SequenceModel, folder: Path | None) -> Self:
        """What a Trainer with the settings ``BEST_F1`` found."""
        history = by_epoch(trainer.state.log_history)
        best = next(each for each in history if each["f1"] == trainer.state.best_metric)
        metrics = {name: value for name, value in best.items() if name not in OF_TRAINING}
        return cls(model, metrics["threshold"], metrics, history, folder)


def sequence_trainer(
    model: SequenceModel,
    collator: Collator,
    folder: str,
    settings: Mapping[str, Any],
    splits: tuple[Dataset, Dataset],
    *,
    quiet: bool = True,
) -> Trainer:
    """The Trainer of every recipe, with ``BEST_F1`` and the threshold among the metrics.

    Args:
        model: What to train.
        collator: Of its processor.
        folder: For checkpoints.
        settings: More ``TrainingArguments``.
        splits: Encoded train and validation rows.
        quiet: No progress bar.

    Raises:
        UserError: A setting that ``TrainingArguments`` refuses.
    """
    import torch
    from transformers import TrainingArguments

    try:
        arguments = TrainingArguments(
            output_dir=folder,
            dataloader_pin_memory=torch.cuda.is_available(),
            report_to="none",
            disable_tqdm=quiet,
            **ROWS,
            **BEST_F1,
            **settings,
        )
    except (TypeError, ValueError) as error:
        raise UserError(" ".join(str(error).split())[:300]) from error
    trainer = build_trainer(model, arguments, collator, BINARY, *splits)
    trainer.compute_metrics = tuned_metrics
    return trainer


def tuned_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Metrics at the threshold with the best F1, and that ``threshold``.

    Args:
        prediction: Logits ``(rows, 1)`` and labels ``(rows,)``, both classes among them.
    """
    scores = BINARY.scores(prediction.predictions)
    threshold = BINARY.best_threshold(prediction.label_ids, scores)
    found = BINARY.metrics(prediction.label_ids, scores, threshold) | {"threshold": threshold}
    return {name: value for name, value in found.items() if value is not None}


def by_epoch(log: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """The Trainer's log, a row an epoch; validation metrics but the loss under their own names.

    >>> by_epoch([{"loss": 0.7, "epoch": 1.0}, {"eval_f1": 0.5, "eval_loss": 0.6, "epoch": 1.0}])
    [{'epoch': 1.0, 'loss': 0.7, 'f1': 0.5, 'eval_loss': 0.6}]
    """
    rows: dict[float, dict[str, float]] = {}
    for entry in log:
        row = rows.setdefault(entry["epoch"], {"epoch": entry["epoch"]})
        for name, value in entry.items():
            plain = name if name == "eval_loss" else name.removeprefix("eval_")
            if not name.startswith(("train_", "total_")) and plain not in TIMINGS:
                row[plain] = value
    return [row for row in rows.values() if "f1" in row]
