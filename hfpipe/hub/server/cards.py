"""What a README.md says of its repo in the YAML block at its top."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

_BLOCK = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_MAX_BLOCK = 1 << 18


@lru_cache(maxsize=512)
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
    if len(match[1]) > _MAX_BLOCK:
        return {}, f"the YAML block has more than {_MAX_BLOCK} characters"
    import yaml

    try:
        # The loader is yaml's safe one, with less in it.
        loaded = yaml.load(match[1], Loader=_loader())  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 2}: " if mark else ""
        return {}, f"{place}{getattr(error, 'problem', None) or error}"
    except (RecursionError, ValueError) as error:
        return {}, f"cannot be read ({type(error).__name__})"
    if loaded is None:
        return {}, None
    if not isinstance(loaded, dict):
        return {}, "the block between the '---' lines is not a mapping"
    return {str(key): plain(value) for key, value in loaded.items()}, None


@lru_cache(maxsize=1)
def _loader() -> Any:
    """Make a safe loader whose every result can be sent as JSON of about its length."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Safe, without aliases: a few of them can stand for gigabytes, or for themselves."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            """Compose anything but an alias."""
            if self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark
                raise yaml.composer.ComposerError(None, None, "aliases are not supported", mark)
            return super().compose_node(parent, index)

    # Dates stay the text that they were written as.
    Loader.add_constructor(
        "tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node)
    )
    return Loader


def plain(value: Any) -> Any:
    """Turn what YAML or JSON was read to into what strict JSON can hold.

    >>> plain({1: [float("nan"), {2}]})
    {'1': ['nan', '{2}']}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value)


def check_card(text: str) -> tuple[list[str], list[str]]:
    """Check a README.md.

    Returns:
        The errors, for which it is refused, and the warnings.
    """
    card, fault = read_card(text)
    if fault:
        return [fault], []
    texts = ("pipeline_tag", "library_name")
    errors = [f'"{key}" must be a string' for key in texts if not _text_or_none(card.get(key))]
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


def _text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _many(value: Any) -> list[Any]:
    """Take one value or a list of them as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
