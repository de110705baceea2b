"""The kinds there are: the modules of this folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hfpipe.errors import UserError, nearest
from hfpipe.folders import module_names, only_class
from hfpipe.inputs.kinds._base import Kind


def kind_names() -> list[str]:
    """The names of all kinds.

    >>> kind_names()
    ['categorical', 'image', 'numeric', 'text', 'vector', 'vector_sequence']
    """
    return module_names([str(Path(__file__).parent)])


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
    return only_class(f"{__package__}.{name}", lambda found: issubclass(found, Kind))
