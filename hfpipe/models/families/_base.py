"""What every family of models can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from transformers import PreTrainedConfig

from hfpipe.errors import UserError, nearest
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.repos import find
from hfpipe.inputs.processor import Processor
from hfpipe.inputs.targets import LabelSpec

if TYPE_CHECKING:
    from hfpipe.blocks import Model
    from hfpipe.inputs.kinds import Kind
    from hfpipe.recipe import Recipe

TOOLS = "tools"
"""The folder of a repo that holds each input's tokenizer or image processor."""
PUSHES = ("merged", "adapter")
"""What ``model.push`` may be."""


@dataclass(frozen=True)
class Origin:
    """What a model started from: a repo at a commit."""

    repo_id: str
    revision: str

    @classmethod
    def find(cls, endpoint: Endpoint, name: str, revision: str | None = None) -> Origin:
        """Resolve ``NAMESPACE/NAME[@REVISION]``.

        Raises:
            UserError: See ``hfpipe.hub.repos.resolve``.
        """
        return cls(*find(endpoint, name, "model", revision))


@dataclass(frozen=True)
class Opened:
    """What a family found on the Hub, before any row is read.

    Attributes:
        origins: ``base`` or a tower's name → what it starts from.
        tools: Input name → tokenizer or image processor.
        inputs: Input name → its state, where it was fitted with a model that is used again.
        trained_on: Tower → the dataset that it learnt from, as ``repo_id`` and ``revision``.
    """

    origins: dict[str, Origin] = field(default_factory=dict)
    tools: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Kind] = field(default_factory=dict)
    trained_on: dict[str, dict[str, Any]] = field(default_factory=dict)

    def doubts(self, repo_id: str, revision: str) -> list[str]:
        """What to tell of towers that learnt from other rows, and may know test rows.

        >>> Opened(trained_on={"text": {"repo_id": "a/b", "revision": "1"}}).doubts("a/c", "1")
        ["tower 'text' learnt from dataset 'a/b', not from 'a/c': it may know test rows"]
        """
        found = []
        for name, each in self.trained_on.items():
            if not each or (each.get("repo_id"), each.get("revision")) == (repo_id, revision):
                continue
            same = each.get("repo_id") == repo_id
            other = "another version of it" if same else f"'{each.get('repo_id')}'"
            named = "this dataset" if same else f"'{repo_id}'"
            found.append(
                f"tower '{name}' learnt from "
                + (other if same else f"dataset {other}")
                + (", whose splits may differ" if same else f", not from {named}")
                + ": it may know test rows"
            )
        return found


@dataclass(frozen=True)
class Blueprint:
    """All that a model is built from.

    Attributes:
        endpoint: The Hub.
        recipe: Its ``model`` block.
        opened: What ``Family.open`` found.
        processor: Fitted on train.
        loss: See ``hfpipe.models.loss_settings``.
    """

    endpoint: Endpoint
    recipe: Recipe
    opened: Opened
    processor: Processor
    loss: Mapping[str, Any]


class Family(ABC):
    """A way to open, build, save and load models; it holds nothing of any one of them."""

    #: Whether a batch is its one input's tensors, as stock models take them.
    flat: ClassVar[bool] = False
    #: What the model card says of it.
    card: ClassVar[str] = "own"

    @abstractmethod
    def check_options(self, model: Model) -> None:
        """Look at what can be known without a Hub.

        Raises:
            UserError: The recipe's ``model`` block has what this kind has no use for.
        """

    def check_training(self, recipe: Recipe) -> None:
        """Look at the ``training`` block, which the Trainer knows but a kind may have no use for.

        Raises:
            UserError: It has a key that says nothing to this kind.
        """
        return

    def open(self, endpoint: Endpoint, recipe: Recipe) -> Opened:
        """Look at what the model starts from, before any row is read.

        Raises:
            UserError: It is not there, or is nothing that this kind can start from.
        """
        return Opened()

    @abstractmethod
    def build(self, plan: Blueprint) -> Any:
        """The model to train, in float32.

        Raises:
            UserError: No such model can be built.
        """

    def card_of(self, model: Model) -> str:
        """What the model card says of it."""
        return self.card

    def finish(self, model: Any, recipe: Recipe, threshold: float | None) -> Any:
        """The model to push, made of the trained one."""
        return model

    def save(self, model: Any, tools: Mapping[str, Any], folder: Path) -> None:
        """Write all that ``load`` needs but for the processor."""
        model.save_pretrained(folder)
        for name, tool in tools.items():
            tool.save_pretrained(folder / TOOLS / name)

    @abstractmethod
    def load(
        self, endpoint: Endpoint, repo_id: str, revision: str, processor: Processor | None
    ) -> tuple[Any, dict[str, Any]]:
        """A pushed model in float32, and its tools.

        Args:
            endpoint: The Hub.
            repo_id: The model repo.
            revision: Its commit.
            processor: As pushed with it; None for a model that hfpipe did not make.

        Raises:
            UserError: The repo holds no such model.
        """


def label_names(target: LabelSpec) -> dict[str, Any]:
    """``id2label`` and ``label2id`` of a config; ``num_labels`` where there are no classes."""
    if not target.labels:
        return {"num_labels": 1}
    return {
        "id2label": dict(enumerate(target.labels)),
        "label2id": {label: index for index, label in enumerate(target.labels)},
    }


SETTLED = {
    *("inputs", "problem_type", "towers", "sequence", "num_labels", "id2label", "label2id", "loss"),
    *("class_weights", "pos_weight", "label_smoothing", "focal_gamma", "huber_delta", "dropout"),
}
"""What of a config is said elsewhere in a recipe, or by the data."""


def check_keys(config_class: type, model: Model) -> None:
    """Refuse a ``model.config`` that its class does not have.

    Raises:
        UserError: With the nearest name.
    """
    stock = {each.name for each in fields(PreTrainedConfig)}
    free = sorted({each.name for each in fields(config_class)} - stock - SETTLED)
    for key in model.config:
        if key not in free:
            raise UserError(f"model.config.{key}: a {model.kind} has no such{nearest(key, free)}")


def refuse(model: Model, *names: str) -> None:
    """Refuse what a kind has no use for.

    >>> from hfpipe.blocks import Model
    >>> refuse(Model(kind="ridge", base="a/b"), "base")
    Traceback (most recent call last):
    ...
    hfpipe.errors.UserError: model.base: a ridge model has no use for it: leave it empty

    Raises:
        UserError: The recipe gives it.
    """
    for name in names:
        if getattr(model, name):
            raise UserError(f"model.{name}: a {model.kind} model has no use for it: leave it empty")


def check_push(model: Model) -> None:
    """Refuse a ``model.push`` that there is not, or that nothing in the model is for.

    >>> from hfpipe.blocks import Model
    >>> check_push(Model(push="adapter"))
    Traceback (most recent call last):
    ...
    hfpipe.errors.UserError: model.push: 'adapter' is for a model with adapters: set model.lora

    Raises:
        UserError: See above.
    """
    if model.push not in PUSHES:
        raise UserError(f"model.push: no '{model.push}'{nearest(model.push, PUSHES)}")
    if model.push != "merged" and not model.lora:
        raise UserError(f"model.push: '{model.push}' is for a model with adapters: set model.lora")


@contextmanager
def built_from(model: Model) -> Iterator[None]:
    """Say clearly that no model can be built with the recipe's options.

    Raises:
        UserError: torch or the config refuses a value.
    """
    from huggingface_hub.errors import StrictDataclassError

    refused = (TypeError, ValueError, RuntimeError, AssertionError, ZeroDivisionError)
    try:
        yield
    except (*refused, StrictDataclassError) as error:
        said = ", ".join(f"{key}={value}" for key, value in model.config.items())
        given = f" ({said})" if said else ""
        cause = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"model.config{given}: no {model.kind} can be built: {cause}") from error


def config_arguments(model: Model, settled: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a config: the recipe's, and what is settled by data and loss."""
    dropout = {} if model.dropout is None else {"dropout": model.dropout}
    return {**settled, **dropout, **model.config}
