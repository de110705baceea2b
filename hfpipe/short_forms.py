"""Short forms in a recipe: a bare rate, a factor (``10x``), groups as a list, YAML's on and off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from hfpipe.blocks import Group
from hfpipe.errors import UserError

FACTOR = re.compile(r"(\d+(?:\.\d*)?|\.\d+) ?x")
FIELDS = frozenset(each.name for each in fields(Group))


def spell_out(plain: dict[str, Any]) -> None:
    """Put what they stand for in the place of short forms in ``rates`` and ``stages``.

    Args:
        plain: A recipe; what refers to other keys (``${…}``) is left as it is.

    Raises:
        UserError: What stands where a rate should.

    >>> plain = {"rates": {"head": "10x", "layers": {"1": 1e-4}}}
    >>> plain["stages"] = {"a": {"groups": {"head": 0.001}, "lora": False}, "b": {"groups": ["x"]}}
    >>> spell_out(plain)
    >>> plain["rates"]
    {'head': {'times': 10.0}, 'layers.1': {'learning_rate': 0.0001}}
    >>> plain["stages"]["a"], plain["stages"]["b"]
    ({'groups': {'head': {'learning_rate': 0.001}}, 'lora': 'off'}, {'groups': {'x': {}}})
    """
    if isinstance(plain.get("rates"), dict):
        plain["rates"] = dict(_by_path(plain["rates"]))
    stages = plain.get("stages")
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        if not isinstance(stage, dict):
            continue
        groups = stage.get("groups")
        if isinstance(groups, list):
            groups = {str(each): {} for each in groups}
        if isinstance(groups, dict):
            stage["groups"] = {
                key: group_of(each, f"stages.{name}.groups.{key}") for key, each in groups.items()
            }
        if isinstance(stage.get("lora"), bool):
            stage["lora"] = "on" if stage["lora"] else "off"


def _by_path(given: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Groups by name, those of names with dots as well, which an override takes for a path."""
    for key, each in given.items():
        name = f"{prefix}{key}"
        if not isinstance(each, dict):
            yield name, group_of(each, f"rates.{name}")
            continue
        inside = {part: value for part, value in each.items() if part not in FIELDS}
        if len(inside) < len(each) or not each:
            yield name, {part: value for part, value in each.items() if part in FIELDS}
        yield from _by_path(inside, f"{name}.")


def group_of(given: Any, place: str) -> Any:
    """A group as its fields.

    Args:
        given: A rate, a factor, or what is long already.
        place: For messages.

    Raises:
        UserError: It is none of them.

    >>> group_of(1e-3, "rates.head"), group_of("2.5x", "rates.head")
    ({'learning_rate': 0.001}, {'times': 2.5})
    >>> group_of("fast", "rates.head")
    Traceback (most recent call last):
    hfpipe.errors.UserError: rates.head: 'fast' is no rate: give a number (1.0e-3) or a factor (10x)
    """
    if given is None or isinstance(given, dict) or str(given).startswith("${"):
        return given
    if isinstance(given, int | float) and not isinstance(given, bool):
        return {"learning_rate": given}
    factor = FACTOR.fullmatch(str(given).strip())
    if factor is None:
        raise UserError(f"{place}: '{given}' is no rate: give a number (1.0e-3) or a factor (10x)")
    return {"times": float(factor[1])}
