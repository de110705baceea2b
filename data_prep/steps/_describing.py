"""What the steps are and can be told, read from their own docstrings and type hints."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, get_type_hints

from data_prep.steps._registry import step_class, step_names
from data_prep.steps._specs import type_words


@dataclass(frozen=True)
class Option:
    """One option of a step.

    Attributes:
        name: Its name.
        kind: Its type, in words.
        default: What it is unless it is given.
        help: What it does, in one line.
    """

    name: str
    kind: str
    default: Any
    help: str

    @property
    def shown(self) -> str:
        """The default as a flag would say it.

        >>> Option("keep", "a list of texts", ("en", "fr"), "").shown
        'en|fr'
        """
        if isinstance(self.default, tuple):
            return "|".join(self.default)
        words = str(self.default)
        return words if isinstance(self.default, str) else words.lower()


@dataclass(frozen=True)
class Described:
    """One step.

    Attributes:
        name: Its name.
        rewrites: Whether it rewrites texts; else it judges them.
        help: What it does, in one line.
        options: What it can be told.
        reasons: Reason to drop a row, to its words.
    """

    name: str
    rewrites: bool
    help: str
    options: tuple[Option, ...]
    reasons: dict[str, str]


def describe() -> list[Described]:
    """Describe every step, by name.

    >>> [step.help for step in describe() if step.name == "length"]
    ['Drop texts that are too short or too long.']
    """
    return [_described(name) for name in step_names()]


def _described(name: str) -> Described:
    step = step_class(name)
    hints = get_type_hints(step)
    doc = (inspect.getdoc(step) or "").replace("``", "")
    helps = _attributes(doc)
    return Described(
        name=name,
        rewrites=hasattr(step, "rewrite"),
        help=doc.partition("\n")[0],
        options=tuple(
            Option(each.name, type_words(hints[each.name]), _default(each), helps[each.name])
            for each in fields(step)
        ),
        reasons=getattr(step, "reasons", {}),
    )


def _default(each: Field[Any]) -> Any:
    return each.default if each.default_factory is MISSING else each.default_factory()


def _attributes(doc: str) -> dict[str, str]:
    r"""Name to words, from the part ``Attributes:`` of a docstring.

    >>> _attributes("Do.\n\nAttributes:\n    a: One\n        word.\n    b: Two.")
    {'a': 'One word.', 'b': 'Two.'}
    """
    part = doc.partition("Attributes:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", part, re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in found}
