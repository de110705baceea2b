"""Read one file of rows, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from hfpipe.errors import UserError
from hfpipe.rows.columnar import read_parquet
from hfpipe.rows.identity import ROW_ID, number_repeats
from hfpipe.rows.jsonl import read_jsonl
from hfpipe.rows.paths import kind_of
from hfpipe.rows.records import FileRows
from hfpipe.rows.separated import read_separated


def read_file(
    path: Path, texts: Sequence[str] = (), advance: Callable[[int], None] = lambda size: None
) -> FileRows:
    """Read a file of rows; lines that are none are handed on as such.

    Args:
        path: A ``.jsonl``, ``.csv``, ``.tsv`` (each also ``.gz``) or ``.parquet`` file.
        texts: Columns whose values stay as they are written in CSV and TSV.
        advance: Told how many bytes have been read.

    Raises:
        UserError: The file is missing, damaged, or of another kind.
    """
    kind = kind_of(path)
    if kind == "jsonl":
        return read_jsonl(path, texts, advance)
    if kind == "parquet":
        return read_parquet(path, advance)
    return read_separated(path, "\t" if kind == "tsv" else ",", [*texts, ROW_ID], advance)


def read_whole(path: Path, texts: Sequence[str] = ()) -> FileRows:
    """Read a file of rows in which every line must be one; rows get a ``row_id`` if they lack it.

    Args:
        path: See ``read_file``.
        texts: See ``read_file``.

    Raises:
        UserError: As ``read_file``, and for the first line that is not a row, or no row at all.
    """
    found = read_file(path, texts)
    if found.bad:
        first = found.bad[0]
        raise UserError(f"{first.file}: line {first.line}: {first.reason}: mend or remove it")
    if not found.table.num_rows:
        raise UserError(f"{found.file}: no rows: give a file with at least one")
    if ROW_ID not in found.table.column_names:
        ids = pa.array(number_repeats(found.digests), pa.string())
        found.table = found.table.add_column(0, ROW_ID, ids)
    return found
