"""The steps of a run: a progress bar each on a terminal, and how long each took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Steps:
    """Runs one step after the other.

    >>> steps = Steps(Console(quiet=True), lively=False)
    >>> with steps.timed("count", 3) as advance:
    ...     advance(3)
    >>> list(steps.seconds)
    ['count']
    """

    def __init__(self, console: Console, *, lively: bool) -> None:
        """Nothing done yet.

        Args:
            console: Where the bars go.
            lively: Whether to show bars at all.
        """
        self.console = console
        self.lively = lively
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(
        self, name: str, total: int = 0, *, in_bytes: bool = False
    ) -> Iterator[Callable[[int], None]]:
        """Time a step, and show how far it is.

        Args:
            name: What it is called.
            total: How much there is to do; 0 where that is not known.
            in_bytes: Whether that is bytes, not rows.

        Yields:
            To be told how much more is done.
        """
        start = time.perf_counter()
        counted = DownloadColumn() if in_bytes else MofNCompleteColumn()
        many = (TextColumn("{task.description}"), BarColumn(), counted, TimeRemainingColumn())
        few = (TextColumn("{task.description}"), SpinnerColumn(), TimeElapsedColumn())
        columns = many if total else few
        with Progress(
            *columns, console=self.console, disable=not self.lively, transient=True
        ) as bar:
            task = bar.add_task(name, total=total or None)
            yield lambda done: bar.advance(task, done)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
