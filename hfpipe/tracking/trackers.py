"""The final evaluation for trackers other than W&B, as ``training.report_to`` names them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hfpipe.tracking.answers import Answers, Row, answers_of
from hfpipe.tracking.plots import Dots, Histogram, Lines, Matrix, plots_of
from hfpipe.tracking.runs import events_folder
from hfpipe.tracking.tables import Table, summary_of, tables_of

CELLS = 200
"""Of a wider confusion matrix no text is made."""


@dataclass(frozen=True)
class Place:
    """Where an evaluation is logged.

    Attributes:
        folder: The run folder.
        run_name: As the Trainer told it to the tracker.
        project: Runs that stand together; as ``training.project`` says.
        split: What the names begin with.
        step: The last optimizer step.
    """

    folder: Path
    run_name: str
    project: str
    split: str
    step: int


class Tracker(ABC):
    """What can hold an evaluation."""

    @abstractmethod
    def log(self, place: Place, answers: Answers) -> None:
        """Log metrics, and of plots and tables what the tracker can show."""


class TensorBoard(Tracker):
    """Events beside the Trainer's.

    Numbers are scalars, precision and recall a PR curve, errors a histogram, and tables text. Of
    the other plots each line is a scalar over x in thousandths, as a step is a whole number.
    """

    def log(self, place: Place, answers: Answers) -> None:
        """See the base."""
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(events_folder(place.folder))) as writer:
            self._numbers(writer, place, answers)
            self._probabilities(writer, place, answers)
            for plot in plots_of(answers):
                if isinstance(plot, Lines) and plot.name != "pr":
                    self._lines(writer, plot, place)
                elif isinstance(plot, Histogram):
                    values = np.array(plot.values)
                    writer.add_histogram(f"{place.split}/{plot.name}", values, place.step)
                elif isinstance(plot, Matrix) and len(plot.labels) <= CELLS:
                    text = _markdown(_confusion(plot))
                    writer.add_text(f"{place.split}/{plot.name}", text, place.step)

    def _numbers(self, writer: Any, place: Place, answers: Answers) -> None:
        for name, value in summary_of(answers.record):
            tag = f"{place.split}/{name}"
            if isinstance(value, str):
                writer.add_text(tag, value, place.step)
            else:
                writer.add_scalar(tag, value, place.step)
        for table in tables_of(answers):
            writer.add_text(f"{place.split}/{table.name}", _markdown(table), place.step)

    def _probabilities(self, writer: Any, place: Place, answers: Answers) -> None:
        """PR curves, of which TensorBoard chooses the points itself."""
        pr = next((each for each in plots_of(answers) if each.name == "pr"), None)
        if not isinstance(pr, Lines):
            return
        truth, scores = answers.truth, answers.scores
        for label in dict.fromkeys(name for *_, name in pr.points):
            at = list(answers.labels).index(label)
            tag = f"{place.split}/pr/{label}"
            writer.add_pr_curve(tag, truth[:, at].astype(int), scores[:, at], place.step)

    def _lines(self, writer: Any, plot: Lines, place: Place) -> None:
        for x, y, name in plot.points:
            writer.add_scalar(f"{place.split}_{plot.name}/{name}", y, round(x * 1000))


class Trackio(Tracker):
    """A run of the name that the Trainer's has, which goes on: numbers, points and tables."""

    def log(self, place: Place, answers: Answers) -> None:
        """See the base."""
        import trackio
        from pandas import DataFrame

        numbers = {
            f"{place.split}/{name}": value
            for name, value in summary_of(answers.record)
            if not isinstance(value, str)
        }
        tables = [*tables_of(answers), *(_points(plot) for plot in plots_of(answers))]
        shown = {
            f"{place.split}/{table.name}": trackio.Table(
                dataframe=DataFrame(table.rows, columns=table.columns)
            )
            for table in tables
        }
        trackio.init(project=place.project, name=place.run_name, resume="allow", embed=False)
        try:
            trackio.log({**numbers, **shown})
        finally:
            trackio.finish()


TRACKERS: Mapping[str, type[Tracker]] = {"tensorboard": TensorBoard, "trackio": Trackio}


def log_to(
    report_to: Sequence[str],
    folder: Path,
    record: Any,
    rows: Sequence[Row],
    *,
    split: str = "validation",
    labels: Sequence[str] | None = None,
    run_name: str = "hfpipe",
    project: str = "huggingface",
    step: int = 0,
) -> None:
    """Log one evaluation with every tracker named that can show one, W&B aside.

    Args:
        report_to: As :func:`hfpipe.training.reporting.trackers_of` gives them. With a tracker that
            has no class here the Trainer's curves are all there is.
        folder: The run folder.
        record: The evaluation record, or its dict.
        rows: Of ``predictions.jsonl``.
        split: What the names begin with.
        labels: The classes, in order; by default those of the record.
        run_name: As the Trainer told it to the tracker.
        project: As ``training.project`` says; the default is that of transformers.
        step: The last optimizer step.
    """
    found = dict(record) if isinstance(record, Mapping) else record.to_dict()
    answers = answers_of(found, rows, labels)
    place = Place(folder, run_name, project, split, step)
    for name in report_to:
        if name in TRACKERS:
            TRACKERS[name]().log(place, answers)


def _points(plot: Any) -> Table:
    """A plot's points as a table."""
    if isinstance(plot, Matrix):
        return _confusion(plot)
    if isinstance(plot, Histogram):
        return Table(plot.name, [plot.axis], [[value] for value in plot.values])
    if isinstance(plot, (Lines, Dots)):
        return Table(plot.name, list(plot.axes), [list(point) for point in plot.points])
    raise TypeError(type(plot))


def _confusion(plot: Matrix) -> Table:
    rows = [[name, *counts] for name, counts in zip(plot.labels, plot.counts.tolist(), strict=True)]
    return Table(plot.name, ["true \\ predicted", *plot.labels], rows)


def _markdown(table: Table) -> str:
    r"""A table in Markdown; what a cell has of Markdown or HTML is shown as it is.

    >>> _markdown(Table("a", ["x"], [["<b>|"], [0.5], [None]]))
    '| x |\n|---|\n| &lt;b&gt;&#124; |\n| 0.5 |\n|  |'
    """
    lines = [
        [_cell(name) for name in table.columns],
        None,
        *(map(_cell, row) for row in table.rows),
    ]
    dashes = f"|{'---|' * len(table.columns)}"
    return "\n".join(dashes if line is None else f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    import html

    if value is None or isinstance(value, bytes):
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
    return html.escape(text, quote=False).replace("|", "&#124;")
