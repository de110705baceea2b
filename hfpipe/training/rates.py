"""What learns in a stage, and how fast: groups of parameters with rates of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hfpipe.blocks import Group, Model, Stage
from hfpipe.errors import UserError
from hfpipe.models.groups import depth, is_adapters, match, parameter_groups, select
from hfpipe.models.parts.lora import MARK, saved_modules

if TYPE_CHECKING:
    from transformers import TrainingArguments

WRAPPINGS = ("_fsdp_wrapped_module.", "_orig_mod.", "module.")
"""What wrappers of torch put into the names of parameters."""
Whole = tuple[str, str]
"""Where names of parameters begin, and a module below there."""


@dataclass(frozen=True)
class Rate:
    """Parameters that learn alike.

    Attributes:
        name: Of their group.
        learning_rate: Of the group, layer-wise decay included.
        weight_decay: Of those that are neither biases nor norms.
        parameters: Their names.
    """

    name: str
    learning_rate: float
    weight_decay: float
    parameters: frozenset[str]

    def split(self, model: Any, decayed: Sequence[str]) -> list[dict[str, Any]]:
        """Groups of a torch optimizer: with weight decay, and without.

        Args:
            model: Maybe wrapped.
            decayed: Names of parameters that have weight decay at all.
        """
        found: dict[bool, list[Any]] = {True: [], False: []}
        with_decay = {bare(name) for name in decayed}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and bare(name) in self.parameters:
                found[bare(name) in with_decay].append(parameter)
        return [
            {
                "params": parameters,
                "lr": self.learning_rate,
                "weight_decay": self.weight_decay if decays else 0.0,
                "group": self.name,
            }
            for decays, parameters in found.items()
            if parameters
        ]


def bare(name: str) -> str:
    """A parameter's name without what wrappers put into it.

    >>> bare("_orig_mod.bert.layers.0.weight")
    'bert.layers.0.weight'
    """
    for each in WRAPPINGS:
        name = name.replace(each, "") if each != "module." else name.removeprefix(each)
    return name


def open_groups(
    model: Any,
    stage: Stage,
    freeze: Sequence[str],
    initial: Mapping[str, bool],
    place: str,
    whole: Sequence[Whole] = (),
) -> list[str]:
    """Let learn what a stage names, and nothing else.

    Args:
        model: Any that ``parameter_groups`` takes.
        stage: Without groups, all learns that learnt at first; with adapters on, they, the head and
            ``whole``.
        freeze: ``model.freeze``, which no stage undoes.
        initial: Parameter → whether it learnt when the run began.
        place: The stage, for messages.
        whole: See ``whole_modules``.

    Returns:
        What the user should know.

    Raises:
        UserError: An unknown group, two names for one, or nothing left that learns.
    """
    groups = parameter_groups(model)
    frozen = {group for name in freeze for group in match(groups, name)}
    notes: list[str] = []
    if stage.groups:
        chosen = select(model, stage.groups, f"{place}.groups")
        opened = {group for each in chosen.values() for group in each}
        for name, covered in chosen.items():
            if covered and frozen.issuperset(covered):
                notes.append(
                    f"{place}.groups.{name} has a learning rate but model.freeze keeps it from "
                    "learning"
                )
        for group, parameters in groups.items():
            for parameter in parameters:
                parameter.requires_grad_(group in opened and group not in frozen)
    else:
        _as_at_first(model, groups, initial, whole)
    if not any(each.requires_grad for each in model.parameters()):
        raise UserError(f"{place}: nothing is left to learn; its groups are {', '.join(groups)}")
    return notes


def _as_at_first(
    model: Any, groups: Mapping[str, Any], initial: Mapping[str, bool], whole: Sequence[Whole]
) -> None:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    beneath = _beneath_adapters(groups)
    for group, parameters in groups.items():
        for parameter in parameters:
            name = names[id(parameter)]
            held = group in beneath and not any(_is_inside(name, *each) for each in whole)
            parameter.requires_grad_(MARK in name or (not held and initial.get(name, True)))


def whole_modules(model: Model) -> list[Whole]:
    """The modules that learn beside adapters, and not by them: ``modules_to_save``.

    Args:
        model: The recipe's block.

    Returns:
        Where the names of a tower's parameters begin, empty for the whole model, and a module.
    """
    found = [("", each) for each in saved_modules(model.lora or {})]
    for tower, spec in model.towers.items():
        found += [(f"towers.{tower}.", each) for each in saved_modules(spec.lora or {})]
    return found


def _is_inside(name: str, beginning: str, module: str) -> bool:
    """Whether a parameter is in a module, at any depth, as PEFT takes its name.

    >>> (
    ...     _is_inside("bert.pooler.dense.weight", "", "pooler"),
    ...     _is_inside("a.poolers.b", "", "pooler"),
    ... )
    (True, False)
    >>> _is_inside("towers.a.x.pooler.weight", "towers.b.", "pooler")
    False
    """
    inside = name.removeprefix(beginning)
    return (not beginning or inside != name) and f".{module}." in f".{inside}."


def _beneath_adapters(groups: Iterable[str]) -> set[str]:
    """The groups that adapters stand in for: of a stock model all but its head.

    >>> sorted(_beneath_adapters(["embeddings", "layers.0", "lora", "head"]))
    ['embeddings', 'layers.0']
    >>> _beneath_adapters(["towers.a.layers.0", "towers.a.lora", "towers.b", "head"])
    {'towers.a.layers.0'}
    """
    known = set(groups)
    if "lora" in known:
        return known - {"lora", "head"}
    adapted = [name.removesuffix(".lora") for name in known if is_adapters(name)]
    return {group for name in adapted for group in match(known, name)}


def rates_of(
    model: Any,
    stage: Stage,
    arguments: TrainingArguments,
    place: str,
    own: Mapping[str, Group] | None = None,
) -> list[Rate]:
    """The rates of a stage; none where all that learns does so alike, as the Trainer has it.

    Args:
        model: Its groups opened.
        stage: Its ``groups`` and ``layer_decay``.
        arguments: Where the rates are that no group gives.
        place: The stage, for messages.
        own: The recipe's ``rates``, of groups in a stage that names none.

    Raises:
        UserError: A rate or a decay that cannot be, or an unknown group.
    """
    groups, own = parameter_groups(model), own or {}
    _check(stage, own, place)
    given = stage.groups or own
    chosen = select(model, given, f"{place}.groups") if stage.groups else _named(model, own)
    has_lora = any(name.rpartition(".")[2] == "lora" for name in groups)
    if not chosen and stage.layer_decay is None and not has_lora:
        return []
    wanted = {} if stage.groups else {name: Group() for name in groups}
    wanted |= {group: given[name] for name, covered in chosen.items() for group in covered}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rates = []
    for group, told in wanted.items():
        learning = frozenset(bare(names[id(each)]) for each in groups[group] if each.requires_grad)
        if learning:
            rate = _rate(group, told, arguments, learning)
            rates.append(_decayed(rate, stage.layer_decay, groups))
    if stage.layer_decay not in (None, 1) and not any(depth(each.name, groups) for each in rates):
        raise UserError(f"{place}.layer_decay: nothing that learns lies in layers: leave it out")
    if stage.groups or not chosen or stage.layer_decay is not None:
        return rates
    return _joined(rates, {group for each in chosen.values() for group in each})


def _joined(rates: Sequence[Rate], named: Set[str]) -> list[Rate]:
    """Groups of which nothing is said as one, ``rest``: their curves would be the same."""
    rest = [each for each in rates if each.name not in named and not is_adapters(each.name)]
    others = [each for each in rates if each not in rest]
    if not rest:
        return others
    every = frozenset(name for each in rest for name in each.parameters)
    return [replace(rest[0], name="rest", parameters=every), *others]


def idle_rates(model: Any, own: Mapping[str, Group]) -> list[str]:
    """What the user should know of ``rates`` of groups that do not learn.

    Args:
        model: Its groups opened.
        own: The recipe's ``rates``.
    """
    groups = parameter_groups(model)
    chosen = _named(model, own)
    return [
        f"rates: '{name}' counts for nothing here: "
        + ("what it names does not learn" if name in chosen else "no group of this model fits it")
        for name in own
        if not any(each.requires_grad for group in chosen.get(name, ()) for each in groups[group])
    ]


def _named(model: Any, own: Mapping[str, Group]) -> dict[str, list[str]]:
    """The groups of each of a recipe's ``rates``; a pattern may fit none, and adapters be off.

    So a recipe can name what some bases have, and be run with one that has it not.
    """
    groups = parameter_groups(model)
    loose = {each for each in own if set("*?[") & set(each) or is_adapters(each)}
    there = {each: own[each] for each in own if match(groups, each) or each not in loose}
    return select(model, there, "rates")


def _rate(group: str, given: Group, arguments: Any, parameters: frozenset[str]) -> Rate:
    decay = 0.0 if group.rpartition(".")[2] == "lora" else float(arguments.weight_decay)
    usual = arguments.learning_rate * (1.0 if given.times is None else given.times)
    return Rate(
        group,
        usual if given.learning_rate is None else given.learning_rate,
        decay if given.weight_decay is None else given.weight_decay,
        parameters,
    )


def _decayed(rate: Rate, layer_decay: float | None, groups: Mapping[str, Any]) -> Rate:
    if layer_decay is None:
        return rate
    share = layer_decay ** depth(rate.name, groups)
    return replace(rate, learning_rate=rate.learning_rate * share)


def _check(stage: Stage, own: Mapping[str, Group], place: str) -> None:
    decay = stage.layer_decay
    if decay is not None and not 0 < decay <= 1:
        raise UserError(f"{place}.layer_decay={decay}: it is above 0 and at most 1")
    every = {f"{place}.groups.{name}": each for name, each in stage.groups.items()}
    every |= {f"rates.{name}": each for name, each in own.items()}
    for name, group in every.items():
        if group.learning_rate is not None and group.times is not None:
            raise UserError(
                f"{name} has learning_rate and times: give one of them, as {name}="
                f"{group.learning_rate:g}"
            )
        for key in ("learning_rate", "times", "weight_decay"):
            value = getattr(group, key)
            if value is not None and not 0 <= value < float("inf"):
                raise UserError(f"{name}.{key}={value}: it is a number from 0 on")
