"""Which process of a run this is: ``torchrun`` and ``accelerate launch`` start several."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar

from hfpipe.errors import RunError

T = TypeVar("T")

LOST = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "NCCL",
    "Gloo",
    "gloo",
)
"""What torch says where another process does not answer any more."""

PATIENCE = timedelta(hours=2)
"""The others wait so long while the first prepares, judges or pushes; torch's own limit is minutes
on a GPU. ``training.ddp_timeout`` counts where the Trainer comes first."""


def is_main() -> bool:
    """Whether this process is the one that writes, pushes and prints."""
    return int(os.environ.get("RANK", "0")) == 0


def count() -> int:
    """How many processes the run has.

    >>> count()
    1
    """
    return int(os.environ.get("WORLD_SIZE", "1"))


def place() -> str:
    """Which process this is, as a message begins; nothing where there is one.

    >>> place()
    ''
    """
    several = count() > 1
    return f"process {int(os.environ.get('RANK', '0')) + 1} of {count()}: " if several else ""


def barrier() -> None:
    """Wait until every process has come here; nothing where there is one."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        with all_alive():
            dist.barrier()


@contextmanager
def all_alive() -> Iterator[None]:
    """Where processes wait for each other: that one of them died is said in one line.

    Raises:
        RunError: It died.
    """
    try:
        yield
    except RuntimeError as error:
        if count() == 1 or not any(each in str(error) for each in LOST):
            raise
        with suppress(ValueError):  # what started the processes ends those that are left: this one
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # leaves, and has a line to say first
        cause = " ".join(str(error).split())[:120]
        raise RunError(
            "another process of this run died, or is out of reach, so it cannot go on: its own "
            "message says why; the same command with --resume goes on from the last checkpoint "
            f"(seen: {cause}…)"
        ) from error


def on_main(make: Callable[[], T]) -> T:
    """What the first process makes, for all of them; the others wait for it.

    >>> on_main(lambda: 3)
    3
    """
    if count() == 1:
        return make()
    import torch
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    PartialState(cpu=not torch.accelerator.is_available(), timeout=PATIENCE)
    said = [make() if is_main() else None]
    with all_alive():
        broadcast_object_list(said)
    return said[0]  # type: ignore[return-value]
