"""JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hfpipe.rows.columns import arrow_table
from hfpipe.rows.identity import raw_digest, row_digest
from hfpipe.rows.paths import open_bytes
from hfpipe.rows.records import BadRow, FileRows
from hfpipe.rows.values import is_scalar

_BOM = b"\xef\xbb\xbf"


def read_jsonl(path: Path, scalars: Sequence[str], advance: Callable[[int], None]) -> FileRows:
    """Read a JSONL file.

    Args:
        path: The file.
        scalars: Columns that must hold a text or a number: a row where one holds a list or an
            object is a bad row.
        advance: Told how many bytes have been read.

    Returns:
        Its rows and bad lines. Blank lines are neither.
    """
    rows: list[dict[str, Any]] = []
    bad: list[BadRow] = []
    with open_bytes(path) as file:
        for number, raw in enumerate(file, start=1):
            advance(len(raw))
            line = (raw.removeprefix(_BOM) if number == 1 else raw).strip()
            if not line:
                continue
            try:
                rows.append(parse_line(line, scalars))
            except (ValueError, RecursionError) as error:
                bad.append(BadRow(str(path), number, _reason(error), raw_digest(line)))
    names = list(dict.fromkeys(key for row in rows for key in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    return FileRows(str(path), arrow_table(columns), [row_digest(row) for row in rows], bad)


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
    row = json.loads(line.decode("utf-8"), parse_constant=_constant)
    if not isinstance(row, dict):
        raise ValueError(f"a {_json_kind(row)}, not an object")
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


def _json_kind(value: Any) -> str:
    kinds = {dict: "object", list: "list", str: "text", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte 0x{error.object[error.start]:02x} at byte {error.start + 1}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)
