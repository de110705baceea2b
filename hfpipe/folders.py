"""Folders that are registries: one module a thing, and nothing to keep in step by hand."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterable
from importlib import import_module


def module_names(path: Iterable[str]) -> list[str]:
    """The public modules of a package, by name.

    Args:
        path: The package's ``__path__``.

    >>> import hfpipe.cli
    >>> "prepare" in module_names(hfpipe.cli.__path__)
    True
    """
    names = (module.name for module in pkgutil.iter_modules(path))
    return sorted(name for name in names if not name.startswith("_"))


def only_class(module: str, fits: Callable[[type], bool]) -> type:
    """The one public class that a module defines and that fits.

    Args:
        module: Its full name; it is imported.
        fits: Which classes count.

    >>> only_class("hfpipe.blocks", lambda found: found.__name__ == "Recipe").__name__
    'Recipe'
    """
    imported = import_module(module)
    (found,) = [
        member
        for name, member in inspect.getmembers(imported, inspect.isclass)
        if member.__module__ == module and not name.startswith("_") and fits(member)
    ]
    return found
