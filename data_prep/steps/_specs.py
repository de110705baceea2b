"""Steps from what a recipe or a flag says, checked against the steps' own type hints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from data_prep.steps._kinds import Judge, Step
from data_prep.steps._registry import step_class
from hfpipe.errors import UserError, nearest

SHAPE = "write a name, or one name with its options, as length: {min_characters: 10}"
TRUTH = {"true": True, "false": False}


def build_steps(specs: Sequence[str | Mapping[str, Any]]) -> list[Step]:
    """Make steps.

    Args:
        specs: One a step, in the order in which they shall run. From a flag
            ``"length:min_characters=10,max_words=300"``, where the items of a list are parted by
            ``|``; from a recipe ``"length"`` or ``{"length": {"min_characters": 10}}``.

    Raises:
        UserError: An unknown step or option, with what is near; a value of the wrong type or out
            of its bounds; a judging step that is named twice (its reasons would be mixed up; a
            rewriting one may well be needed again after another).

    >>> build_steps(["length:min_characters=10"]) == build_steps(
    ...     [{"length": {"min_characters": 10}}]
    ... )
    True
    """
    if isinstance(specs, (str, Mapping)):
        raise UserError(f"steps: give a list of steps; {SHAPE}")
    steps: list[Step] = []
    judges: set[str] = set()
    for spec in specs:
        name, given = _from_flag(spec) if isinstance(spec, str) else _from_recipe(spec)
        step = _made(name, given)
        if isinstance(step, Judge):
            if name in judges:
                raise UserError(f"step '{name}' is named twice: give all its options once")
            judges.add(name)
        steps.append(step)
    return steps


def _from_flag(spec: str) -> tuple[str, dict[str, Any]]:
    """Take ``name:option=value,option=value`` apart; the values become what the step asks for."""
    name, _, rest = (part.strip() for part in spec.partition(":"))
    hints = _hints(name)
    given: dict[str, Any] = {}
    for item in filter(None, map(str.strip, rest.split(","))):
        option, equals, text = (part.strip() for part in item.partition("="))
        if not equals:
            raise UserError(f"step '{name}': '{item}' is not an option with a value: write a=b")
        if option in given:
            raise UserError(f"step '{name}': option '{option}' is given twice")
        given[option] = _read(text, hints[option]) if option in hints else text
    return name, given


def _from_recipe(spec: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(spec, Mapping) or len(spec) != 1:
        raise UserError(f"steps: '{spec}' is not one step; {SHAPE}")
    ((name, given),) = spec.items()
    if not isinstance(given, (Mapping, NoneType)):
        raise UserError(f"step '{name}': '{given}' is no mapping of options; {SHAPE}")
    return str(name), {str(key): value for key, value in (given or {}).items()}


def _made(name: str, given: Mapping[str, Any]) -> Step:
    hints = _hints(name)
    for option in given:
        if option not in hints:
            near = nearest(option, hints) or "; it has no options"
            raise UserError(f"step '{name}' has no option '{option}'{near}")
    typed = {key: _typed(name, key, value, hints[key]) for key, value in given.items()}
    try:
        return step_class(name)(**typed)
    except UserError as error:
        raise UserError(f"step '{name}': {error}") from None


def _hints(name: str) -> dict[str, Any]:
    """Option to its type hint."""
    step = step_class(name)
    hints = get_type_hints(step)
    return {each.name: hints[each.name] for each in fields(step)}


def _choices(hint: Any) -> tuple[Any, ...]:
    """The members of a union; of anything else, itself.

    >>> _choices(int | None)
    (<class 'int'>, <class 'NoneType'>)
    """
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _number(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            return text  # the check of types will say so

    return read


READ: dict[Any, Callable[[str], Any]] = {
    bool: lambda text: TRUTH.get(text.lower(), text),
    int: _number(int),
    float: _number(float),
    tuple: lambda text: [part.strip() for part in text.split("|") if part.strip()],
}


def _read(text: str, hint: Any) -> Any:
    """A flag's text as what the hint asks for, or as it is where it cannot be that.

    >>> _read("7", int | None), _read("none", int | None), _read("en|fr", tuple[str, ...])
    (7, None, ['en', 'fr'])
    """
    choices = _choices(hint)
    if NoneType in choices and text.lower() == "none":
        return None
    return READ.get(get_origin(choices[0]) or choices[0], str)(text)


WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def type_words(hint: Any) -> str:
    """A type hint in words.

    >>> type_words(int | None), type_words(tuple[str, ...]), type_words(Literal["a", "b"])
    ('a whole number or none', 'a list of texts', "'a' or 'b'")
    """
    *choices, last = _choices(hint)
    if choices and last is NoneType:
        return f"{type_words(choices[0])} or none"
    if get_origin(last) is Literal:
        return " or ".join(f"'{value}'" for value in get_args(last))
    return "a list of texts" if get_origin(last) is tuple else WORDS[last]


def _typed(name: str, option: str, value: Any, hint: Any) -> Any:
    """The value, as the step takes it.

    Raises:
        UserError: It is not what the hint asks for.
    """
    for choice in _choices(hint):
        if get_origin(choice) is Literal:
            fits = value in get_args(choice)
        elif get_origin(choice) is tuple:
            items = [value] if isinstance(value, str) else value
            fits = isinstance(items, (list, tuple)) and all(isinstance(i, str) for i in items)
            value = tuple(items) if fits else value
        else:
            fits = type(value) in ((int, float) if choice is float else (choice,))
        if fits:
            return float(value) if choice is float else value
    raise UserError(f"step '{name}': {option}: '{value}' is not {type_words(hint)}")
