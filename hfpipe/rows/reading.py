"""Read one file of rows, whatever its format: chunk by chunk, or whole."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from hfpipe.errors import UserError
from hfpipe.rows.columnar import parquet_chunks
from hfpipe.rows.columns import stack
from hfpipe.rows.identity import ROW_ID, number_repeats
from hfpipe.rows.jsonl import jsonl_chunks
from hfpipe.rows.records import (
    CHUNK_ROWS,
    SHOWN_BAD_ROWS,
    BadRows,
    FileRows,
    Reading,
    one_line_errors,
)
from hfpipe.rows.separated import separated_chunks
from hfpipe.rows.sources import Source, Tally, kind_of, open_raw, opened, reading_errors
from hfpipe.rows.webdataset import webdataset_chunks

_READERS: dict[str, Callable[[io.BufferedReader, Reading], Iterator[FileRows]]] = {
    "jsonl": jsonl_chunks,
    "csv": partial(separated_chunks, ","),
    "tsv": partial(separated_chunks, "\t"),
    "webdataset": webdataset_chunks,
}
SPLIT = "split"


def _still(size: int) -> None:
    """No progress is shown."""


def read_chunks(
    source: Source,
    texts: Sequence[str] = (),
    *,
    chunk_rows: int = CHUNK_ROWS,
    advance: Callable[[int], None] = _still,
    shown: int | None = SHOWN_BAD_ROWS,
) -> Iterator[FileRows]:
    """Read a file of rows chunk by chunk; lines that are none are handed on as such.

    Memory is bounded by a chunk: ``chunk_rows`` rows or 32 MB of raw text, whichever is less, and
    at least one row. Chunks differ in their types and columns: ``columns.agreed_schema`` and
    ``columns.cast_table`` make them one table.

    Args:
        source: One of ``paths.find_inputs``. When the last chunk has been read, it has a
            ``sha256``.
        texts: Columns, or paths into nested ones, that hold texts, labels or ids: a JSON row where
            one holds a list or an object is a bad row; in CSV they stay as they are written.
        chunk_rows: Rows and bad rows in a chunk.
        advance: Told how many bytes have been read, as they lie there.
        shown: So many bad rows of the file are handed on in words; of the others only the hash.

    Yields:
        Chunks in the order of the rows, at least one.

    Raises:
        UserError: The file is missing, damaged, or another kind than its name says.
        RunError: The disk or the network failed.
    """
    reading = Reading(source.name, list(texts), BadRows(source.name, shown), chunk_rows)
    with one_line_errors():
        for chunk in _chunks(source, reading, advance):
            if source.split and SPLIT not in chunk.table.column_names:
                said = pa.array([source.split] * chunk.table.num_rows, pa.string())
                chunk.table = chunk.table.append_column(SPLIT, said)
            yield chunk


def _chunks(source: Source, reading: Reading, advance: Callable[[int], None]) -> Iterator[FileRows]:
    if source.kind == "parquet":
        with reading_errors(source):
            yield from parquet_chunks(source, reading)
            with open_raw(source) as raw:
                source.sha256 = Tally(raw, advance).finish()
        return
    with opened(source, advance) as stream:
        yield from _READERS[source.kind](stream, reading)


def read_file(
    path: str | Path | Source,
    texts: Sequence[str] = (),
    advance: Callable[[int], None] = _still,
) -> FileRows:
    """Read a file of rows whole; lines that are none are handed on as such.

    Args:
        path: A ``.jsonl``, ``.csv``, ``.tsv`` (each also ``.gz`` or ``.zst``) or ``.parquet`` file.
        texts: Columns whose values stay as they are written in CSV and TSV.
        advance: Told how many bytes have been read.

    Raises:
        UserError: The file is missing, damaged, or of another kind.
    """
    source = path if isinstance(path, Source) else _local(path)
    chunks = list(read_chunks(source, [*texts, ROW_ID], advance=advance, shown=None))
    return FileRows(
        source.name,
        stack([chunk.table for chunk in chunks]),
        [digest for chunk in chunks for digest in chunk.digests],
        [row for chunk in chunks for row in chunk.bad],
        [digest for chunk in chunks for digest in chunk.bad_digests],
    )


def _local(path: str | Path) -> Source:
    name = os.fspath(path)
    kind = kind_of(name)
    if kind is None:
        raise UserError(f"{name}: unknown kind of file; there is .jsonl, .csv, .tsv and .parquet")
    if not os.path.exists(name):
        raise UserError(f"{name} does not exist")
    return Source(name, kind, name, os.path.getsize(name))


def read_whole(path: str | Path, texts: Sequence[str] = ()) -> FileRows:
    """Read a file of rows in which every line must be one; rows get a ``row_id`` if they lack it.

    Args:
        path: See ``read_file``.
        texts: See ``read_file``.

    Raises:
        UserError: As ``read_file``, and for the first line that is not a row, or no row at all.
    """
    found = read_file(path, texts)
    if found.bad:
        raise UserError(f"{found.bad[0]}: mend or remove it")
    if not found.table.num_rows:
        raise UserError(f"{found.file}: no rows: give a file with at least one")
    if ROW_ID not in found.table.column_names:
        ids = pa.array(number_repeats(found.digests), pa.string())
        found.table = found.table.add_column(0, ROW_ID, ids)
    return found
