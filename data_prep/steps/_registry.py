"""The steps there are: the modules of this folder."""

from __future__ import annotations

import inspect
import pkgutil
from dataclasses import is_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from hfpipe.errors import UserError, nearest

PACKAGE = "data_prep.steps"


def step_names() -> list[str]:
    """The names of all steps.

    >>> "length" in step_names()
    True
    """
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in modules if not module.name.startswith("_"))


@cache
def step_class(name: str) -> type[Any]:
    """The one public dataclass of a step's module.

    Raises:
        UserError: There is no such step.

    >>> step_class("length").__name__
    'Length'
    """
    if name not in step_names():
        raise UserError(f"no cleaning step '{name}'{nearest(name, step_names())}")
    module = import_module(f"{PACKAGE}.{name}")
    (found,) = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if member.__module__ == module.__name__
        and is_dataclass(member)
        and not member.__name__.startswith("_")
    ]
    return found
