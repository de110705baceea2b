"""An evaluation on Weights & Biases: metrics, plots, a table of errors, the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wandb import Run

Row = Mapping[str, Any]


def log_evaluation(
    run: Run | None,
    record: Any,
    rows: Sequence[Row],
    *_old: Any,  # until finetuning.py gives what is asked for here
    report: Path | None = None,
    split: str = "validation",
    labels: Sequence[str] | None = None,
    images: Mapping[str, bytes] | None = None,
) -> None:
    """Log one evaluation into a run, everything under ``SPLIT/``.

    Args:
        run: The W&B run; None logs nothing.
        record: The evaluation record, or its dict.
        rows: Of ``predictions.jsonl``.
        report: The HTML page.
        split: What the keys begin with.
        labels: The classes, in order; by default those of the record.
        images: Row id to an encoded image, shown beside the row in the table of errors.
    """
    if run is None:
        return
    import wandb

    found = dict(record) if isinstance(record, Mapping) else record.to_dict()
    if report is not None:
        page = wandb.Html(report.read_text(encoding="utf-8"), inject=False)
        run.log({f"{split}/report": page})
    run.summary.update({f"{split}/{name}": value for name, value in found["metrics"].items()})


def log_curves(
    run: Run | None, history: Sequence[Mapping[str, Any]], stages: Sequence[str] = ()
) -> None:
    """Log the curves of training with one line a stage.

    The Trainer logs ``train/stage`` beside every number; here each stage has its name and colour.

    Args:
        run: The W&B run; None logs nothing.
        history: The Trainer's logs of all stages, as in ``curves.json``.
        stages: The stages' names, in order; none of a recipe without stages.
    """
