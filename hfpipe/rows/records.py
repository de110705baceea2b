"""What a reader hands on: a piece of one file's rows, and the lines that are none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from hfpipe.errors import HfpipeError

SHOWN_BAD_ROWS = 100
CHUNK_ROWS = 50_000
CHUNK_BYTES = 32 * 2**20
# A line, a cell or a member beyond this is no row: it would have to be held in memory whole.
LARGEST_ROW = 256 * 2**20


@dataclass(frozen=True)
class BadRow:
    """A line that is not a row.

    Attributes:
        file: The file's name.
        line: Its number, from 1; 0 where the file has no lines.
        reason: What is wrong with it.
        digest: A hash of what it says.
    """

    file: str
    line: int
    reason: str
    digest: str

    def __str__(self) -> str:
        """Where it is and what is wrong with it.

        >>> str(BadRow("a.jsonl", 3, "not JSON", "f0")), str(BadRow("a.tar", 0, "no text", "f1"))
        ('a.jsonl: line 3: not JSON', 'a.tar: no text')
        """
        place = f"{self.file}: line {self.line}" if self.line else self.file
        return f"{place}: {self.reason}"


@dataclass
class FileRows:
    """Rows of one input file: a chunk of them, or all.

    Attributes:
        file: The file's name as the user wrote it.
        table: The rows.
        digests: A hash of each row's content.
        bad: What is not a row; of a file that is read in chunks, the first hundred.
        bad_digests: A hash of each of those, also of those beyond the hundred.
    """

    file: str
    table: pa.Table
    digests: list[str]
    bad: list[BadRow] = field(default_factory=list)
    bad_digests: list[str] = field(default_factory=list)


def one_line(text: str, most: int = 500) -> str:
    r"""A message on one line: names in it may have line breaks, or be endless.

    >>> one_line("column 'a\n b' is \x1b[1m bold"), one_line("abcdef", most=4)
    ("column 'a b' is \\x1b[1m bold", 'abc…')
    """
    flat = re.sub(r"\s*[\r\n\t\v\f]\s*", " ", text)
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in flat)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Errors of the block on one line, whatever the names in them hold."""
    try:
        yield
    except HfpipeError as error:
        said = one_line(str(error))
        if said == str(error):
            raise
        raise type(error)(said) from error


class BadRows:
    """Collects a file's bad rows, so many of them in words.

    >>> bad = BadRows("a.jsonl", shown=1)
    >>> bad.add(1, "not JSON", "f0")
    >>> bad.add(2, "not JSON", "f1")
    >>> [row.line for row in bad.rows], bad.digests, bad.take(), bad.digests
    ([1], ['f0', 'f1'], ([BadRow(file='a.jsonl', line=1, reason='not JSON', digest='f0')],
    ['f0', 'f1']), [])
    """

    def __init__(self, file: str, shown: int | None = SHOWN_BAD_ROWS) -> None:
        self.file = file
        self.rows: list[BadRow] = []
        self.digests: list[str] = []
        self._left = float("inf") if shown is None else shown

    def add(self, line: int, reason: str, digest: str) -> None:
        """Note one."""
        self.digests.append(digest)
        if self._left > 0:
            self._left -= 1
            self.rows.append(BadRow(self.file, line, one_line(reason), digest))

    def take(self) -> tuple[list[BadRow], list[str]]:
        """What was noted since the last call: rows in words, and all digests."""
        taken = self.rows, self.digests
        self.rows, self.digests = [], []
        return taken


@dataclass
class Reading:
    """How a file is to be read, and what was wrong with it so far.

    Attributes:
        file: Its name in messages.
        texts: Columns that must hold a text or a number, and stay as written in CSV.
        bad: Takes what is not a row.
        chunk_rows: A chunk ends at so many rows …
        chunk_bytes: … or, if that is earlier, at so many bytes of raw text.
        largest_row: A line or member of more bytes is a bad row.
    """

    file: str
    texts: list[str]
    bad: BadRows
    chunk_rows: int = CHUNK_ROWS
    chunk_bytes: int = CHUNK_BYTES
    largest_row: int = LARGEST_ROW

    def chunk(self, table: pa.Table, digests: Iterable[str]) -> FileRows:
        """A chunk of these rows and of the bad rows since the last one."""
        return FileRows(self.file, table, list(digests), *self.bad.take())
