"""Read all inputs into one corpus: a table, the texts, the labels and the row ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_prep.options import PrepareOptions
from hfpipe.errors import UserError, nearest
from hfpipe.hub.provenance import sha256
from hfpipe.rows.columns import stack, text_column
from hfpipe.rows.identity import ROW_ID, check_ids, number_repeats
from hfpipe.rows.paths import find_inputs
from hfpipe.rows.reading import read_file
from hfpipe.rows.records import BadRow, FileRows
from hfpipe.rows.values import whole_numbers


@dataclass
class Corpus:
    """All rows.

    Attributes:
        table: ``row_id``, then the user's columns; text, label and id columns are strings.
        row_ids: One id a row.
        texts: The text columns of a row, joined by line breaks.
        labels: Labels as text; None where there is none.
        given: The split that each row names; None without ``--split-column``.
        text_names: The text columns.
        bad: Lines that are not rows.
        bad_ids: Their ids.
        inputs: File name, hash and number of rows of each input.
    """

    table: pa.Table
    row_ids: list[str]
    texts: list[str]
    labels: list[str | None]
    given: list[str | None] | None
    text_names: list[str]
    bad: list[BadRow]
    bad_ids: list[str]
    inputs: list[dict[str, Any]]


def read_corpus(
    inputs: Sequence[str | Path],
    options: PrepareOptions,
    advance: Callable[[int], None] = lambda size: None,
) -> Corpus:
    """Read every input.

    Args:
        inputs: Files.
        options: Which columns are text, label, id and split; how many bad lines may be dropped.
        advance: Told how many bytes have been read.

    Raises:
        UserError: A file is missing or damaged, has too many bad lines or lacks a column; two
            rows have one id; there are no rows.
    """
    paths = find_inputs(inputs)
    scalars = _scalar_names(options)
    files = [_read(path, scalars, advance) for path in paths]
    bad = [row for file in files for row in file.bad]
    _limit_bad_rows(files, bad, options.max_bad_rows)
    files_with_rows = [file for file in files if file.table.num_rows]
    if not files_with_rows:
        named = ", ".join(str(path) for path in paths)
        raise UserError(f"no rows in {named}: give a file with at least one row a class and split")
    text_names = _columns_named(files_with_rows, options.text)
    id_column = options.id_column
    if id_column is None and all(ROW_ID in file.table.column_names for file in files_with_rows):
        id_column = ROW_ID  # made by an earlier run
    _check_row_id(files_with_rows, id_column)
    row_ids = _row_ids(files_with_rows, id_column)
    given = _strings(files_with_rows, options.split_column, "--split-column")
    table = stack([_with_strings(file, text_names, options.label) for file in files_with_rows])
    table = _row_id_first(table, row_ids)
    return Corpus(
        table=table,
        row_ids=row_ids,
        texts=_joined(table, text_names),
        labels=table.column(options.label).to_pylist(),
        given=given,
        text_names=text_names,
        bad=bad,
        bad_ids=number_repeats([f"bad-{row.digest}" for row in bad]),
        inputs=[
            {
                "file": path.name,
                "sha256": sha256(path),
                "rows": file.table.num_rows + len(file.bad),
            }
            for path, file in zip(paths, files, strict=True)
        ],
    )


def _scalar_names(options: PrepareOptions) -> list[str]:
    more = (options.label, options.id_column, options.split_column)
    return [*options.text, *(name for name in more if name)]


def _read(path: Path, scalars: Sequence[str], advance: Callable[[int], None]) -> FileRows:
    texts = [*scalars, *(part for name in scalars for part in name.split(","))]
    return read_file(path, texts, advance)


def _limit_bad_rows(files: Sequence[FileRows], bad: Sequence[BadRow], limit: float) -> None:
    rows = len(bad) + sum(file.table.num_rows for file in files)
    if bad and len(bad) > limit * rows:
        first = bad[0]
        raise UserError(
            f"{first.file}: line {first.line}: {first.reason}; {len(bad)} of {rows} rows are "
            f"malformed, more than --max-bad-rows {limit:g}: mend them, or allow a larger share"
        )


def _columns_named(files: Sequence[FileRows], wanted: Sequence[str]) -> list[str]:
    """Names as given, or, where no column is called that, split at their commas."""
    known = {name for file in files for name in file.table.column_names}
    names: list[str] = []
    for name in wanted:
        names += [name] if name in known else [part.strip() for part in name.split(",")]
    return list(dict.fromkeys(name for name in names if name))


def _with_strings(file: FileRows, text_names: Sequence[str], label: str | None) -> pa.Table:
    """A file's table with its text and label columns as strings."""
    table = file.table
    for name in [*text_names, *([label] if label else [])]:
        flag = "--label" if name == label else "--text"
        values = _file_strings(file, name, flag, whole=name == label)
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values, pa.string()))
    return table


def _strings(files: Sequence[FileRows], name: str | None, flag: str) -> list[str | None] | None:
    if name is None:
        return None
    return [value for file in files for value in _file_strings(file, name, flag, whole=True)]


def _file_strings(file: FileRows, name: str, flag: str, *, whole: bool) -> list[str | None]:
    names = file.table.column_names
    if name not in names:
        raise UserError(f"{file.file}: no column '{name}' ({flag}){nearest(name, names)}")
    values = text_column(file.table, name, file.file)
    return whole_numbers(values) if whole else values


def _row_ids(files: Sequence[FileRows], id_column: str | None) -> list[str]:
    ids = _strings(files, id_column, "--id-column")
    if ids is not None and id_column is not None:
        return check_ids(ids, id_column)
    return number_repeats([digest for file in files for digest in file.digests])


def _check_row_id(files: Sequence[FileRows], id_column: str | None) -> None:
    """Refuse to write our ids over a column of the user's."""
    for file in files:
        if id_column != ROW_ID and ROW_ID in file.table.column_names:
            raise UserError(
                f"{file.file}: has a column '{ROW_ID}', which hfpipe would replace: give it in "
                f"every input (or --id-column {ROW_ID}), or rename it"
            )


def _row_id_first(table: pa.Table, row_ids: list[str]) -> pa.Table:
    if ROW_ID in table.column_names:
        table = table.drop_columns([ROW_ID])
    return table.add_column(0, ROW_ID, pa.array(row_ids, pa.string()))


def _joined(table: pa.Table, names: Sequence[str]) -> list[str]:
    columns = [table.column(name).to_pylist() for name in names]
    return ["\n".join(part for part in parts if part) for parts in zip(*columns, strict=True)]
