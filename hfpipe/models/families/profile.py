"""``profile``: a sequence model is trained, and wrapped with an aggregation for its authors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError, nearest
from hfpipe.hub.endpoint import Endpoint
from hfpipe.inputs.processor import Processor
from hfpipe.models.families._base import (
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
    from hfpipe.recipe import Recipe

AGGREGATED = ("aggregation", "threshold")
"""Those of ``ProfileConfig`` that a recipe may set; the rest is the sequence model's."""


class Profile(Family):
    """Sequences learn one by one; their authors are judged by all of theirs."""

    def check_options(self, model: Model) -> None:
        """See the base."""
        from dataclasses import replace

        from hfpipe.models.profile import AGGREGATIONS
        from hfpipe.models.sequence import SequenceConfig

        refuse(model, "scratch", "towers", "lora")
        check_push(model)
        own = {key: each for key, each in model.config.items() if key not in AGGREGATED}
        check_keys(SequenceConfig, replace(model, config=own))
        chosen = str(model.config.get("aggregation", "mean"))
        if chosen not in AGGREGATIONS:
            near = nearest(chosen, AGGREGATIONS)
            raise UserError(f"model.config.aggregation: no '{chosen}'{near}")
        vote = model.config.get("threshold", 0.5)
        if not isinstance(vote, int | float) or not 0 <= vote <= 1:
            raise UserError(f"model.config.threshold: '{vote}' is no probability: give 0 to 1")

    def open(self, endpoint: Endpoint, recipe: Recipe) -> Opened:
        """See the base; ``model.base`` may name a pushed sequence model to start from."""
        if not recipe.evaluation.group_by:
            raise UserError(
                "evaluation.group_by: which column says whose sequence a row is? give "
                "evaluation.group_by=COLUMN"
            )
        if recipe.evaluation.threshold_for != "f1":
            raise UserError(
                f"evaluation.threshold_for: '{recipe.evaluation.threshold_for}': a profile has a "
                "threshold for every aggregation, each for the best F1: leave it out"
            )
        if not recipe.model.base:
            return Opened()
        origin = Origin.find(endpoint, recipe.model.base, recipe.model.revision)
        return Opened({"base": origin})

    def build(self, plan: Blueprint) -> Any:
        """The sequence model: a new one, or that of ``model.base``."""
        from dataclasses import replace

        from hfpipe.models.sequence import SequenceConfig, SequenceModel

        if plan.processor.task != "binary":
            raise UserError(
                f"data.task: a profile has two classes, and '{plan.processor.task}' is not binary: "
                "set data.task=binary"
            )
        settled = settled_config(plan.processor, plan.loss)
        own = {key: each for key, each in plan.recipe.model.config.items() if key not in AGGREGATED}
        arguments = config_arguments(replace(plan.recipe.model, config=own), settled)
        if "base" not in plan.opened.origins:
            with built_from(plan.recipe.model):
                return SequenceModel(SequenceConfig(**arguments))
        base = plan.opened.origins["base"]
        model = load_own(plan.endpoint, base.repo_id, base.revision)
        if not isinstance(model, SequenceModel) or model.config.inputs != settled["inputs"]:
            raise UserError(
                f"model.base: '{base.repo_id}' is no sequence model of these inputs: it is a "
                f"{model.config.model_type} of {model.config.inputs}"
            )
        model.config.update(dict(plan.loss))
        return model

    def finish(self, model: Any, recipe: Recipe, threshold: float | None) -> Any:
        """The profile of the trained sequence model, whose votes count from ``threshold`` on."""
        from hfpipe.models.profile import ProfileModel

        chosen = {key: recipe.model.config[key] for key in AGGREGATED if key in recipe.model.config}
        vote = {} if threshold is None else {"threshold": threshold}
        labels = {"id2label": model.config.id2label, "label2id": model.config.label2id}
        return ProfileModel.from_sequence(model, **{**vote, **chosen, **labels})

    def load(
        self, endpoint: Endpoint, repo_id: str, revision: str, processor: Processor | None
    ) -> tuple[Any, dict[str, Any]]:
        """See the base."""
        return load_own(endpoint, repo_id, revision), {}
