"""The kinds there are: the modules of this folder."""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

from hfpipe.errors import UserError, nearest
from hfpipe.inputs.kinds._base import Kind

PACKAGE = "hfpipe.inputs.kinds"


def kind_names() -> list[str]:
    """The names of all kinds.

    >>> kind_names()
    ['categorical', 'image', 'numeric', 'text', 'vector', 'vector_sequence']
    """
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in modules if not module.name.startswith("_"))


@cache
def kind_class(name: str) -> type[Kind]:
    """The one dataclass of a kind's module.

    Raises:
        UserError: There is no such kind.

    >>> kind_class("numeric").__name__
    'NumericInput'
    """
    if name not in kind_names():
        raise UserError(f"no input kind '{name}'{nearest(name, kind_names())}")
    module = import_module(f"{PACKAGE}.{name}")
    (found,) = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Kind) and member.__module__ == module.__name__
    ]
    return found
