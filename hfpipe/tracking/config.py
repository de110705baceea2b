"""A recipe as a tracker keeps it: flat, and without secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SECRET = ("token", "password", "secret", "api_key")


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings by the dotted names that overrides have; empty ones and secrets left out.

    A sweep of W&B can so set ``training.learning_rate`` and find it again.

    >>> flat({"name": "a", "training": {"seed": 7, "hub_token": "hf_x"}, "suite": {}})
    {'name': 'a', 'training.seed': 7}
    """
    return dict(_flat(config, ""))


def _flat(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if str(key).endswith(SECRET):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value
