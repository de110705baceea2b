"""The final evaluation for trackers other than W&B, as ``training.report_to`` names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def log_to(
    report_to: Sequence[str],
    folder: Path,
    record: Any,
    rows: Sequence[Mapping[str, Any]],
    *,
    split: str = "validation",
    labels: Sequence[str] | None = None,
    run_name: str = "hfpipe",
    step: int = 0,
) -> None:
    """Log one evaluation with every tracker named that can show one, W&B aside.

    Args:
        report_to: As ``hfpipe.training.reporting.trackers_of`` gives them. Of a name without a
            class here the Trainer's curves are all there is.
        folder: The run folder.
        record: The evaluation record, or its dict.
        rows: Of ``predictions.jsonl``.
        split: What the names begin with.
        labels: The classes, in order; by default those of the record.
        run_name: As the Trainer told it to the tracker.
        step: The last optimizer step.
    """
