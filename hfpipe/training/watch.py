"""Knowing when training goes wrong: it is said once, or ends the run with what is known."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from transformers.trainer_callback import ExportableState, TrainerCallback

from hfpipe.errors import RunError
from hfpipe.files import write_text
from hfpipe.processes import is_main
from hfpipe.rows.identity import ROW_ID
from hfpipe.training.selection import key_of

if TYPE_CHECKING:
    from hfpipe.metrics.tasks import Task

IN_VAIN = 4
"""So many evaluations of which none is better than the first are worth a word."""
KEPT = ("said", "first", "evaluations", "improved", "never")
"""What a checkpoint keeps of it."""


@dataclass(frozen=True)
class Named:
    """A collator that also hands out which rows are in the batch."""

    collate: Callable[..., Any]

    def __call__(self, rows: Sequence[Any]) -> dict[str, Any]:
        """The batch, with row ids."""
        return {**self.collate(rows), Watch.IDS: [str(row.get(ROW_ID)) for row in rows]}


class Watch(TrainerCallback, ExportableState):
    """What there is to tell of a run's training.

    Args:
        folder: Where the rows of a batch go whose loss is no number; None for nowhere.
        task: Names the classes; None where nobody asks.
        stage: For messages; empty where a run has no stages.
    """

    IDS: ClassVar[str] = "row_ids"

    def __init__(
        self, folder: Path | None = None, task: Task | None = None, stage: str = ""
    ) -> None:
        self.folder, self.task, self.stage = folder, task, stage
        self.said: list[str] = []
        self.first: float | None = None
        self.evaluations, self.improved = 0, False
        self.never: list[str] = []

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it; see ``recall``."""
        told = {name: getattr(self, name) for name in KEPT}
        return {"args": {}, "attributes": told}

    def recall(self, told: Mapping[str, Any]) -> None:
        """Go on with what was known when a checkpoint was written; it is not told again."""
        now = self.said
        for name in KEPT:
            setattr(self, name, told.get(name, getattr(self, name)))
        self.said = list(dict.fromkeys([*self.said, *now]))

    @property
    def place(self) -> str:
        """The stage, as a message begins."""
        return f"stage '{self.stage}': " if self.stage else ""

    def named(self, collate: Callable[..., Any]) -> Named:
        """A collator whose batches say which rows they hold."""
        return Named(collate)

    def say(self, line: str) -> None:
        """Tell the user once, between progress bars, on the first process."""
        from tqdm.auto import tqdm

        line = f"{self.place}{line}"
        if line not in self.said:
            self.said.append(line)
            if is_main():
                tqdm.write(f"warning: {line}", file=sys.stderr)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Say so when the metric that decides stays where it began."""
        key = key_of(args.metric_for_best_model)
        if not metrics or key not in metrics:
            return
        value = float(metrics[key]) * (1 if args.greater_is_better else -1)
        self.first = value if self.first is None else self.first
        perfect = 1.0 if args.greater_is_better else 0.0  # there is nothing left to improve
        self.improved |= value > self.first or value >= perfect
        self.evaluations += 1
        if self.evaluations == IN_VAIN and not self.improved:
            self.say(
                f"validation {key.removeprefix('eval_')} has not improved in {IN_VAIN} "
                "evaluations: try another learning rate (training.learning_rate), or look at the "
                "labels"
            )

    def evaluated(self, predictions: Any, labels: Any) -> None:
        """Look which classes were predicted for no row; the last evaluation counts."""
        if self.task is None or not self.task.labels:
            return
        logits = predictions[0] if isinstance(predictions, tuple | list) else predictions
        truth, scores = np.asarray(labels), self.task.scores(np.asarray(logits))
        known = self.task.labelled(truth)
        chosen_at = self.task.best_threshold(truth[known], scores[known])
        choices = np.asarray(self.task.choices(scores, chosen_at))
        names = self.task.labels
        if choices.ndim == 2:
            chosen, there = choices.any(axis=0), (truth == 1).any(axis=0)
        else:
            chosen, there = (np.isin(np.arange(len(names)), each) for each in (choices, truth))
        self.never = [names[at] for at in np.flatnonzero(there & ~chosen)]

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Name the classes that the last evaluation never saw predicted."""
        if self.never:
            shown = ", ".join(f"'{name}'" for name in self.never[:5])
            more = f" and {len(self.never) - 5} more" if len(self.never) > 5 else ""
            self.say(
                f"never predicted on validation: {shown}{more}: weigh the classes "
                "(model.loss.class_weights=balanced), or train longer"
            )

    def not_finite(self, loss: float, ids: Sequence[str] | None, state: Any, args: Any) -> RunError:
        """The end of a run whose loss is no number, with the rows of the batch written down."""
        kept = ""
        if self.folder is not None:
            path = self.folder / "bad_batch.json"
            told = {
                "stage": self.stage or None,
                "step": state.global_step + 1,
                "epoch": state.epoch,
                "loss": str(loss),
                "row_ids": list(ids or ()),
            }
            write_text(path, json.dumps(told, indent=2, ensure_ascii=False))
            kept = f" (its rows: {path})"
        return RunError(
            f"{self.place}the loss is {loss} at step {state.global_step + 1}{kept}: lower "
            f"training.learning_rate ({args.learning_rate:g}), or look at these rows"
        )

    def out_of_memory(self, rows: int, micro: Sequence[Any]) -> RunError:
        """The end of a run that does not fit, with what would make it fit."""
        tokens = max(_tokens(batch) for batch in micro)
        fewer = f"batches.max_tokens={max(tokens // 2, 1)}"
        return RunError(
            f"{self.place}out of memory with {max(rows, 1)} rows of a batch: set {fewer}, "
            "training.gradient_checkpointing=true, or a smaller training."
            "per_device_train_batch_size with as many more gradient_accumulation_steps"
        )

    def cannot_evaluate(self, args: Any, tokens: int | None, training: bool) -> RunError:
        """The end of an evaluation that does not fit, with what would make it fit.

        Args:
            args: Of the Trainer.
            tokens: The limit of a batch, where there is one.
            training: Whether it is one between steps of training.
        """
        rows = args.per_device_eval_batch_size
        fewer = [f"evaluation.max_tokens={max(tokens // 2, 1)}"] if tokens else []
        name = "training.per_device_eval_batch_size" if training else "evaluation.batch_size"
        fewer.append(f"{name}={max(rows // 2, 1)}")
        flag = "" if training else " (--batch-size of evaluate and predict)"
        return RunError(
            f"{self.place}out of memory in evaluation, with {rows} rows of a batch at most: set "
            f"{' or '.join(fewer)}{flag}"
        )


def _tokens(batch: Any) -> int:
    """Rows times steps of the largest tensor of whole numbers."""
    sizes = [0]
    for each in batch.values():
        if isinstance(each, dict):
            sizes.append(_tokens(each))
        elif getattr(each, "ndim", 0) == 2:
            sizes.append(int(each.numel()))
    return max(sizes)
