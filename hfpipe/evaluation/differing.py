"""What differs between the recipes of several models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

OWN = ("name", "description")
"""What a recipe is called is no difference in what it does."""


def differing(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Dotted key of a recipe to each model's value, where not all have the same.

    A model whose recipe has no such key is left out there.

    >>> differing({"a": {"seed": 1, "model": {"base": "x"}}, "b": {"seed": 1, "model": {}}})
    {'model.base': {'a': 'x'}}
    """
    flat = {name: dict(_flat(config)) for name, config in configs.items()}
    keys = dict.fromkeys(key for each in flat.values() for key in each)
    found = {}
    for key in keys:
        values = {name: each[key] for name, each in flat.items() if key in each}
        written = {json.dumps(value, sort_keys=True, default=str) for value in values.values()}
        if len(written) > 1 or len(values) < len(flat):
            found[key] = values
    return found


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if not prefix and key in OWN:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
