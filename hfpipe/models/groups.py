"""Named groups of a model's parameters: what may be frozen, or learn at a rate of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError, nearest
from hfpipe.models.parts.layers import part_of

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


def parameter_groups(model: Any) -> dict[str, list[nn.Parameter]]:
    """Every parameter of a model, each in one named group.

    A wrapper of hfpipe says itself what its groups are. A stock model has ``embeddings``,
    ``layers.0`` …, ``head``, ``base`` for what else its encoder has (``base.pooler`` for its
    pooler), and, while adapters are on it, ``lora``.
    """
    own = getattr(model, "parameter_groups", None)
    if own is not None:
        return dict(own())
    groups: dict[str, list[nn.Parameter]] = {}
    prefix = f"{model.base_model_prefix}."
    for name, parameter in model.named_parameters():
        groups.setdefault(part_of(name, prefix), []).append(parameter)
    return groups


def head_modules(model: PreTrainedModel) -> list[str]:
    """The modules of a stock model that are not its encoder, by name.

    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> config = BertConfig(hidden_size=8, num_attention_heads=2, num_hidden_layers=1)
    >>> head_modules(BertForSequenceClassification(config))
    ['classifier']
    """
    return [
        name
        for name, module in model.named_children()
        if name not in (model.base_model_prefix, "vision_model")
        and any(True for _ in module.parameters())
    ]


def match(groups: Iterable[str], name: str) -> list[str]:
    """The groups that a name in a recipe stands for.

    That is the group of this name, those below it (``layers``, ``towers``), or those that a shell
    pattern fits. Adapters must be meant: a name that does not end in ``lora`` never stands for
    them, since whoever freezes a tower wants its adapters to learn.

    Args:
        groups: Those of a model.
        name: A name, the beginning of names, or a pattern.

    >>> groups = ["towers.a", "towers.a.lora", "towers.b", "layers.2", "layers.3", "head"]
    >>> match(groups, "towers"), match(groups, "towers.a"), match(groups, "towers.a.lora")
    (['towers.a', 'towers.b'], ['towers.a'], ['towers.a.lora'])
    >>> match(groups, "towers.*"), match(groups, "towers.*.lora"), match(groups, "layers.[345]")
    (['towers.a', 'towers.b'], ['towers.a.lora'], ['layers.3'])
    >>> match(groups, "layer"), match(["towers.a.layers.0", "towers.c.base"], "towers.[ab]")
    ([], ['towers.a.layers.0'])
    """

    def fits(group: str) -> bool:
        if group == name:
            return True
        if is_adapters(group) and not name.endswith("lora"):
            return False
        return fnmatchcase(group, name) or fnmatchcase(group, f"{name}.*")

    return [group for group in groups if fits(group)]


def select(model: Any, wanted: Mapping[str, Any], place: str) -> dict[str, list[str]]:
    """What each name of a recipe's block stands for.

    Args:
        model: Any that ``parameter_groups`` takes.
        wanted: By the names that ``match`` takes.
        place: Where they stand, for messages: ``stages.head.groups``.

    Raises:
        UserError: A name stands for no group, or two for the same.
    """
    groups = parameter_groups(model)
    taken: dict[str, str] = {}
    chosen: dict[str, list[str]] = {}
    for name in wanted:
        chosen[name] = _known(groups, name, place)
        for group in chosen[name]:
            if group in taken:
                raise UserError(
                    f"{place}: '{taken[group]}' and '{name}' both stand for group '{group}': "
                    "each group needs one name"
                )
            taken[group] = name
    return chosen


def depth(group: str, groups: Iterable[str]) -> int:
    """How far below the head a group lies: what layer-wise decay is raised to.

    0 for heads, fusions and adapters, 1 for the highest layer and for what stands beside the
    layers, one more for each layer down, and the embeddings below the lowest. The groups of a tower
    count within it; a tower that is one group has depth 0.

    Args:
        group: One of ``groups``.
        groups: Those of a model.

    >>> groups = ["embeddings", "layers.0", "layers.1", "base", "head", "lora"]
    >>> [depth(each, groups) for each in groups]
    [3, 2, 1, 1, 0, 0]
    >>> groups = ["towers.a.embeddings", "towers.a.layers.0", "towers.b", "fusion"]
    >>> [depth(each, groups) for each in groups]
    [2, 1, 0, 0]
    >>> depth("base.pooler", ["layers.0", "base.pooler", "head"])
    1
    """
    group = group.removesuffix(".pooler")
    inside, _, last = re.sub(r"\blayers\.(?=\d+$)", "", group).rpartition(".")
    beginning = f"{inside}.layers." if inside else "layers."
    layers = [
        int(number)
        for each in groups
        if (number := each.removeprefix(beginning)) != each and number.isdecimal()
    ]
    if not layers:
        return 0
    if last.isdecimal():
        return sum(layer >= int(last) for layer in layers)
    return {"embeddings": len(layers) + 1, "base": 1}.get(last, 0)


def is_adapters(group: str) -> bool:
    """Whether a group is that of adapters.

    >>> is_adapters("lora"), is_adapters("towers.a.lora")
    (True, True)
    >>> is_adapters("towers.lora")  # a tower of this name
    False
    """
    return group == "lora" or (group.endswith(".lora") and group.count(".") > 1)


def _known(groups: Iterable[str], name: str, place: str) -> list[str]:
    """The groups that a name stands for.

    Raises:
        UserError: None.
    """
    names = list(groups)
    found = match(names, name)
    if not found:
        raise UserError(f"{place}: no group '{name}'{nearest(name, names)}")
    return found


def freeze(model: Any, names: Sequence[str]) -> None:
    """Let groups learn nothing.

    Args:
        model: Any that ``parameter_groups`` takes.
        names: By the names that ``match`` takes: ``towers`` stands for every group that begins with
            ``towers.``, but for adapters: what they adapt is frozen anyway, and they are there to
            learn.

    Raises:
        UserError: There is no such group, or nothing would be left that learns.
    """
    groups = parameter_groups(model)
    for name in names:
        for group in _known(groups, name, "model.freeze"):
            for parameter in groups[group]:
                parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"model.freeze: nothing is left to learn: {', '.join(groups)} are frozen")
