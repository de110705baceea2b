"""How the compiled loops of data preparation are compiled, and run on several threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

import numba

Scratch = TypeVar("Scratch")
Result = TypeVar("Result")

#: Blocks of work that wait, done or not, for each thread: bounds what is held in memory.
AHEAD = 2


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function when it is first called, to run beside other threads.

    The machine code is remembered on disk (a change in a module makes it void for the functions
    of that module only: what they call must stand beside them). Where no folder can be written,
    as in a read-only installation without a home, each process compiles for itself.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba found no place for its cache
        return numba.njit(nogil=True)(function)


def thread_count() -> int:
    """How many threads to use: the cores that this process may use, or fewer where told so.

    ``NUMBA_NUM_THREADS`` and ``OMP_NUM_THREADS`` tell it.

    >>> 1 <= thread_count() <= (os.cpu_count() or 1)
    True
    """
    limits = [os.cpu_count() or 1]
    if hasattr(os, "sched_getaffinity"):
        limits.append(len(os.sched_getaffinity(0)))
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdigit() and int(value) > 0:
            limits.append(int(value))
    return min(limits)


def in_order(
    work: Callable[[int, int, Scratch], Result],
    blocks: Iterable[tuple[int, int]],
    scratches: Sequence[Scratch],
) -> Iterator[tuple[int, int, Result]]:
    """Do blocks of work on several threads and give the results in the order of the blocks.

    Args:
        work: Called with start, stop and a scratch space that no other call uses meanwhile.
        blocks: Start and stop of each.
        scratches: One for each thread there shall be.

    Yields:
        Start, stop and what ``work`` returned.

    >>> list(in_order(lambda start, stop, _: stop - start, [(0, 2), (2, 5)], ["one", "two"]))
    [(0, 2, 2), (2, 5, 3)]
    """
    if len(scratches) == 1:
        for start, stop in blocks:
            yield start, stop, work(start, stop, scratches[0])
        return
    free: SimpleQueue[Scratch] = SimpleQueue()
    for scratch in scratches:
        free.put(scratch)

    def one(start: int, stop: int) -> Result:
        scratch = free.get()
        try:
            return work(start, stop, scratch)
        finally:
            free.put(scratch)

    waiting: deque[tuple[int, int, Future[Result]]] = deque()
    pool = ThreadPoolExecutor(len(scratches), thread_name_prefix="data_prep")
    try:
        for start, stop in blocks:
            waiting.append((start, stop, pool.submit(one, start, stop)))
            if len(waiting) > AHEAD * len(scratches):
                first, last, future = waiting.popleft()
                yield first, last, future.result()
        for first, last, future in waiting:
            yield first, last, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def spans(start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut the rows from start to stop into spans.

    >>> list(spans(0, 5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    return ((at, min(at + size, stop)) for at in range(start, stop, size))
