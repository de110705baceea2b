"""What a finished verb prints: a table, what was written, the next command."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hfpipe.blocks import CONDITIONS, LEAKS

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
            if not column.startswith(CONDITIONS):
                console.print(slices_table(done.record, column))
    for note in done.notes:
        console.print(f"note: {note}", markup=False)
    for split, counts in done.counts.items():
        for reason, dropped in counts["dropped"].items():
            if dropped:
                console.print(f"{split}: {dropped:,} of {counts['in']:,} rows left out: {reason}")
    console.print(f"trained on {done.train_rows:,} rows in {done.seconds:.0f} s")
    console.print(f"pushed  {done.model.url} @ {done.model.revision[:12]}", markup=False)
    names = "config.yaml, metrics.json, predictions.jsonl, curves.json"
    console.print(f"wrote   {done.folder} ({names})", markup=False)
    console.print(f"wrote   {done.report}", markup=False)
    console.print(f"next:   hfpipe evaluate {done.model.repo_id}{_hub(hub)}", markup=False)


def show_evaluated(done: Evaluated, quiet: bool = False) -> None:
    """Print the scores beside the baselines, and what was written."""
    from rich.console import Console

    record, console = done.record, Console(highlight=False, soft_wrap=True)
    if record.n and not quiet:
        place = f"{record.dataset}, split {record.split}" if record.split else record.dataset
        console.print(metrics_table(record, f"{record.model} on {place} ({record.n:,} rows)"))
        for column, values in record.slices.items():
            if not column.startswith(CONDITIONS) and (column != LEAKS or len(values) > 1):
                console.print(slices_table(record, column))
        for line in worst_lines(record):
            console.print(line, markup=False)
        if record.threshold is not None:
            console.print(threshold_line(record), markup=False)
        if record.calibration and record.calibration.get("reason"):
            console.print(f"calibration: {record.calibration['reason']}", markup=False)
    unscored = done.rows - record.n
    if unscored:
        console.print(f"{unscored:,} of {done.rows:,} rows have no label: classified, not scored")
    for note in done.notes:
        console.print(f"note: {note}", markup=False)
    for path in (done.metrics, done.predictions, done.report):
        console.print(f"wrote   {path}", markup=False)
    if done.pushed:
        console.print(f"pushed  {done.pushed.url} @ {done.pushed.revision[:12]}", markup=False)
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
    if "hamming_loss" not in record.metrics:
        dull.add("micro_f1")  # of one class a row it is the accuracy
    if any(record.intervals.values()):
        table.add_column("95 % interval", justify="right")
    for metric in SHOWN:
        if metric in record.metrics and metric not in dull:
            cells = [_number(scores.get(metric)) for scores in columns.values()]
            found = record.intervals.get(metric)
            cells += [f"{found[0]:.4f} to {found[1]:.4f}"] if found else []
            table.add_row(metric, *cells)
    return table


def threshold_line(record: EvaluationRecord) -> str:
    """The threshold, and where it is from.

    One a label is told as a range.
    """
    at = record.threshold
    if isinstance(at, dict):
        shown = f"{min(at.values()):.4f} to {max(at.values()):.4f}, one a label"
    else:
        shown = f"{at:.4f}"
    if record.threshold_for is None:
        return f"threshold {shown}: the usual one, not chosen"
    return f"threshold {shown}, chosen on validation for {record.threshold_for}"


def worst_lines(record: EvaluationRecord) -> list[str]:
    """A line for every slice that is worse than the rest, beyond chance."""
    return [
        "worse where "
        + " and ".join(f"{column} = {value}" for column, value in each["slice"].items())
        + f": {each['metric']} {_number(each['value'])} against {_number(each['rest'])} elsewhere "
        f"({each['n']:,} rows)"
        for each in record.worst_slices
    ]


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
