"""Predict: a pushed model's answers to the rows of files, as one file of flat columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.errors import RunError, UserError, nearest
from hfpipe.hub.endpoint import Endpoint
from hfpipe.rows.identity import ROW_ID

if TYPE_CHECKING:
    from hfpipe.evaluation.decisions import Decision
    from hfpipe.evaluation.flat import Layout
    from hfpipe.loading import LoadedModel
    from hfpipe.rows.streaming import Block, Survey

BLOCK_ROWS = 5_000
MOST_SCORES = 1_000_000
"""A block has fewer rows where each has many labels."""


@dataclass(frozen=True)
class PredictOptions:
    """What is written, and how the rows are read.

    Attributes:
        columns: Output and input columns in the order of the file, each maybe as ``new=old``; by
            default ``id`` and what the model said.
        text: Columns of the one text input; by default those of training.
        id_column: The input column that names a row; by default ``row_id``, else ``id``, else rows
            are counted from 0.
        batch_size: Rows a batch; by default the recipe's.
        top: Columns for so many of the best labels, instead of one for each label.
        block_rows: So many rows are in memory at a time; by default what suits the labels.
        quiet: No progress bars.
    """

    columns: Sequence[str] = ()
    text: Sequence[str] = ()
    id_column: str | None = None
    batch_size: int | None = None
    top: int | None = None
    block_rows: int | None = None
    quiet: bool = False


@dataclass(frozen=True)
class Predicted:
    """What a prediction left.

    Attributes:
        output: The file.
        rows: Rows in it: as many as were read; of a profile, one a group.
        read: Rows read.
        columns: Those of the file, in order.
        model: The model's repo id.
        revision: Its commit.
        decision: How scores were calibrated and decisions made.
        notes: What the user should know.
    """

    output: str
    rows: int
    read: int
    columns: list[str]
    model: str
    revision: str
    decision: Decision
    notes: list[str] = field(default_factory=list)


def predict(
    model: str,
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    endpoint: Endpoint,
    options: PredictOptions | None = None,
) -> Predicted:
    """Ask a pushed model about every row of some files, and write what it says.

    The files are read twice: first to the end, so that a broken line is found and the types of all
    columns are known before the model is asked; then block by block, in memory that does not grow
    with their size. A ``profile`` judges a group by all of its rows, wherever they lie: of those,
    the columns that it reads are all held at once.

    Args:
        model: ``NAMESPACE/NAME[@REVISION]``.
        inputs: Files, folders, globs or addresses, as ``hfpipe prepare`` takes them.
        output: See ``hfpipe.rows.writing.check_output``; replaced, whole, at the end.
        endpoint: The Hub.
        options: What is written.

    Raises:
        UserError: No such model, file or column, or a row that the model cannot take; then nothing
            is written.
        RunError: The disk, the network or the model failed.
    """
    from hfpipe.inputs.encoding import unseen_notes
    from hfpipe.inputs.given import refuse_words
    from hfpipe.loading import load_pushed
    from hfpipe.rows.paths import find_inputs
    from hfpipe.rows.progress import progress_bar, total_bytes
    from hfpipe.rows.streaming import blocks, survey
    from hfpipe.rows.writing import check_apart, check_output, rows_written

    chosen = options or PredictOptions()
    kind = check_output(output)
    sources = find_inputs([inputs] if isinstance(inputs, str | Path) else inputs, endpoint)
    check_apart(output, sources)
    asked = _Asked.of(load_pushed(endpoint, model), chosen)
    with progress_bar("Reading", total_bytes(sources), chosen.quiet, in_bytes=True) as advance:
        found = survey(
            sources, asked.texts, asked.cells(kind), block_rows=asked.block_rows, advance=advance
        )
    id_column, layout = asked.layout(found)
    refuse_words(found, asked.loaded.processor, id_column)
    needed = [*asked.columns, *layout.taken.values(), *([id_column] if id_column else [])]
    written, unseen = 0, dict[str, int]()
    with (
        rows_written(output, layout.schema) as write,
        progress_bar("Predicting", found.rows, chosen.quiet) as done,
    ):
        for block in asked.whole(blocks(found, list(dict.fromkeys(needed))), found):
            said = asked.answers(block, id_column, unseen)
            write(layout.table(block.table, said))
            written += len(said)
            done(block.table.num_rows)
    return Predicted(
        str(output),
        written,
        found.rows,
        layout.schema.names,
        asked.loaded.repo_id,
        asked.loaded.revision,
        asked.decision,
        unseen_notes(unseen, found.rows),
    )


@dataclass(frozen=True)
class _Asked:
    """A model, and how it is asked."""

    loaded: LoadedModel
    options: PredictOptions

    @classmethod
    def of(cls, loaded: LoadedModel, options: PredictOptions) -> _Asked:
        from hfpipe.trials import with_text_columns

        processor = with_text_columns(loaded.processor, options.text)
        if not processor.columns:
            raise UserError(
                f"model repo '{loaded.repo_id}' was not made by hfpipe, so it does not say which "
                "column holds the text: give --text COLUMN"
            )
        return cls(replace(loaded, processor=processor), options)

    @property
    def group_by(self) -> str | None:
        """Of a profile, the column that says whose a row is."""
        profile = self.loaded.story.get("profile")
        return str(profile["group_by"]) if profile else None

    @property
    def decision(self) -> Decision:
        """What was fitted on validation; of a profile, what decides about a group."""
        from hfpipe.evaluation.decisions import Decision

        profile = self.loaded.story.get("profile")
        if profile is None:
            return Decision.of(self.loaded.story)
        threshold = profile["decisions"].get(profile["aggregation"])
        return Decision(threshold, None if threshold is None else "f1")

    @property
    def columns(self) -> list[str]:
        """What the model reads."""
        return [*self.loaded.processor.columns, *([self.group_by] if self.group_by else [])]

    @property
    def texts(self) -> list[str]:
        """Columns that must hold one value a row."""
        from hfpipe.inputs.given import flat_columns

        named = [each for each in (self.group_by, self.options.id_column, ROW_ID) if each]
        return [*flat_columns(self.loaded.processor), *named]

    def cells(self, kind: str) -> list[str]:
        """Columns of CSV that stay as they are written: ids, and what goes to CSV again."""
        from hfpipe.evaluation.flat import ID, OF_INPUT
        from hfpipe.rows.streaming import SEPARATED

        names = [part for each in self.options.columns for part in (each, each.partition("=")[2])]
        names += [name.removeprefix(OF_INPUT) for name in names]
        return [ID, *(names if kind in SEPARATED else [])]

    @property
    def block_rows(self) -> int:
        labels = max(1, len(self.loaded.processor.labels))
        return self.options.block_rows or max(100, min(BLOCK_ROWS, MOST_SCORES // labels))

    def layout(self, found: Survey) -> tuple[str | None, Layout]:
        """What names a row, and the columns of the file.

        Raises:
            UserError: A column is missing.
        """
        from hfpipe.evaluation.flat import COUNTED, ID, Layout, answers_of, of_groups

        given, id_column = found.schema, self.options.id_column
        for column in [*self.columns, *([id_column] if id_column else [])]:
            if column not in given.names:
                near = nearest(column, given.names)
                raise UserError(f"{found.name} has no column '{column}'{near}")
        calibrated = self.decision.calibrated
        answers = answers_of(self.loaded.task, self.options.top, calibrated=calibrated)
        if self.group_by is not None:
            if id_column not in (None, self.group_by):
                raise UserError(
                    f"--id-column {id_column}: the model judges groups of rows, and what names one "
                    f"is '{self.group_by}'"
                )
            answers = of_groups(answers, self.group_by)
            return None, Layout.of(answers, chosen=self.options.columns)
        named = [name for name in (id_column, ROW_ID, ID) if name in given.names]
        if not named:
            answers = {ID: COUNTED, **answers}
        id_column = named[0] if named else None
        return id_column, Layout.of(answers, given, id_column, self.options.columns)

    def whole(self, blocks: Iterator[Block], found: Survey) -> Iterator[Block]:
        """The blocks; of a profile all rows in one, since a group's may lie anywhere."""
        import pyarrow as pa

        from hfpipe.rows.streaming import Block

        if self.group_by is None:
            yield from blocks
            return
        source = replace(found.sources[0], name=found.name)
        yield Block(source, 0, pa.concat_tables([block.table for block in blocks]))

    def answers(
        self, block: Block, id_column: str | None, unseen: dict[str, int]
    ) -> list[dict[str, Any]]:
        """What the model says of a block's rows, in their order.

        Args:
            block: The rows.
            id_column: What names them.
            unseen: Column → rows with a category that train did not have; is added to.
        """
        from datasets import Dataset

        from hfpipe.inputs.encoding import unseen_categories
        from hfpipe.inputs.given import (
            errors_of,
            no_leftovers,
            row_names,
            with_known_categories,
            with_names,
        )
        from hfpipe.rows.streaming import SEPARATED

        processor, place, table = self.loaded.processor, block.source.name, block.table
        names = row_names(table, id_column, block.start)
        if block.source.kind in SEPARATED:
            table = with_known_categories(table, processor)
        rows = Dataset(with_names(table.select(self.columns), names))
        with errors_of(place), no_leftovers():
            said = self.loaded.predict(rows, self._batch_size)
            for column, count in unseen_categories(processor, rows, "rows").items():
                unseen[column] = unseen.get(column, 0) + count
        if self.group_by is None and [row[ROW_ID] for row in said] != names:
            raise RunError(
                f"{place}: {len(names)} rows from row '{names[0]}' on, and {len(said)} answers to "
                "others: this is a fault of hfpipe"
            )
        return said

    @property
    def _batch_size(self) -> int:
        asked = self.loaded.story.get("config", {}).get("evaluation", {})
        return self.options.batch_size or asked.get("batch_size") or 64
