"""The ways to split: one module each, with ``split(request)``. The folder is the registry."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from data_prep.splitting.request import Assignment, SplitRequest
from hfpipe.folders import module_names

Splitter = Callable[[SplitRequest], Assignment]


def ways() -> dict[str, Splitter]:
    """Every way of splitting by its name.

    >>> sorted(ways())
    ['given', 'group', 'random', 'stratified', 'stratified_group', 'time']
    """
    return {name: import_module(f"{__name__}.{name}").split for name in module_names(__path__)}
