"""Which process of a run this is: ``torchrun`` and ``accelerate launch`` start several."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def is_main() -> bool:
    """Whether this process is the one that writes, pushes and prints."""
    return int(os.environ.get("RANK", "0")) == 0


def count() -> int:
    """How many processes the run has.

    >>> count()
    1
    """
    return int(os.environ.get("WORLD_SIZE", "1"))


def barrier() -> None:
    """Wait until every process has come here; nothing where there is one."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.barrier()


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

    PartialState(cpu=not torch.accelerator.is_available())
    said = [make() if is_main() else None]
    broadcast_object_list(said)
    return said[0]  # type: ignore[return-value]
