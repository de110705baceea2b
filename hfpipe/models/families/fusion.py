"""``late_fusion``: towers pulled from their own repos, with the inputs they were fitted on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hfpipe.blocks import Input, Tower
from hfpipe.errors import UserError, nearest
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.repos import STORY, download, read_json
from hfpipe.inputs.processor import ARRAYS_NAME, FILE_NAME, Processor
from hfpipe.models.families._base import (
    TOOLS,
    Blueprint,
    Family,
    Opened,
    Origin,
    built_from,
    check_keys,
    check_push,
    config_arguments,
    refuse,
)
from hfpipe.models.families.own import load_own, settled_config

if TYPE_CHECKING:
    from hfpipe.blocks import Model
    from hfpipe.inputs.kinds import Kind
    from hfpipe.recipe import Recipe

STOCK = ("sequence_classification", "image_classification")
"""Kinds whose tool lies beside their weights, not in a folder of its own."""


@dataclass(frozen=True)
class Found:
    """A tower's repo.

    Attributes:
        origin: Which.
        inputs: What it was fitted on, by the names that the fusion has for them.
        old_names: The fusion's name of each → its own.
        kind: Its ``model.kind``; None where hfpipe did not make it.
        dataset: The dataset it was trained on, as ``repo_id`` and ``revision``.
    """

    origin: Origin
    inputs: dict[str, Kind]
    old_names: dict[str, str]
    kind: str | None
    dataset: dict[str, Any]


class LateFusion(Family):
    """Towers from their repos, fused."""

    def check_options(self, model: Model) -> None:
        """See the base."""
        from hfpipe.models.late_fusion import LateFusionConfig

        refuse(model, "base", "scratch", "lora")
        check_push(model)
        check_keys(LateFusionConfig, model)

    def open(self, endpoint: Endpoint, recipe: Recipe) -> Opened:
        """See the base."""
        if not recipe.model.towers:
            raise UserError(
                "model.towers is empty: name the models to fuse, as "
                "model.towers.text.model=NAMESPACE/NAME"
            )
        tools: dict[str, Any] = {}
        inputs: dict[str, Kind] = {}
        origins: dict[str, Origin] = {}
        trained_on: dict[str, dict[str, Any]] = {}
        for name, tower in recipe.model.towers.items():
            found = find_tower(endpoint, name, tower, recipe)
            origins[name] = found.origin
            for each, kind in found.inputs.items():
                if inputs.setdefault(each, kind) != kind:
                    raise UserError(
                        f"model.towers.{name}: '{found.origin.repo_id}' was fitted with another "
                        f"input '{each}' than the tower before it: give one of them other names"
                    )
                _check_described(name, found, each, recipe.data.inputs.get(each))
            tools |= tower_tools(endpoint, name, tower, found, recipe)
            trained_on[name] = found.dataset
        return Opened(origins, tools, inputs, trained_on)

    def build(self, plan: Blueprint) -> Any:
        """See the base; only projections, fusion and head are new."""
        from hfpipe.hub.repos import hub_errors
        from hfpipe.models.late_fusion import LateFusionModel

        config = config_arguments(plan.recipe.model, settled_config(plan.processor, plan.loss))
        inputs = config.pop("inputs")
        towers = plan.recipe.model.towers
        # What the towers bring is described by the processor; the rest is their repos'.
        named = ", ".join(tower.model for tower in towers.values())
        with hub_errors(plan.endpoint, named), built_from(plan.recipe.model):
            return LateFusionModel.from_towers(
                {name: plan.opened.origins[name].repo_id for name in towers},
                inputs=inputs,
                options={
                    name: _options(tower, staged=bool(plan.recipe.stages))
                    for name, tower in towers.items()
                },
                loading={
                    name: {
                        "revision": plan.opened.origins[name].revision,
                        "token": plan.endpoint.token or False,
                    }
                    for name in towers
                },
                **config,
            )

    def load(
        self, endpoint: Endpoint, repo_id: str, revision: str, processor: Processor | None
    ) -> tuple[Any, dict[str, Any]]:
        """See the base."""
        model = load_own(endpoint, repo_id, revision)
        inputs = processor.inputs if processor else {}
        tools = {
            name: load_tool(endpoint, Origin(repo_id, revision), each.tool, f"{TOOLS}/{name}")
            for name, each in inputs.items()
            if each.tool
        }
        return model, tools


def _options(tower: Tower, staged: bool) -> dict[str, Any]:
    """What a tower is built with; its adapters only where no stage will put them on."""
    options: dict[str, Any] = {"pool": tower.pool}
    if tower.inputs:
        options["inputs"] = list(tower.inputs)
    if tower.lora and not staged:
        options["lora"] = dict(tower.lora)
    return options


def find_tower(endpoint: Endpoint, name: str, tower: Tower, recipe: Recipe) -> Found:
    """A tower's repo and the inputs it was fitted on.

    Raises:
        UserError: No such repo, or it is no model that can be a tower.
    """
    if not tower.model:
        raise UserError(f"model.towers.{name}.model: which repo? write NAMESPACE/NAME[@REVISION]")
    origin = Origin.find(endpoint, tower.model)
    story, kind = pushed_story(endpoint, origin.repo_id, origin.revision)
    if kind in ("ridge", "gbdt"):
        raise UserError(
            f"model.towers.{name}: '{origin.repo_id}' is a {kind} model: it has no vector to fuse"
        )
    processor = pushed_processor(endpoint, origin.repo_id, origin.revision)
    own = dict(processor.inputs) if processor else {}
    names = {each: each for each in own}
    if kind in STOCK and len(own) == 1:
        # An encoder's input is called as its tower, so that two of them do not collide.
        names = dict(zip(tower.inputs or [name], own, strict=True))
    inputs = {new: own[old] for new, old in names.items()}
    return Found(origin, inputs, names, kind, story.get("dataset") or {})


def _check_described(tower: str, found: Found, name: str, described: Input | None) -> None:
    """Refuse a recipe that describes an input of a tower otherwise than the tower was fitted.

    Raises:
        UserError: Another kind, or other columns.
    """
    if described is None:
        return
    place = f"data.inputs.{name}: tower '{tower}' ('{found.origin.repo_id}') was fitted with"
    kind = str(found.inputs[name].schema()["kind"])
    if described.kind != kind:
        raise UserError(f"{place} {kind}, not {described.kind}: leave it out, or use another tower")
    columns = list(found.inputs[name].columns)
    if described.columns and list(described.columns) != columns:
        raise UserError(f"{place} {', '.join(columns)}: leave it out, or name these columns")


def tower_tools(
    endpoint: Endpoint, name: str, tower: Tower, found: Found, recipe: Recipe
) -> dict[str, Any]:
    """The tokenizers and image processors of a tower's inputs.

    Raises:
        UserError: An encoder whose input the recipe does not describe.
    """
    from hfpipe.inputs.kinds import kind_class

    if not found.inputs:
        wanted = (tower.inputs or [name])[0]
        if wanted not in recipe.data.inputs:
            raise UserError(
                f"model.towers.{name}: '{found.origin.repo_id}' was not made by hfpipe, so "
                f"data.inputs.{wanted} must say what it reads{nearest(wanted, recipe.data.inputs)}"
            )
        tool = kind_class(recipe.data.inputs[wanted].kind).tool
        return {wanted: load_tool(endpoint, found.origin, tool)} if tool else {}
    return {
        new: load_tool(
            endpoint,
            found.origin,
            each.tool,
            "" if found.kind in STOCK else f"{TOOLS}/{found.old_names[new]}",
        )
        for new, each in found.inputs.items()
        if each.tool
    }


def load_tool(endpoint: Endpoint, origin: Origin, tool: str, folder: str = "") -> Any:
    """A tokenizer or an image processor, by the words that an input kind has for it."""
    from hfpipe.models import stock

    loaders = {"tokenizer": stock.load_tokenizer, "image processor": stock.load_image_processor}
    return loaders[tool](endpoint, origin.repo_id, origin.revision, folder)


def pushed_story(
    endpoint: Endpoint, repo_id: str, revision: str
) -> tuple[dict[str, Any], str | None]:
    """``hfpipe/run.json`` and the ``model.kind`` in it; nothing where hfpipe made no such repo.

    Raises:
        UserError: It is damaged.
    """
    story = read_json(endpoint, repo_id, "model", STORY, revision)
    if story is None:
        return {}, None
    try:
        return story, story.get("config", {}).get("model", {}).get("kind")
    except AttributeError as error:
        raise UserError(
            f"model repo '{repo_id}': hfpipe/run.json is damaged: no config.model can be read"
        ) from error


def pushed_processor(endpoint: Endpoint, repo_id: str, revision: str) -> Processor | None:
    """The processor that was pushed with a model; None where there is none.

    Raises:
        UserError: It is damaged.
    """
    state = download(endpoint, repo_id, "model", FILE_NAME, revision)
    if state is None:
        return None
    arrays = download(endpoint, repo_id, "model", ARRAYS_NAME, revision)
    try:
        content = state.read_bytes()
        return Processor.from_files(content, arrays.read_bytes() if arrays else None)
    except UserError as error:
        raise UserError(f"model repo '{repo_id}': {error}") from error


def with_towers(recipe: Recipe, opened: Opened) -> Recipe:
    """The recipe with the inputs that its towers bring, so that their columns are checked too."""
    brought = {
        name: Input(kind=str(kind.schema()["kind"]), columns=list(kind.columns))
        for name, kind in opened.inputs.items()
    }
    both = {**recipe.data.inputs, **brought}
    return replace(recipe, data=replace(recipe.data, inputs=both)) if brought else recipe
