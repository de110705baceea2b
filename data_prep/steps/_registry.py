"""The steps there are: the modules of this folder."""

from __future__ import annotations

from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hfpipe.errors import UserError, nearest
from hfpipe.folders import module_names, only_class


def step_names() -> list[str]:
    """The names of all steps.

    >>> "length" in step_names()
    True
    """
    return module_names([str(Path(__file__).parent)])


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
    return only_class(f"{__package__}.{name}", is_dataclass)
