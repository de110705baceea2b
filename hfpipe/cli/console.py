"""What a finished verb prints: a table, what was written, the next command."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from hfpipe.evaluating import Evaluated
    from hfpipe.evaluation.record import EvaluationRecord
    from hfpipe.finetuning import Finetuned

SHOWN = (
    "top_1_accuracy",
    "top_2_accuracy",
    "top_3_accuracy",
    "macro_f1",
    "weighted_f1",
    "log_loss",
)


def show_finetuned(done: Finetuned, hub: str | None, quiet: bool = False) -> None:
    """Print how validation went, what was pushed, and how to evaluate it."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if not quiet:
        console.print(metrics_table(done.record, "Best epoch on validation"))
    for split, counts in done.counts.items():
        for reason, dropped in counts["dropped"].items():
            if dropped:
                console.print(f"{split}: {dropped:,} of {counts['in']:,} rows left out: {reason}")
    console.print(f"trained on {done.train_rows:,} rows in {done.seconds:.0f} s")
    console.print(f"pushed  {done.model.url} @ {done.model.revision[:12]}", markup=False)
    console.print(f"wrote   {done.folder} (config.yaml, metrics.json, curves.json)", markup=False)
    console.print(f"wrote   {done.report}", markup=False)
    console.print(f"next:   hfpipe evaluate {done.model.repo_id}{_hub(hub)}", markup=False)


def show_evaluated(done: Evaluated, quiet: bool = False) -> None:
    """Print the scores beside the baselines, and what was written."""
    from rich.console import Console

    record, console = done.record, Console(highlight=False, soft_wrap=True)
    if record.n and not quiet:
        place = f"{record.dataset}, split {record.split}" if record.split else record.dataset
        console.print(metrics_table(record, f"{record.model} on {place} ({record.n:,} rows)"))
    unscored = done.rows - record.n
    if unscored:
        console.print(f"{unscored:,} of {done.rows:,} rows have no label: classified, not scored")
    for path in (done.metrics, done.predictions, done.report):
        console.print(f"wrote   {path}", markup=False)
    console.print(f"next:   open {done.report} in a browser", markup=False)


def metrics_table(record: EvaluationRecord, title: str) -> Table:
    """The main metrics, a column a model: ours first, then the baselines."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    table.add_column("metric")
    columns = {"model": record.metrics, **record.baselines}
    for name in columns:
        table.add_column(name.replace("tfidf_logistic_regression", "TF-IDF + LR"), justify="right")
    for metric in SHOWN:
        if metric in record.metrics:
            table.add_row(metric, *(_number(scores.get(metric)) for scores in columns.values()))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _hub(hub: str | None) -> str:
    """The ``--hub`` to repeat in the next command; none where the environment says it."""
    return f" --hub {hub}" if hub and hub != os.environ.get("HFPIPE_HUB") else ""
