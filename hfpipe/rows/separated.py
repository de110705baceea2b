"""CSV and TSV: a header line, then one record a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

from hfpipe.errors import UserError
from hfpipe.rows.columns import cell_table
from hfpipe.rows.identity import raw_digest, row_digests
from hfpipe.rows.lines import line_blocks
from hfpipe.rows.records import FileRows, Reading

if TYPE_CHECKING:
    from _csv import Reader as _Reader

# Cells may be long texts; the module's own limit is 128 KiB.
csv.field_size_limit(2**26)
_ROWS_AT_ONCE = 1_000
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
        cells = [_missing(cells) for cells in zip(*records, strict=True)] or [()] * len(header)
        table = cell_table(header, cells, reading.texts)
        yield reading.chunk(table, row_digests(_said(header, records)))
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


def _missing(cells: tuple[str, ...]) -> Sequence[str | None]:
    return [cell or None for cell in cells] if "" in cells else cells


def _said(header: list[str], records: list[list[str]]) -> Iterator[dict[str, str]]:
    """What the records say, without their empty cells."""
    for record in records:
        row = dict(zip(header, record))  # noqa: B905  (records are as long as the header)
        yield {name: cell for name, cell in row.items() if cell} if "" in record else row


def _records(reader: _Reader, lines: _Lines, width: int, reading: Reading) -> list[list[str]]:
    """The next chunk's records."""
    records: list[list[str]] = []
    full = lines.size + reading.chunk_bytes
    line = reader.line_num + 1
    while lines.size < full:
        room = reading.chunk_rows - len(records) - len(reading.bad.digests)
        before = line
        try:
            for cells in islice(reader, min(room, _ROWS_AT_ONCE)):
                if len(cells) == width and not lines.suspect:
                    records.append(cells)
                elif cells:  # else a blank line
                    _judge(cells, width, line, records, reading)
                line = reader.line_num + 1
            if line == before:  # the end of the chunk, or of the file
                break
        except csv.Error as error:
            _refuse_endless(error, line, reading)
            reading.bad.add(line, str(error), raw_digest(str(line).encode()))
            line = reader.line_num + 1
    return records


def _judge(
    cells: list[str], width: int, line: int, records: list[list[str]], reading: Reading
) -> None:
    reason = _defect(cells, width)
    if reason is None:
        records.append(cells)
    else:
        said = "\x1f".join(cells).encode("utf-8", errors="surrogateescape")
        reading.bad.add(line, reason, raw_digest(said))


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
