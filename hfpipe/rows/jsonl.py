"""JSON lines: one object a line."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import chain
from typing import Any

import orjson

from hfpipe.errors import UserError
from hfpipe.rows.columns import arrow_table
from hfpipe.rows.identity import canonical, raw_digest
from hfpipe.rows.lines import line_blocks
from hfpipe.rows.records import FileRows, Reading
from hfpipe.rows.values import is_scalar

_BOM = b"\xef\xbb\xbf"
_NESTED = {list, dict}
MOST_COLUMNS = 10_000
_MOST_CELLS = 5_000_000


class Rows:
    """Rows that wait for their chunk: values, hashes and line numbers."""

    def __init__(self) -> None:
        self.values: list[dict[str, Any]] = []
        self.digests: list[str] = []
        self.lines: list[int] = []

    def __len__(self) -> int:
        return len(self.values)

    def add(self, values: dict[str, Any], digest: str, line: int) -> None:
        """Take one more."""
        self.values.append(values)
        self.digests.append(digest)
        self.lines.append(line)


def jsonl_chunks(stream: io.BufferedReader, reading: Reading) -> Iterator[FileRows]:
    """Read a JSONL file chunk by chunk. Blank lines are neither rows nor bad rows.

    Args:
        stream: The file, unzipped.
        reading: What to look for; takes the bad lines.

    Yields:
        Chunks, at least one.

    Raises:
        UserError: There are more than 10,000 columns.
    """
    columns: dict[str, None] = {}
    number, size, some = 1, 0, False
    rows = Rows()
    for lines, long_line in line_blocks(stream, reading.largest_row, reading.chunk_rows):
        _parse(lines, number, rows, reading)
        number += len(lines)
        size += sum(map(len, lines))
        if long_line:
            reading.bad.add(number, long_line.reason, long_line.digest)
            number += 1
        held = len(rows) + len(reading.bad.digests)
        if held >= reading.chunk_rows or size >= reading.chunk_bytes:
            yield from row_chunks(rows, reading, columns)
            rows, size, some = Rows(), 0, True
    if len(rows) or reading.bad.digests or not some:
        yield from row_chunks(rows, reading, columns)


def row_chunks(rows: Rows, reading: Reading, columns: dict[str, None]) -> Iterator[FileRows]:
    """Rows as tables: mostly one; several where each row has columns of its own.

    Args:
        rows: Parsed rows.
        reading: How the file is read; takes rows whose text is a list.
        columns: All columns of the file so far; gets the new ones.

    Raises:
        UserError: There are more than 10,000 columns.
    """
    _refuse_nested(rows, reading)
    names = dict.fromkeys(chain.from_iterable(rows.values))
    columns |= names
    if len(columns) > MOST_COLUMNS:
        raise UserError(
            f"{reading.file}: more than {MOST_COLUMNS:,} columns: are the keys ids? Write one row "
            "for each, with the id as a value"
        )
    step = max(1, _MOST_CELLS // max(1, len(names)))
    for start in range(0, max(1, len(rows)), step):
        values = rows.values[start : start + step]
        if step < len(rows):
            names = dict.fromkeys(chain.from_iterable(values))
        table = arrow_table({name: [row.get(name) for row in values] for name in names})
        yield reading.chunk(table, rows.digests[start : start + step])


def _parse(lines: Sequence[bytes], first: int, rows: Rows, reading: Reading) -> None:
    """Parse lines: with orjson where that gives what the standard library would."""
    loads, dumps, sort, hashed = orjson.loads, orjson.dumps, orjson.OPT_SORT_KEYS, blake2b
    keep, digest, place = rows.values.append, rows.digests.append, rows.lines.append
    for number, line in enumerate(lines, first):
        try:
            row = loads(line)
            said = dumps(row, None, sort)
        except (ValueError, TypeError):
            _parse_slowly(line, number, rows, reading)
            continue
        # Integers beyond 64 bits became floats; a float as large as that has an exponent. Nulls
        # are left out of what is hashed.
        if type(row) is not dict or not row or b":null" in said or b"e+" in said:
            _parse_slowly(line, number, rows, reading)
            continue
        keep(row)
        digest(hashed(said, digest_size=10).hexdigest())
        place(number)


def _parse_slowly(line: bytes, number: int, rows: Rows, reading: Reading) -> None:
    """Parse a line that is blank, no row, or that orjson alone will not do for."""
    line = line.strip().removeprefix(_BOM)
    if not line:
        return
    try:
        row = _parsed(line)
        said = canonical(row)
        if b"e+" in said:
            row = parse_line(line, ())
            said = canonical(row)
        rows.add(row, raw_digest(said), number)
    except (ValueError, RecursionError) as error:
        reading.bad.add(number, reason_of(error), raw_digest(line))


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except ValueError:
        return parse_line(line, ())
    return row if row and isinstance(row, dict) else parse_line(line, ())


def _refuse_nested(rows: Rows, reading: Reading) -> None:
    """Make bad rows of those where a text, label or id is a list or an object."""
    for name in reading.texts:
        simple = "." not in name
        kinds = {type(row.get(name) if simple else value_at(row, name)) for row in rows.values}
        if not kinds & _NESTED:
            continue
        kept = Rows()
        for row, digest, line in zip(rows.values, rows.digests, rows.lines, strict=True):
            value = value_at(row, name)
            if is_scalar(value):
                kept.add(row, digest, line)
            else:
                reason = f"'{name}' holds a {_json_kind(value)}, not a text"
                reading.bad.add(
                    line, reason if line else f"sample '{row['key']}': {reason}", digest
                )
        rows.values, rows.digests, rows.lines = kept.values, kept.digests, kept.lines


def value_at(row: dict[str, Any], path: str) -> Any:
    """A value by its key, or by the path to it; None where there is none.

    >>> value_at({"a": {"b": 1}}, "a.b"), value_at({"a.b": 2}, "a.b"), value_at({"a": 3}, "a.b")
    (1, 2, None)
    """
    if path in row or "." not in path:
        return row.get(path)
    value: Any = row
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def parse_line(line: bytes, scalars: Sequence[str]) -> dict[str, Any]:
    """Parse one line.

    Raises:
        ValueError: It is not UTF-8, not JSON, not an object, or a scalar column holds no scalar.

    >>> parse_line(b'{"a": NaN}', [])
    {'a': None}
    >>> parse_line(b"[1]", [])
    Traceback (most recent call last):
    ...
    ValueError: a list, not an object
    """
    if b"\0" in line:
        raise ValueError(f"a NUL byte at byte {line.index(0) + 1}: is it UTF-16, or binary?")
    row = json.loads(line.decode("utf-8"), parse_constant=_constant, parse_float=_float)
    if not isinstance(row, dict):
        raise ValueError(f"a {_json_kind(row)}, not an object")
    if not row:
        raise ValueError("an empty object")
    for name in scalars:
        if not is_scalar(row.get(name)):
            raise ValueError(f"'{name}' holds a {_json_kind(row[name])}, not a text")
    if b"\\ud" in line or b"\\uD" in line:
        _refuse_lone_surrogates(row)
    return row


def _refuse_lone_surrogates(row: dict[str, Any]) -> None:
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("half a surrogate pair, which is no character") from error


def _constant(name: str) -> None:
    """NaN is how some writers say "missing"; infinities say nothing that JSON can hold."""
    if name != "NaN":
        raise ValueError(f"{name} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:20]} is beyond what a float holds")
    return value


def _json_kind(value: Any) -> str:
    kinds = {dict: "object", list: "list", str: "text", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")


def reason_of(error: Exception) -> str:
    """What is wrong with a line, in words."""
    if isinstance(error, json.JSONDecodeError):
        if error.doc.strip() == "[":
            return "not JSON lines but one JSON list: write one object a line (jq -c '.[]')"
        return f"not JSON: {error.msg} at column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte 0x{error.object[error.start]:02x} at byte {error.start + 1}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)
