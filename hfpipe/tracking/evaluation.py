"""An evaluation on Weights & Biases: metrics, plots, tables, the report."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfpipe.tracking.answers import Row, answers_of
from hfpipe.tracking.plots import (
    Dots,
    Histogram,
    Lines,
    Matrix,
    Plot,
    plots_of,
    stage_lines,
)
from hfpipe.tracking.tables import Table, summary_of, tables_of

if TYPE_CHECKING:
    from wandb import Run

ALL_CELLS = 60
"""Of a confusion matrix of more classes only the cells that hold rows are logged."""


def log_evaluation(
    run: Run | None,
    record: Any,
    rows: Sequence[Row],
    *,
    report: Path | None = None,
    split: str = "validation",
    labels: Sequence[str] | None = None,
    images: Mapping[str, bytes] | None = None,
) -> None:
    """Log one evaluation into a run, everything under ``SPLIT/``.

    The summary gets every metric, its interval as ``NAME_low`` and ``NAME_high``, and why it is
    not defined as ``NAME_undefined``; the history gets the plots of the task (``pr``, ``roc``,
    ``confusion_matrix``, ``thresholds``, ``reliability``; ``predicted``, ``errors_histogram``),
    the tables ``metrics``, ``slices`` and ``errors``, and the ``report``.

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
    answers = answers_of(found, rows, labels)
    logged = {plot.name: drawn(plot, f" ({split})") for plot in plots_of(answers)}
    logged |= {table.name: _table(table) for table in tables_of(answers, images)}
    if report is not None:
        logged["report"] = wandb.Html(report.read_text(encoding="utf-8"), inject=False)
    if logged:
        run.log({f"{split}/{name}": each for name, each in logged.items()})
    run.summary.update({f"{split}/{name}": value for name, value in summary_of(found)})


def log_curves(
    run: Run | None, history: Sequence[Mapping[str, Any]], stages: Sequence[str] = ()
) -> None:
    """Log the curves of training with one line a stage, under ``stages/``.

    The Trainer logs ``train/stage`` beside every number; here each stage has its name and colour.
    A run without stages has nothing to tell apart, and nothing is logged.

    Args:
        run: The W&B run; None logs nothing.
        history: The Trainer's logs of all stages, as in ``curves.json``.
        stages: The stages' names, in order.
    """
    if run is None or not stages:
        return
    logged = {f"stages/{lines.name}": drawn(lines) for lines in stage_lines(history, stages)}
    if logged:
        run.log(logged)


def drawn(plot: Plot, ending: str = "") -> Any:
    """A plot as W&B's chart."""
    return _DRAW[type(plot)](plot, f"{plot.title}{ending}")


def _lines(plot: Lines, title: str) -> Any:
    import wandb

    x, y, line = plot.axes
    table = wandb.Table(columns=list(plot.axes), data=[list(each) for each in plot.points])
    return wandb.plot.line(table, x, y, stroke=line, title=title)


def _dots(plot: Dots, title: str) -> Any:
    import wandb

    table = wandb.Table(columns=list(plot.axes), data=[list(each) for each in plot.points])
    return wandb.plot.scatter(table, *plot.axes, title=title)


def _histogram(plot: Histogram, title: str) -> Any:
    import wandb

    table = wandb.Table(columns=[plot.axis], data=[[value] for value in plot.values])
    return wandb.plot.histogram(table, plot.axis, title=title)


def _matrix(plot: Matrix, title: str) -> Any:
    """As ``wandb.plot.confusion_matrix`` draws it, which wants a list of all rows instead."""
    import wandb

    columns = ["Actual", "Predicted", "nPredictions"]
    all_of_them = len(plot.labels) <= ALL_CELLS
    cells = np.argwhere((plot.counts > 0) | all_of_them).tolist()
    data = [[plot.labels[a], plot.labels[p], int(plot.counts[a, p])] for a, p in cells]
    return wandb.plot_table(
        "wandb/confusion_matrix/v1",
        wandb.Table(columns=columns, data=data),
        {name: name for name in columns},
        {"title": title},
    )


_DRAW: Mapping[type[Plot], Callable[[Any, str], Any]] = {
    Lines: _lines,
    Dots: _dots,
    Histogram: _histogram,
    Matrix: _matrix,
}


def _table(table: Table) -> Any:
    import wandb

    # A column may be empty in its first row, which W&B would take for the column's type.
    found = wandb.Table(columns=table.columns, allow_mixed_types=True)
    for row in table.rows:
        found.add_data(*(_cell(cell) for cell in row))
    return found


def _cell(cell: Any) -> Any:
    if not isinstance(cell, bytes):
        return cell
    import wandb
    from PIL import Image

    return wandb.Image(Image.open(io.BytesIO(cell)))
