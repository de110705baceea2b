"""What a reader hands on: one file's rows, and the lines that are none."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa


@dataclass(frozen=True)
class BadRow:
    """A line that is not a row.

    Attributes:
        file: The file's name.
        line: Its number, from 1.
        reason: What is wrong with it.
        digest: A hash of what it says.
    """

    file: str
    line: int
    reason: str
    digest: str


@dataclass
class FileRows:
    """One input file, read.

    Attributes:
        file: The file's name as the user wrote it.
        table: The rows.
        digests: A hash of each row's content.
        bad: Lines that are not rows.
    """

    file: str
    table: pa.Table
    digests: list[str]
    bad: list[BadRow] = field(default_factory=list)
