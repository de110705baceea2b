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
    "roc_auc",
    "average_precision",
    "f1",
    "precision",
    "recall",
    "micro_f1",
    "macro_f1",
    "weighted_f1",
    "rmse_log",
    "mae_log",
    "r2_log",
    "rmse_raw",
    "mae_raw",
    "spearman",
    "log_loss",
    "ece",
)
SLICED = ("n", "roc_auc", "average_precision", "f1", "top_1_accuracy", "macro_f1", "rmse_log")


def show_finetuned(done: Finetuned, hub: str | None, quiet: bool = False) -> None:
    """Print how validation went, what was pushed, and how to evaluate it."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if not quiet:
        console.print(metrics_table(done.record, "Best on validation"))
        for column in done.record.slices:
            console.print(slices_table(done.record, column))
    for note in done.notes:
        console.print(f"note: {note}", markup=False)
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
        for column in record.slices:
            console.print(slices_table(record, column))
        if record.threshold is not None:
            console.print(f"threshold {record.threshold:.4f}, chosen on validation")
    unscored = done.rows - record.n
    if unscored:
        console.print(f"{unscored:,} of {done.rows:,} rows have no label: classified, not scored")
    for note in done.notes:
        console.print(f"note: {note}", markup=False)
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
    # Of two classes, top-2 and top-3 say nothing.
    dull = {"top_2_accuracy", "top_3_accuracy"} if len(record.per_class) == 2 else set()
    for metric in SHOWN:
        if metric in record.metrics and metric not in dull:
            table.add_row(metric, *(_number(scores.get(metric)) for scores in columns.values()))
    return table


def slices_table(record: EvaluationRecord, column: str) -> Table:
    """The metrics of each value of a column, a row a value."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(f"by {column}"), title_justify="left")
    values = record.slices[column]
    found = {name: None for each in values.values() for name in each}
    shown = [name for name in found if name in SLICED or name.startswith("gate_weight")]
    for name in (column, *shown):
        table.add_column(name, justify="left" if name == column else "right")
    for value, metrics in values.items():
        table.add_row(Text(value), *(_number(metrics.get(name)) for name in shown))
    return table


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _hub(hub: str | None) -> str:
    """The ``--hub`` to repeat in the next command; none where the environment says it."""
    return f" --hub {hub}" if hub and hub != os.environ.get("HFPIPE_HUB") else ""
