"""Files of rows read twice: once for what they hold, then block by block in one schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from hfpipe.errors import RunError, UserError
from hfpipe.rows.agreeing import agreed_schema, cast_table
from hfpipe.rows.reading import read_chunks
from hfpipe.rows.sources import Source

SEPARATED = ("csv", "tsv")


def _still(size: int) -> None:
    """No progress is shown."""


@dataclass(frozen=True)
class Survey:
    """What some files hold, known before the first of their rows is used.

    Attributes:
        sources: The files, in order.
        schema: What the rows of all of them can be cast to: the types do not depend on the blocks.
        rows: How many there are.
        hashes: The SHA-256 of each file.
        texts: See ``survey``.
        cells: See ``survey``.
        block_rows: See ``survey``.
    """

    sources: Sequence[Source]
    schema: pa.Schema
    rows: int
    hashes: Sequence[str | None]
    texts: Sequence[str]
    cells: Sequence[str]
    block_rows: int

    @property
    def name(self) -> str:
        """What to call the rows in a message: the file, or how many there are."""
        more = f" and {len(self.sources) - 1} more" if len(self.sources) > 1 else ""
        return f"{self.sources[0].name}{more}"


@dataclass(frozen=True)
class Block:
    """Some rows of one file.

    Attributes:
        source: The file.
        start: The number of the first row, counted from 0 over all files.
        table: The rows, with the columns that were asked for.
    """

    source: Source
    start: int
    table: pa.Table


def survey(
    sources: Sequence[Source],
    texts: Sequence[str] = (),
    cells: Sequence[str] = (),
    *,
    block_rows: int = 5_000,
    advance: Callable[[int], None] = _still,
) -> Survey:
    """Read files once: every row must be one, and then all types are known.

    Args:
        sources: As ``paths.find_inputs`` gives them.
        texts: Columns that hold one value a row; in CSV and TSV they stay as they are written.
        cells: Further columns that stay as they are written in CSV and TSV.
        block_rows: At most so many rows are in memory at a time.
        advance: Told how many bytes have been read.

    Raises:
        UserError: A file cannot be read, a line of it is no row, or there is no row at all.
        RunError: The disk or the network failed.
    """
    rows, hashes = 0, []

    def schemas() -> Iterator[pa.Schema]:
        nonlocal rows
        for source in sources:
            kept = _kept(source, texts, cells)
            for chunk in read_chunks(source, kept, chunk_rows=block_rows, advance=advance):
                if chunk.bad:
                    raise UserError(f"{chunk.bad[0]}: mend or remove it")
                rows += chunk.table.num_rows
                yield chunk.table.schema
            hashes.append(source.sha256)

    schema = agreed_schema(schemas())
    found = Survey(sources, schema, rows, hashes, texts, cells, block_rows)
    if not rows:
        raise UserError(f"{found.name}: no rows: give a file with at least one")
    return found


def blocks(found: Survey, columns: Sequence[str]) -> Iterator[Block]:
    """Read the files of a survey again, block by block, in the schema that all agree on.

    Args:
        found: The survey.
        columns: Those to keep, at least one; each is in the survey's schema.

    Raises:
        RunError: A file is no longer what it was.
    """
    schema = pa.schema([found.schema.field(name) for name in columns])
    start = 0
    for source, before in zip(found.sources, found.hashes, strict=True):
        kept = _kept(source, found.texts, found.cells)
        for chunk in read_chunks(source, kept, chunk_rows=found.block_rows):
            there = [name for name in columns if name in chunk.table.column_names]
            rows = chunk.table.num_rows
            if rows:
                yield Block(source, start, _cast(chunk.table.select(there), schema, rows))
            start += rows
        if source.sha256 != before:
            raise RunError(f"{source.name} was changed while it was read: run the same again")
    if start != found.rows:
        raise RunError(f"{found.name}: {found.rows:,} rows, then {start:,}: run the same again")


def _cast(table: pa.Table, schema: pa.Schema, rows: int) -> pa.Table:
    if table.num_columns:
        return cast_table(table, schema)
    # Without a column a table does not say how many rows it has.
    return pa.table([pa.nulls(rows, field.type) for field in schema], schema=schema)


def _kept(source: Source, texts: Sequence[str], cells: Sequence[str]) -> list[str]:
    return [*texts, *cells] if source.kind in SEPARATED else list(texts)
