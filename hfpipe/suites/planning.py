"""What a suite is to run: its cells, each a composed recipe with a name of its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, cast

from hfpipe.errors import UserError, nearest
from hfpipe.recipe import Group, Recipe, load_recipe, validate_training
from hfpipe.short_forms import FIELDS, group_of

DATASET, RATES = "data.dataset", "rates."
NO_CHOICE = "default"
FEWEST = 2


@dataclass(frozen=True)
class Cell:
    """One run of a suite.

    Attributes:
        name: Parts joined by ``-``, as in its repo's name.
        horizon: The part of its dataset.
        family: The part of its recipe.
        strategy: The parts of whatever else varies.
        recipe: Composed, ``data.dataset`` and all.
        values: What was varied.
    """

    name: str
    horizon: str
    family: str
    strategy: str
    recipe: Recipe
    values: Mapping[str, Any]

    @property
    def place(self) -> PurePosixPath:
        """Its folder below the suite's."""
        return PurePosixPath("cells") / self.horizon / self.family / self.strategy

    @property
    def dataset(self) -> str:
        """The dataset that it learns from."""
        return str(self.recipe.data.dataset)


def plan(
    suite: Recipe,
    dataset: str | None = None,
    overrides: Sequence[str] | Mapping[str, Any] = (),
) -> list[Cell]:
    """All cells of a suite, in the order in which they run.

    Args:
        suite: A recipe with a ``suite:`` block.
        dataset: For all cells, where the suite does not vary ``data.dataset``.
        overrides: For every cell, beside what it varies; as ``load_recipe`` takes them.

    Raises:
        UserError: What the block says cannot be run.
    """
    wanted, vary = suite.suite, dict(suite.suite.vary)
    _check(suite, vary, dataset)
    plain = {name: load_recipe(name, overrides) for name in wanted.recipes}
    for key in vary:
        _check_key(suite.name, key, list(plain.values()))
    families = dict(zip(plain, parts_of([each.name for each in plain.values()]), strict=True))
    names = {
        key: dict(zip(map(repr, vary[key]), _value_parts(key, vary[key]), strict=True))
        for key in vary
    }
    cells = []
    for chosen in _combinations(vary):
        for name in wanted.recipes:
            recipe = _with_values(plain[name], chosen)
            recipe.data.dataset = recipe.data.dataset or dataset
            recipe.evaluation.baselines = False  # the suite's own, once a dataset
            if not recipe.data.dataset:
                raise UserError(
                    f"recipe {suite.name}: which dataset? vary data.dataset, or give --dataset"
                )
            validate_training(recipe)
            parts = {key: names[key][repr(value)] for key, value in chosen.items()}
            rest = [part for key, part in parts.items() if key != DATASET]
            horizon = parts.get(DATASET) or slug(_bare(recipe.data.dataset))
            strategy = "-".join(rest) or NO_CHOICE
            title = "-".join([families[name], *rest, *([horizon] if DATASET in parts else [])])
            cells.append(Cell(title, horizon, families[name], strategy, recipe, chosen))
    _check_names(suite.name, cells)
    return cells


def _check(suite: Recipe, vary: Mapping[str, Sequence[Any]], dataset: str | None) -> None:
    block = suite.suite
    if not block.recipes:
        raise UserError(f"recipe {suite.name}: suite.recipes is empty: name the recipes to run")
    twice = [name for name in block.recipes if block.recipes.count(name) > 1]
    if twice:
        raise UserError(f"recipe {suite.name}: suite.recipes: '{twice[0]}' stands there twice")
    for key, values in vary.items():
        if not values:
            raise UserError(f"recipe {suite.name}: suite.vary.{key} is empty: give its values")
    if dataset and DATASET in vary:
        raise UserError(
            f"--dataset: recipe {suite.name} names its datasets itself; change them with "
            "'suite.vary={data.dataset:[NS/NAME,...]}'"
        )
    if block.folds and (block.folds < FEWEST or block.repeats < 1):
        raise UserError(
            f"recipe {suite.name}: suite.folds={block.folds}, suite.repeats={block.repeats}: at "
            "least 2 folds, once; suite.folds=0 for no stacking"
        )


def _combinations(vary: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*vary.values()):
        yield dict(zip(vary, values, strict=True))


def _with_values(recipe: Recipe, chosen: Mapping[str, Any]) -> Recipe:
    """A copy of a recipe with other values, of the types that its keys have.

    Raises:
        UserError: A value of another type.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    typed = OmegaConf.structured(recipe)
    for key, value in chosen.items():
        group = key.removeprefix(RATES)
        try:
            if group == key or group.rpartition(".")[2] in FIELDS:
                OmegaConf.update(typed, key, value, force_add=True)
            else:
                typed.rates[group] = Group(**group_of(value, f"suite.vary.{key}"))
        except OmegaConfBaseException as error:
            cause = str(error).splitlines()[0]
            raise UserError(f"recipe {recipe.name}: suite.vary.{key}: {cause}") from error
    return cast(Recipe, OmegaConf.to_object(typed))


def _check_key(suite: str, key: str, recipes: Sequence[Recipe]) -> None:
    """A key that no recipe has is a slip of the pen, not something new to learn with."""
    known = {name for recipe in recipes for name in _keys(asdict(recipe))}
    if key not in known and not key.startswith(("training.", RATES)):
        raise UserError(f"recipe {suite}: suite.vary: no recipe has '{key}'{nearest(key, known)}")


def _keys(block: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in block.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")


def _value_parts(key: str, values: Sequence[Any]) -> list[str]:
    if key == DATASET:
        return parts_of([_bare(str(value)) for value in values])
    return [slug(str(value)) for value in values]


def _bare(dataset: str) -> str:
    """``NAMESPACE/NAME@REVISION`` → ``NAME``."""
    return dataset.partition("@")[0].rpartition("/")[2]


def parts_of(names: Sequence[str]) -> list[str]:
    """What tells names apart: each without the words that all of them begin with.

    >>> parts_of(["virality_ridge", "virality_concat_mlp"]), parts_of(["set-7", "set-30"])
    (['ridge', 'concat-mlp'], ['7', '30'])
    >>> parts_of(["set-7"])
    ['set-7']
    """
    same = itertools.takewhile(lambda signs: len(set(signs)) == 1, zip(*names, strict=False))
    common = "".join(signs[0] for signs in same) if len(names) > 1 else ""
    cut = max(common.rfind("_"), common.rfind("-")) + 1
    shorter = [name[cut:] for name in names]
    return [slug(name) for name in (shorter if all(shorter) else names)]


def slug(value: str) -> str:
    """A value as a part of a repo's and a folder's name.

    >>> slug("sum_pool"), slug("1e-3"), slug("[4, 2]"), slug("/")
    ('sum-pool', '1e-3', '4-2', 'x')
    """
    return re.sub(r"[^A-Za-z0-9.]+", "-", value).strip("-.") or "x"


def _check_names(suite: str, cells: Sequence[Cell]) -> None:
    seen: set[PurePosixPath] = set()
    for cell in cells:
        if cell.place in seen:
            raise UserError(
                f"recipe {suite}: two cells would both be called '{cell.name}': two values of "
                "suite.vary are the same, or differ in signs alone"
            )
        seen.add(cell.place)
