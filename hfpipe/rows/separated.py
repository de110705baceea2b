"""CSV and TSV: a header line, then one record a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from hfpipe.errors import UserError
from hfpipe.rows.columns import cell_table
from hfpipe.rows.identity import raw_digest, row_digest
from hfpipe.rows.lines import line_blocks
from hfpipe.rows.records import FileRows, Reading

if TYPE_CHECKING:
    from _csv import Reader as _Reader

# Cells may be long texts; the module's own limit is 128 KiB.
csv.field_size_limit(2**26)
_BOM = b"\xef\xbb\xbf"


class _Lines:
    """A file's lines as text, with what was seen in them.

    What is not UTF-8 must not stop the reader: its record is found by its surrogates.
    """

    def __init__(self, stream: io.BufferedReader, reading: Reading) -> None:
        self._blocks = line_blocks(stream, reading.largest_row, reading.chunk_rows)
        self._file = reading.file
        self.size = 0
        self.suspect = False
        self.text = chain.from_iterable(self._texts())

    def _texts(self) -> Iterator[io.StringIO]:
        first = True
        for lines, long_line in self._blocks:
            block = b"\n".join([*lines, b""])
            if first:
                block = block.removeprefix(_BOM)
                first = False
            self.size += len(block)
            try:
                text = block.decode("utf-8")
                self.suspect = self.suspect or b"\0" in block
            except UnicodeDecodeError:
                text = block.decode("utf-8", errors="surrogateescape")
                self.suspect = True
            yield io.StringIO(text, newline="\n")
            if long_line:
                raise UserError(f"{self._file}: {long_line.reason}: is a quote never closed?")


def separated_chunks(
    separator: str, stream: io.BufferedReader, reading: Reading
) -> Iterator[FileRows]:
    """Read a CSV or TSV file chunk by chunk. An empty cell is a missing value.

    Args:
        separator: What stands between cells.
        stream: The file, unzipped.
        reading: What to look for; takes the bad records. Cells of its ``texts`` stay as they are;
            in other columns numbers become numbers.

    Yields:
        Chunks, at least one. Their columns are strings, marked with what they could be.

    Raises:
        UserError: No header, two columns of one name, or a quote that is never closed.
    """
    lines = _Lines(stream, reading)
    reader = csv.reader(lines.text, delimiter=separator, strict=True)
    header = _header(reading.file, reader)
    some = False
    while True:
        records = _records(reader, lines, len(header), reading)
        ended = not records and not reading.bad.digests
        if ended and some:
            return
        cells = list(zip(*records, strict=True)) if records else [()] * len(header)
        table = cell_table(header, cells, reading.texts)
        digests = [row_digest(dict(zip(header, record, strict=True))) for record in records]
        yield reading.chunk(table, digests)
        some = True


def _header(file: str, reader: _Reader) -> list[str]:
    try:
        header: list[str] = next(reader, [])
    except csv.Error as error:
        raise UserError(f"{file}: the header line is not readable ({error})") from error
    if not any(header):
        raise UserError(f"{file}: no header line: the first line must name the columns")
    if any(_undecodable(name) or "\0" in name for name in header):
        raise UserError(f"{file}: the header line is not UTF-8 text: convert the file to UTF-8")
    names = [name or f"unnamed_{place}" for place, name in enumerate(header, start=1)]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise UserError(
                f"{file}: column '{name}' stands twice in the header "
                f"(columns {names.index(name) + 1} and {place + 1}): rename one"
            )
    return names


def _records(
    reader: _Reader, lines: _Lines, width: int, reading: Reading
) -> list[list[str | None]]:
    """The next chunk's records."""
    records: list[list[str | None]] = []
    full = lines.size + reading.chunk_bytes
    while len(records) + len(reading.bad.digests) < reading.chunk_rows and lines.size < full:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            _refuse_endless(error, line, reading)
            reading.bad.add(line, str(error), raw_digest(str(line).encode()))
            continue
        if len(cells) == width and not lines.suspect:
            records.append([cell or None for cell in cells])
        elif cells:  # else a blank line
            reason = _defect(cells, width)
            if reason is None:
                records.append([cell or None for cell in cells])
            else:
                said = "\x1f".join(cells).encode("utf-8", errors="surrogateescape")
                reading.bad.add(line, reason, raw_digest(said))
    return records


def _refuse_endless(error: csv.Error, line: int, reading: Reading) -> None:
    """Refuse a file in which a quoted cell has no end: what are rows behind it is not known."""
    if "unexpected end of data" in str(error):
        raise UserError(
            f"{reading.file}: line {line}: a quoted cell is never closed: close or double its quote"
        ) from error
    if "field larger" in str(error):
        raise UserError(
            f"{reading.file}: line {line}: a cell of more than {csv.field_size_limit():,} "
            "characters: is its quote never closed?"
        ) from error


def _defect(cells: list[str], width: int) -> str | None:
    if len(cells) != width:
        return f"{len(cells)} cell{'s'[: len(cells) - 1]} where the header has {width}"
    for place, cell in enumerate(cells, start=1):
        if _undecodable(cell):
            return f"not UTF-8 in column {place}"
        if "\0" in cell:
            return f"a NUL byte in column {place}"
    return None


def _undecodable(cell: str) -> bool:
    return not cell.isascii() and any("\udc80" <= char <= "\udcff" for char in cell)
