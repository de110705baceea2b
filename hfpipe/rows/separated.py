"""CSV and TSV: a header line, then one record a row."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa

from hfpipe.errors import UserError
from hfpipe.rows.columns import inferred_column
from hfpipe.rows.identity import raw_digest, row_digest
from hfpipe.rows.paths import open_bytes
from hfpipe.rows.records import BadRow, FileRows

if TYPE_CHECKING:
    from _csv import Reader as _Reader

# Cells may be long texts; the module's own limit is 128 KiB.
csv.field_size_limit(2**30)


def read_separated(
    path: Path, separator: str, texts: Sequence[str], advance: Callable[[int], None]
) -> FileRows:
    """Read a CSV or TSV file.

    Args:
        path: The file.
        separator: What stands between cells.
        texts: Columns whose cells stay as they are; in the others numbers become numbers.
        advance: Told how many bytes have been read.

    Returns:
        Its rows and bad records. An empty cell is a missing value.

    Raises:
        UserError: No header, two columns of one name, or a quote that is never closed.
    """
    with open_bytes(path) as file:
        reader = csv.reader(_lines(file, advance), delimiter=separator, strict=True)
        header = _header(path, reader)
        records, bad = _records(path, reader, len(header))
    cells = list(zip(*records, strict=True)) if records else [()] * len(header)
    columns = {
        name: pa.chunked_array([pa.array(values, pa.string())])
        if name in texts
        else inferred_column(values)
        for name, values in zip(header, cells, strict=True)
    }
    digests = [row_digest(dict(zip(header, record, strict=True))) for record in records]
    return FileRows(str(path), pa.table(columns), digests, bad)


def _lines(file: BinaryIO, advance: Callable[[int], None]) -> Iterator[str]:
    for number, raw in enumerate(file):
        advance(len(raw))
        # What is not UTF-8 must not stop the reader: its record is found by its surrogates.
        yield raw.decode("utf-8-sig" if number == 0 else "utf-8", errors="surrogateescape")


def _header(path: Path, reader: _Reader) -> list[str]:
    try:
        header: list[str] = next(reader, [])
    except csv.Error as error:
        raise UserError(f"{path}: the header line is not readable ({error})") from error
    if not any(header):
        raise UserError(f"{path}: no header line: the first line must name the columns")
    if any(_undecodable(name) for name in header):
        raise UserError(f"{path}: the header line is not UTF-8: convert the file to UTF-8")
    names = [name or f"unnamed_{place}" for place, name in enumerate(header, start=1)]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise UserError(
                f"{path}: column '{name}' stands twice in the header "
                f"(columns {names.index(name) + 1} and {place + 1}): rename one"
            )
    return names


def _records(
    path: Path, reader: _Reader, width: int
) -> tuple[list[list[str | None]], list[BadRow]]:
    records: list[list[str | None]] = []
    bad: list[BadRow] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return records, bad
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise UserError(
                    f"{path}: line {line}: a quoted cell is never closed: close or double its quote"
                ) from error
            bad.append(BadRow(str(path), line, str(error), raw_digest(str(line).encode())))
            continue
        if not cells:  # a blank line
            continue
        reason = _defect(cells, width)
        if reason:
            said = "\x1f".join(cells).encode("utf-8", errors="surrogateescape")
            bad.append(BadRow(str(path), line, reason, raw_digest(said)))
        else:
            records.append([cell if cell else None for cell in cells])


def _defect(cells: list[str], width: int) -> str | None:
    if len(cells) != width:
        return f"{len(cells)} cell{'s'[: len(cells) - 1]} where the header has {width}"
    for place, cell in enumerate(cells, start=1):
        if _undecodable(cell):
            return f"not UTF-8 in column {place}"
    return None


def _undecodable(cell: str) -> bool:
    return not cell.isascii() and any("\udc80" <= char <= "\udcff" for char in cell)
