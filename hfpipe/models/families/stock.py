"""Stock classifiers: what is pushed is a class of transformers, which anybody's pipeline loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.repos import download
from hfpipe.inputs.processor import Processor
from hfpipe.models.families._base import Blueprint, Family, Opened, Origin, check_push, refuse

if TYPE_CHECKING:
    from hfpipe.blocks import Model
    from hfpipe.recipe import Recipe

ADAPTER = "adapter_config.json"


class Stock(Family):
    """A pretrained encoder with a stock head, on one input."""

    flat: ClassVar[bool] = True
    #: The stock class that holds the model.
    auto: ClassVar[str]
    #: The kind of its one input.
    input_kind: ClassVar[str]

    def check_options(self, model: Model) -> None:
        """See the base."""
        refuse(model, "config", "towers")
        check_push(model)

    def open(self, endpoint: Endpoint, recipe: Recipe) -> Opened:
        """See the base."""
        name = self._input(recipe)
        if not recipe.model.base:
            if not recipe.model.scratch:
                raise UserError(
                    "which base model? give --base-model ID, or model.base in the recipe"
                )
            return Opened(tools={name: self.scratch_tool(recipe.model.scratch)})
        origin = Origin.find(endpoint, recipe.model.base, recipe.model.revision)
        tool = self.tool(endpoint, origin.repo_id, origin.revision)
        return Opened({"base": origin}, {name: tool})

    def _input(self, recipe: Recipe) -> str:
        """The name of the one input."""
        kinds = {name: spec.kind for name, spec in recipe.data.inputs.items()}
        if list(kinds.values()) != [self.input_kind]:
            found = ", ".join(f"'{name}' ({kind})" for name, kind in kinds.items()) or "none"
            raise UserError(
                f"data.inputs: a {recipe.model.kind} model takes one {self.input_kind}, not {found}"
            )
        return next(iter(kinds))

    def build(self, plan: Blueprint) -> Any:
        """See the base; the loss is the Trainer's, since stock models know fewer."""
        from hfpipe.models import stock

        if "base" in plan.opened.origins:
            base = plan.opened.origins["base"]
            model = stock.new_classifier(
                plan.endpoint,
                base.repo_id,
                base.revision,
                plan.processor.target,
                plan.recipe.model.dropout,
                auto=self.auto,
            )
        else:
            model = stock.scratch_classifier(
                plan.recipe.model.scratch,
                plan.processor.target,
                plan.recipe.model.dropout,
                auto=self.auto,
            )
        model.started_from = plan.opened.origins.get("base")
        # Stages put adapters on when theirs is the turn.
        if plan.recipe.model.lora and not getattr(plan.recipe, "stages", None):
            from hfpipe.models.adapters import put_on

            put_on(model, plan.recipe.model.lora)
        return model

    def card_of(self, model: Model) -> str:
        """Adapters alone are no stock model."""
        return "adapter" if model.lora and model.push == "adapter" else self.card

    def finish(self, model: Any, recipe: Recipe, threshold: float | None) -> Any:
        """Adapters are folded in, unless they are to be pushed alone."""
        from hfpipe.models.adapters import as_adapter, fold_in, has_adapters

        if recipe.model.push == "adapter":
            return as_adapter(model, recipe.model.lora, getattr(model, "started_from", None))
        if has_adapters(model):
            fold_in(model)
        return model

    def save(self, model: Any, tools: Mapping[str, Any], folder: Path) -> None:
        """The tool lies beside the weights, where a pipeline looks for it."""
        model.save_pretrained(folder)
        for tool in tools.values():
            tool.save_pretrained(folder)

    def load(
        self, endpoint: Endpoint, repo_id: str, revision: str, processor: Processor | None
    ) -> tuple[Any, dict[str, Any]]:
        """See the base; adapters that were pushed alone are put on their base and folded in."""
        from hfpipe.models import stock

        if processor and download(endpoint, repo_id, "model", ADAPTER, revision):
            from hfpipe.models.adapters import load_adapters

            model = load_adapters(endpoint, repo_id, revision, processor.target, self.auto)
        else:
            model = stock.load_classifier(endpoint, repo_id, revision, self.auto)
        name = next(iter(processor.inputs)) if processor else self.input_kind
        return model, {name: self.tool(endpoint, repo_id, revision)}

    def tool(self, endpoint: Endpoint, repo_id: str, revision: str) -> Any:
        """The tokenizer or image processor of a repo."""
        raise NotImplementedError

    def scratch_tool(self, scratch: Mapping[str, Any]) -> Any:
        """The tool of a model with new weights.

        Raises:
            UserError: There can be none.
        """
        raise NotImplementedError


class StockText(Stock):
    """``sequence_classification``: a text and a stock head."""

    auto: ClassVar[str] = "AutoModelForSequenceClassification"
    input_kind: ClassVar[str] = "text"
    card: ClassVar[str] = "stock text"

    def tool(self, endpoint: Endpoint, repo_id: str, revision: str) -> Any:
        """The tokenizer."""
        from hfpipe.models.stock import load_tokenizer

        return load_tokenizer(endpoint, repo_id, revision)

    def scratch_tool(self, scratch: Mapping[str, Any]) -> Any:
        """None: a tokenizer must have been trained.

        Raises:
            UserError: Always.
        """
        raise UserError("model.scratch: a text model needs a base with a tokenizer: set model.base")


class StockImage(Stock):
    """``image_classification``: an image and a stock head."""

    auto: ClassVar[str] = "AutoModelForImageClassification"
    input_kind: ClassVar[str] = "image"
    card: ClassVar[str] = "stock image"

    def tool(self, endpoint: Endpoint, repo_id: str, revision: str) -> Any:
        """The image processor."""
        from hfpipe.models.stock import load_image_processor

        return load_image_processor(endpoint, repo_id, revision)

    def scratch_tool(self, scratch: Mapping[str, Any]) -> Any:
        """SigLIP's image processor, for the size that the config names."""
        from hfpipe.models.stock import scratch_image_processor

        return scratch_image_processor(scratch)
