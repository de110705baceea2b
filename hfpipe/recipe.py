"""Recipes: find them in their folder, compose them with Hydra, validate them against types.

A recipe holds a whole story in five blocks (``prepare``, ``data``, ``model``, ``training``,
``evaluation``). Fragments shared by several recipes lie in ``recipes/_base``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from importlib import resources
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, cast, get_args, get_origin, get_type_hints

from hfpipe.blocks import (
    Batches,
    Data,
    Evaluation,
    Group,
    Input,
    Loss,
    Model,
    Prepare,
    Recipe,
    Stage,
    Stopping,
    Suite,
    Tower,
)
from hfpipe.errors import UserError, nearest
from hfpipe.short_forms import spell_out

if TYPE_CHECKING:
    from omegaconf import DictConfig


__all__ = [
    "Batches",
    "Data",
    "Evaluation",
    "Group",
    "Input",
    "Loss",
    "Model",
    "Prepare",
    "Recipe",
    "Stage",
    "Stopping",
    "Suite",
    "Tower",
    "as_yaml",
    "commands",
    "load_recipe",
    "recipe_file",
    "recipe_names",
    "recipes_folder",
    "validate_training",
]

# What TrainingArguments could be told, but hfpipe settles: a token must not get into a recipe,
# which is recorded and pushed; the Trainer's smoothing would leave the recipe's loss and its
# weights out, or be left out itself.
SET_ELSEWHERE = {
    "output_dir": "--out DIR",
    "push_to_hub": "--target NAMESPACE/NAME",
    "hub_model_id": "--target NAMESPACE/NAME",
    "hub_token": "the environment's HF_TOKEN",
    "label_smoothing_factor": "model.loss.label_smoothing",
}


def recipes_folder() -> Path:
    """The folder that is the registry: one YAML a recipe."""
    return Path(str(resources.files("hfpipe.recipes")))


def recipe_names() -> list[str]:
    """The names of all recipes that ship with hfpipe."""
    return sorted(path.stem for path in recipes_folder().glob("*.yaml"))


def recipe_file(name: str) -> Path:
    """Find a recipe by name, or by the path of a YAML file.

    Raises:
        UserError: There is no such recipe or file.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UserError(f"recipe file {name} does not exist")
        return path.resolve()
    path = recipes_folder() / f"{name}.yaml"
    if not path.is_file() or "/" in name:
        raise UserError(f"no recipe '{name}'{nearest(name, recipe_names())}")
    return path


def commands(name: str) -> list[str]:
    """The commands in a recipe's first comment lines: how to run it."""
    lines = []
    for line in recipe_file(name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    return [line for line in lines if line.startswith("hfpipe ")]


def load_recipe(name: str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Recipe:
    """Compose and validate a recipe.

    Args:
        name: A recipe's name, or the path of a YAML file.
        overrides: ``key.subkey=value`` each, in Hydra's grammar (``data.label=topic``,
            ``training.learning_rate=3e-5``, ``prepare.sizes=[0.7,0.15,0.15]``); or keys with
            their values. ``null`` takes an input or a tower away.

    Returns:
        The recipe, with ``name`` set to the file's stem.

    Raises:
        UserError: Unknown recipe, key or type, named with what is near.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    path = recipe_file(name)
    try:
        composed = _with_long_forms(_composed(path), name)
        given = overrides.items() if isinstance(overrides, Mapping) else map(_parsed, overrides)
        for key, value in given:
            OmegaConf.update(composed, key, value, force_add=True)
        plain = cast(dict[str, Any], OmegaConf.to_container(composed, resolve=True))
    except OmegaConfBaseException as error:
        raise UserError(f"recipe {name}: {str(error).splitlines()[0]}") from error
    _spell(plain, name)
    _take_away(plain)
    plain["name"] = path.stem
    for key, options in _unknown_keys(plain, Recipe):
        raise UserError(f"recipe {name}: unknown key '{key}'{nearest(key, options)}")
    return _typed(plain, name)


def _with_long_forms(composed: DictConfig, name: str) -> DictConfig:
    """So that an override can change a part of what a short form says."""
    from omegaconf import OmegaConf

    plain = cast(dict[str, Any], OmegaConf.to_container(composed))
    _spell(plain, name)
    return OmegaConf.create(plain)


def _spell(plain: dict[str, Any], name: str) -> None:
    try:
        spell_out(plain)
    except UserError as error:
        raise UserError(f"recipe {name}: {error}") from error


def _take_away(plain: dict[str, Any]) -> None:
    """Leave out every input, tower, stage and group that is null: so a recipe's is taken away.

    ``rates``, ``stages`` and ``model.lora`` may be null as a whole.
    """
    for block, key in ((plain, "rates"), (plain, "stages"), (plain.get("model"), "lora")):
        if isinstance(block, dict) and key in block and block[key] is None:
            block[key] = {}
    stages = plain.get("stages")
    inside = stages.values() if isinstance(stages, dict) else ()
    for block, key in (
        (plain.get("data"), "inputs"),
        (plain.get("model"), "towers"),
        (plain, "rates"),
        (plain, "stages"),
        *((stage, "groups") for stage in inside),
    ):
        if isinstance(block, dict) and isinstance(block.get(key), dict):
            block[key] = {name: each for name, each in block[key].items() if each is not None}


def as_yaml(recipe: Recipe) -> str:
    """A recipe as composed, as YAML that ``load_recipe`` reads back to the same recipe."""
    import yaml

    plain = asdict(recipe)
    plain.pop("name")  # the file's name
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=False)


def validate_training(
    recipe: Recipe, given: Mapping[str, Any] | None = None, place: str = "training"
) -> None:
    """Check training arguments against the installed ``transformers.TrainingArguments``.

    Args:
        recipe: Its name is for messages.
        given: The arguments; by default the recipe's ``training``.
        place: What they are called.

    Raises:
        UserError: A key that ``TrainingArguments`` does not have, with the nearest names, or a
            value of the wrong type.
    """
    from transformers import TrainingArguments

    known = {each.name for each in fields(TrainingArguments) if each.init}
    # Typed for its command line, which cannot say that it is meant to be true or false.
    hints = get_type_hints(TrainingArguments) | {"fsdp": bool | str | None}
    for key, value in (recipe.training if given is None else given).items():
        if key in SET_ELSEWHERE:
            raise UserError(
                f"recipe {recipe.name}: {place}.{key} has another place: use {SET_ELSEWHERE[key]}"
            )
        if key not in known:
            near = nearest(f"{place}.{key}", sorted(f"{place}.{name}" for name in known))
            raise UserError(f"recipe {recipe.name}: unknown key '{place}.{key}'{near}")
        if not _fits(value, hints[key]):
            raise UserError(
                f"recipe {recipe.name}: {place}.{key}: '{value}' is not of type {hints[key]}"
            )


def _fits(value: Any, hint: Any) -> bool:
    """Whether a YAML value can be meant by a type hint; hints that are no plain type allow all.

    >>> _fits("many", float), _fits(2, float), _fits(None, int | None), _fits(True, int)
    (False, True, True, False)
    """
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    plain = {bool, int, float, str, NoneType}
    if not plain.issuperset(options):
        return True
    allowed = {float, int} if float in options else set()
    return type(value) in allowed.union(options)


def _composed(path: Path) -> DictConfig:
    """The YAML with its ``defaults`` resolved, from its own folder, then from ours."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(config_dir=str(path.parent), version_base=None):
            return compose(
                path.stem,
                overrides=[f"hydra.searchpath=[file://{recipes_folder()}]"],
            )
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        cause = " ".join(str(error).split())
        raise UserError(f"recipe file {path}: {cause[:300]}") from error


def _parsed(override: str) -> tuple[str, Any]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if "=" not in override:
        raise UserError(f"'{override}' is not an override: write key=value, as training.seed=7")
    try:
        parsed = OverridesParser.create().parse_override(override)
        if parsed.is_sweep_override() or parsed.is_delete():
            raise UserError(
                f"override '{override}': give one value to one key, as training.seed=7; a list is "
                "key=[a,b]"
            )
        return parsed.key_or_group, parsed.value()
    except HydraException as error:
        raise UserError(
            f"override '{override}' cannot be read ({str(error).splitlines()[0]}); quote text that "
            "has special characters: key='\"a, b\"'"
        ) from error


def _unknown_keys(values: dict, schema: type, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield every key that ``schema`` does not have, with the keys it has instead."""
    hints = {name: _plain(hint) for name, hint in get_type_hints(schema).items()}
    for key, value in values.items():
        if key not in hints:
            yield f"{prefix}{key}", [f"{prefix}{option}" for option in hints]
        elif is_dataclass(hints[key]) and isinstance(value, dict):
            yield from _unknown_keys(value, cast(type, hints[key]), f"{prefix}{key}.")
        elif get_origin(hints[key]) is dict and isinstance(value, dict):
            of = get_args(hints[key])[1]
            for name, block in value.items():
                if is_dataclass(of) and isinstance(block, dict):
                    yield from _unknown_keys(block, cast(type, of), f"{prefix}{key}.{name}.")


def _plain(hint: Any) -> Any:
    """A type hint without the None that may be there instead.

    >>> _plain(Stopping | None), _plain(int | str)
    (<class 'hfpipe.blocks.Stopping'>, int | str)
    """
    rest = [each for each in get_args(hint) if each is not NoneType]
    return rest[0] if get_origin(hint) in (Union, UnionType) and len(rest) == 1 else hint


def _typed(plain: dict[str, Any], name: str) -> Recipe:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    schema = OmegaConf.structured(Recipe)
    # Inputs that the recipe names, even none at all, take the place of the default one.
    if plain.get("data", {}).get("inputs") is not None:
        schema.data.inputs = {}
    try:
        return cast(Recipe, OmegaConf.to_object(OmegaConf.merge(schema, plain)))
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "?"
        cause = str(error).splitlines()[0]
        raise UserError(f"recipe {name}: {key}: {cause}") from error
