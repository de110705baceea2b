"""The wrappers that are built of their config alone, with new weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.inputs.processor import Processor
from hfpipe.models.families._base import (
    Blueprint,
    Family,
    built_from,
    check_keys,
    check_push,
    config_arguments,
    label_names,
    refuse,
)

if TYPE_CHECKING:
    from hfpipe.blocks import Model


@dataclass(frozen=True)
class Own(Family):
    """A wrapper of hfpipe whose inputs need no pretrained part.

    Attributes:
        module: Its module in ``hfpipe.models``.
        name: Its class.
    """

    module: str
    name: str

    @property
    def model_class(self) -> Any:
        """The wrapper's class; importing it is what costs."""
        return getattr(import_module(f"hfpipe.models.{self.module}"), self.name)

    def check_options(self, model: Model) -> None:
        """See the base."""
        refuse(model, "base", "scratch", "towers", "lora")
        check_push(model)
        check_keys(self.model_class.config_class, model)

    def build(self, plan: Blueprint) -> Any:
        """See the base."""
        arguments = config_arguments(plan.recipe.model, settled_config(plan.processor, plan.loss))
        with built_from(plan.recipe.model):
            return self.model_class(self.model_class.config_class(**arguments))

    def load(
        self, endpoint: Endpoint, repo_id: str, revision: str, processor: Processor | None
    ) -> tuple[Any, dict[str, Any]]:
        """See the base."""
        return load_own(endpoint, repo_id, revision), {}


def settled_config(processor: Processor, loss: Mapping[str, Any]) -> dict[str, Any]:
    """What data and loss say of a wrapper's config."""
    target = processor.target
    return {
        "inputs": processor.schema(),
        "problem_type": target.problem_type,
        **label_names(target),
        **loss,
    }


def load_own(endpoint: Endpoint, repo_id: str, revision: str) -> Any:
    """A pushed wrapper, by the installed code and never by that of the repo.

    Raises:
        UserError: The repo holds none, or one that lacks weights.
    """
    from transformers import AutoModel

    from hfpipe.models.registration import register
    from hfpipe.models.stock import loading

    register()
    with loading(endpoint, repo_id, revision, "model"):
        model, found = AutoModel.from_pretrained(
            repo_id,
            revision=revision,
            token=endpoint.token or False,
            dtype="float32",
            output_loading_info=True,
        )
    if found["missing_keys"]:
        raise UserError(
            f"model repo '{repo_id}' lacks weights, such as {sorted(found['missing_keys'])[0]}"
        )
    return model
