"""What a README.md says of its repo in the YAML block at its top."""

from __future__ import annotations

import re
from typing import Any

_BLOCK = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)


def read_card(text: str) -> tuple[dict[str, Any], str | None]:
    r"""Read the YAML block.

    Args:
        text: The whole README.md.

    Returns:
        What it says, empty where there is no block, and what is wrong with it.

    >>> read_card("---\nlicense: mit\n---\nHello")
    ({'license': 'mit'}, None)
    """
    match = _BLOCK.match(text)
    if not match:
        return {}, None
    import yaml

    try:
        loaded = yaml.load(match[1], Loader=_loader())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 2}: " if mark else ""
        return {}, f"{place}{getattr(error, 'problem', None) or error}"
    if loaded is None:
        return {}, None
    if not isinstance(loaded, dict):
        return {}, "the block between the '---' lines is not a mapping"
    return {str(key): value for key, value in loaded.items()}, None


def _loader() -> Any:
    """Make a safe loader that leaves dates as the text they were written as."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Safe, and everything it gives can be sent as JSON."""

    Loader.add_constructor(
        "tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node)
    )
    return Loader


def check_card(text: str) -> tuple[list[str], list[str]]:
    """Check a README.md.

    Returns:
        The errors, for which it is refused, and the warnings.
    """
    card, fault = read_card(text)
    if fault:
        return [fault], []
    errors = []
    for key in ("pipeline_tag", "library_name"):
        if card.get(key) is not None and not isinstance(card[key], str):
            errors.append(f'"{key}" must be a string')
    if card.get("tags") is not None and not isinstance(card["tags"], list):
        errors.append('"tags" must be an array')
    return errors, [] if card else ["empty or missing yaml metadata in repo card"]


def tags_of(card: dict[str, Any]) -> list[str]:
    """List the tags that follow from a card, in a stable order.

    >>> tags_of({"tags": ["a"], "license": "mit", "datasets": ["x/y"]})
    ['a', 'dataset:x/y', 'license:mit']
    """
    found = [str(tag) for tag in _many(card.get("tags"))]
    found += [str(card[key]) for key in ("library_name", "pipeline_tag") if card.get(key)]
    found += [str(value) for value in _many(card.get("language"))]
    found += [f"dataset:{value}" for value in _many(card.get("datasets"))]
    found += [f"base_model:{value}" for value in _many(card.get("base_model"))]
    for key in ("license", "task_categories", "size_categories"):
        found += [f"{key}:{value}" for value in _many(card.get(key))]
    return list(dict.fromkeys(found))


def _many(value: Any) -> list[Any]:
    """Take one value or a list of them as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
