"""A block of a recipe, or the flags that stand for it, read into a typed dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from hfpipe.errors import UserError, nearest

Block = TypeVar("Block")

_SAID = {"true": True, "yes": True, "false": False, "no": False}


def read_block(kind: type[Block], block: Mapping[str, Any], place: str) -> Block:
    """Fill a dataclass from a mapping; text is understood where a flag can only say text.

    Args:
        kind: The dataclass; its fields are the keys there are.
        block: What the user wrote.
        place: Put before every complaint, as ``prepare.encode``.

    Raises:
        UserError: An unknown or missing key, or a value that cannot be meant.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Bounds:
    ...     low: int = 0
    ...     names: list[str] | None = None
    >>> read_block(Bounds, {"low": "3", "names": "a,b"}, "prepare.bounds")
    Bounds(low=3, names=['a', 'b'])
    >>> read_block(Bounds, {"lov": 3}, "prepare.bounds")
    Traceback (most recent call last):
    hfpipe.errors.UserError: prepare.bounds: unknown key 'lov'; did you mean 'low'?
    """
    if not isinstance(block, Mapping):
        raise UserError(f"{place}: write keys and values, not '{block}'")
    hints = get_type_hints(kind)
    for key in block:
        if key not in hints:
            raise UserError(f"{place}: unknown key '{key}'{nearest(str(key), hints)}")
    for each in fields(kind):  # type: ignore[arg-type]
        optional = each.default is not MISSING or each.default_factory is not MISSING
        if not optional and block.get(each.name) in (None, "", []):
            raise UserError(f"{place}: '{each.name}' is missing: say {place}.{each.name}=…")
    return kind(
        **{key: _value(value, hints[key], f"{place}.{key}") for key, value in block.items()}
    )


def _value(value: Any, hint: Any, place: str) -> Any:
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if value is None and NoneType in options:
        return None
    wanted = next(option for option in options if option is not NoneType)
    if get_origin(wanted) is Literal:
        return _one_of(value, get_args(wanted), place)
    if get_origin(wanted) is list:
        parts = value.split(",") if isinstance(value, str) else value
        if isinstance(parts, (list, tuple)) and all(isinstance(part, str) for part in parts):
            return [part.strip() for part in parts if part.strip()]
    elif type(value) is wanted:
        return value
    elif isinstance(value, str):
        read = _from_text(value, wanted)
        if read is not None:
            return read
    raise UserError(f"{place}: '{value}' is not {_WORDS.get(wanted, 'a list of names')}")


def _one_of(value: Any, known: tuple[str, ...], place: str) -> str:
    if value not in known:
        raise UserError(f"{place}: '{value}' does not exist{nearest(str(value), known)}")
    return str(value)


def _from_text(value: str, wanted: type) -> Any:
    if wanted is bool:
        return _SAID.get(value.strip().lower())
    return int(value) if wanted is int and value.strip().lstrip("-").isdigit() else None


_WORDS: dict[Any, str] = {int: "a whole number", bool: "true or false", str: "a name"}
