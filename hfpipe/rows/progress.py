"""How far reading and writing rows is, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hfpipe.rows.sources import Source


def total_bytes(sources: Sequence[Source]) -> int:
    """How many bytes there are to read; 0 where that is not known.

    >>> total_bytes([Source("a.csv", "csv", "a.csv", 7), Source("b.csv", "csv", "b.csv", 8)])
    15
    """
    sizes = [source.size for source in sources]
    return 0 if None in sizes else sum(size or 0 for size in sizes)


@contextmanager
def progress_bar(
    name: str, total: int, quiet: bool = False, *, in_bytes: bool = False
) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, if that is a terminal.

    Args:
        name: Written before it.
        total: How much there is to do; 0 where that is not known.
        quiet: No bar.
        in_bytes: Whether bytes are counted, not rows.

    Yields:
        To be told how much more is done.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    counted = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), counted, TimeRemainingColumn())
    hidden = quiet or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=hidden, transient=True) as bar:
        task = bar.add_task(name, total=total or None)
        yield lambda done: bar.advance(task, done)
