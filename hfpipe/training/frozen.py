"""What of a model does not learn: where it can be cut, and how it stands while the rest learns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeVar

from hfpipe.inputs.collator import Collator
from hfpipe.processes import all_alive, barrier
from hfpipe.training.cached_rows import Boundary

if TYPE_CHECKING:
    from torch import nn

Found = TypeVar("Found")


def boundaries_of(model: Any, collator: Collator) -> list[Boundary]:
    """Where a model can be cut at this moment."""
    from hfpipe.training.head_boundary import head_boundary
    from hfpipe.training.tower_boundary import tower_boundaries

    towers = tower_boundaries(model, collator)
    head = None if towers else head_boundary(model, collator)
    return [head] if head is not None else list(towers)


@contextmanager
def resting(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Inside the block modules stay in evaluation mode, also where the model around them learns.

    So what is frozen says of a row what the cache would keep of it, dropout off: a run has the same
    results with the cache and without.
    """
    chosen = list(modules)
    modes = [(each, each.training) for module in chosen for each in module.modules()]
    for module in chosen:
        module.eval()
        # A method, not a closure: of a copy of the model it is the copy's own.
        module.train = MethodType(_stay, module)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in chosen:
            del module.train
        for each, training in modes:
            each.training = training


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    """In place of ``train``: evaluation mode, whatever is asked for."""
    return type(module).train(module, False)


def in_turn(find: Callable[[bool], Found]) -> Found:
    """Of several processes, the first of each machine may compute; the others wait, and read."""
    import os

    import torch

    if _world() == 1:
        return find(True)
    if int(os.environ.get("LOCAL_RANK", torch.distributed.get_rank())):
        barrier()
        return find(False)
    try:
        return find(True)
    finally:
        barrier()


def agreed(names: Iterable[str]) -> set[str]:
    """Of some names those that every process has: all must be fed alike, and cut steps alike.

    >>> agreed(["words"])
    {'words'}
    """
    import torch

    if _world() == 1:
        return set(names)
    said: list[Any] = [None] * _world()
    with all_alive():
        torch.distributed.all_gather_object(said, sorted(names))
    return set.intersection(*map(set, said))


def _world() -> int:
    import torch

    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if several else 1
