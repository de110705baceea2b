"""CSV files: cells that readers take for what they are, or none at all."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from hfpipe.errors import UserError
from hfpipe.rows.values import json_text, plain, text_of

#: Rows for which ``datasets`` guesses the types of a CSV file at a time.
WINDOW = 10_000
#: What readers take for a number or a boolean, where all cells of a window are one.
_GUESSED = re.compile(
    r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*|[+-]?inf(inity)?|true|false", re.IGNORECASE
)


def write_csv(tables: Iterable[pa.Table], path: Path) -> None:
    """Write a header and one record a row; lists and objects become JSON text.

    Raises:
        UserError: A column of text would be read as numbers, which have another text.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        # Before Python 3.13 a carriage return gets no quotes by itself, and readers end the row.
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        guards: list[_Guard | None] = []
        for number, table in enumerate(tables):
            if not number:
                writer.writerow(table.column_names)
                guards = [_guard(field) for field in table.schema]
            for row in table.to_pylist():
                cells = [_cell(value) for value in row.values()]
                (quoting if any("\r" in cell for cell in cells) else writer).writerow(cells)
                for guard, cell in zip(guards, cells, strict=True):
                    if guard is not None:
                        guard.see(cell)
        for guard in guards:
            if guard is not None:
                guard.check()


def _cell(value: Any) -> str:
    value = plain(value)
    return json_text(value) if isinstance(value, (list, dict)) else text_of(value) or ""


def _guard(field: pa.Field) -> _Guard | None:
    text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    return _Guard(field.name) if text else None


class _Guard:
    """Watches a column of text: what looks like numbers throughout is read as numbers.

    A card can say that the column is text, but that is heeded only when ``007`` has become 7.

    >>> guard = _Guard("code")
    >>> guard.see("007")
    >>> guard.check()
    Traceback (most recent call last):
    hfpipe.errors.UserError: --format csv: column 'code' holds text that readers of CSV take for numbers: '007' would become '7'; use --format parquet, or leave it out with --drop-columns
    """  # noqa: E501

    def __init__(self, name: str) -> None:
        self._name = name
        self._cells: list[str] = []
        self._seen = 0
        self._safe = False

    def see(self, cell: str) -> None:
        """Take the next cell."""
        self._seen += 1
        if not self._safe:
            self._safe = bool(cell) and _GUESSED.fullmatch(cell) is None
            self._cells.append(cell)
        if self._seen == WINDOW:
            self.check()

    def check(self) -> None:
        """Judge the cells since the last call.

        Raises:
            UserError: They would be read as something else.
        """
        cells, safe = self._cells, self._safe
        self._cells, self._seen, self._safe = [], 0, False
        if safe or not any(cells):
            return
        for cell, read in zip(cells, _as_read(cells), strict=True):
            if cell != read:
                raise UserError(
                    f"--format csv: column '{self._name}' holds text that readers of CSV take for "
                    f"numbers: '{cell}' would become '{read}'; use --format parquet, or leave it "
                    "out with --drop-columns"
                )


def _as_read(cells: list[str]) -> list[str]:
    """Cells as ``datasets`` reads them, which then makes text of what it took for numbers."""
    import pandas as pd

    file = io.StringIO("".join(f'"{cell}"\n' for cell in ["x", *cells]))
    frame = pd.read_csv(file, keep_default_na=False, na_values=[""], skip_blank_lines=False)
    column = pa.Table.from_pandas(frame, preserve_index=False).column("x").cast(pa.string())
    return [text or "" for text in column.to_pylist()]
