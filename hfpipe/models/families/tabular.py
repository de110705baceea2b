"""``ridge`` and ``gbdt``: models of scikit-learn, saved as skops."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

from hfpipe.blocks import Loss, Recipe
from hfpipe.errors import UserError, nearest
from hfpipe.hub.endpoint import Endpoint
from hfpipe.inputs.processor import Processor
from hfpipe.models.families._base import Blueprint, Family, check_push, refuse

if TYPE_CHECKING:
    from hfpipe.blocks import Model
    from hfpipe.models.tabular_model import TabularModel

FILES = ("tabular.json", "tabular.skops", "projector.safetensors")
KINDS = ("numeric", "categorical", "vector")


@dataclass
class TabularFit:
    """A tabular model with what makes a table of a batch; ``model`` is None until it is fitted.

    Attributes:
        family: A key of ``hfpipe.models.tabular.FAMILIES``.
        strategy: How the vectors are fused; see ``hfpipe.models.parts.fusion.STRATEGIES``.
        options: Of the family.
        model: What was fitted.
    """

    family: str
    strategy: str = "concat"
    options: dict[str, Any] = field(default_factory=dict)
    model: TabularModel | None = None

    def save_pretrained(self, folder: Path) -> None:
        """Write the fitted model; the strategy with it."""
        import json

        assert self.model is not None
        self.model.save(folder)
        summary = json.loads((folder / FILES[0]).read_text(encoding="utf-8"))
        text = json.dumps({**summary, "strategy": self.strategy}, indent=2)
        (folder / FILES[0]).write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Tabular(Family):
    """One of the tabular models.

    Attributes:
        name: Which.
    """

    card: ClassVar[str] = "tabular"

    name: str

    def check_options(self, model: Model) -> None:
        """See the base."""
        from hfpipe.models.parts.fusion import STRATEGIES
        from hfpipe.models.tabular import FAMILIES

        refuse(model, "base", "scratch", "towers", "lora", "freeze", "dropout")
        check_push(model)
        if model.loss != Loss():
            raise UserError(f"model.loss: a {self.name} model has its own loss: leave it empty")
        strategy = str(model.config.get("strategy", "concat"))
        if strategy not in STRATEGIES:
            near = nearest(strategy, STRATEGIES)
            raise UserError(f"model.config.strategy: no '{strategy}'{near}")
        known = ("strategy", *FAMILIES[self.name].options)
        for key in model.config:
            if key not in known:
                raise UserError(
                    f"model.config.{key}: a {self.name} has no such{nearest(key, known)}"
                )

    def check_training(self, recipe: Recipe) -> None:
        """See the base."""
        for name in ("rates", "stages", "early_stopping", "batches"):
            if getattr(recipe, name) != getattr(Recipe(), name):
                raise UserError(
                    f"recipe {recipe.name}: {name}: a {self.name} model has no Trainer: leave it "
                    "out"
                )
        unknown = sorted(set(recipe.training) - {"seed"})
        if unknown:
            raise UserError(
                f"recipe {recipe.name}: training.{unknown[0]}: a {self.name} model has no Trainer; "
                "only training.seed counts"
            )

    def build(self, plan: Blueprint) -> TabularFit:
        """See the base; nothing is fitted yet."""
        if plan.processor.task != "regression":
            raise UserError(
                f"data.task: a {self.name} model is for regression, not for '{plan.processor.task}'"
            )
        for name, each in plan.processor.inputs.items():
            kind = each.schema()["kind"]
            if kind not in KINDS:
                raise UserError(
                    f"data.inputs.{name}: a {self.name} model takes {', '.join(KINDS)}, no {kind}"
                )
        options = dict(plan.recipe.model.config)
        strategy = options.pop("strategy", "concat")
        _check_sizes(plan.processor, strategy)
        return TabularFit(self.name, strategy, options)

    def load(
        self, endpoint: Endpoint, repo_id: str, revision: str, processor: Processor | None
    ) -> tuple[TabularFit, dict[str, Any]]:
        """See the base."""
        import json
        import shutil

        from hfpipe.hub.repos import download
        from hfpipe.models.tabular import load_tabular

        with TemporaryDirectory() as scratch:
            for name in FILES:
                found = download(endpoint, repo_id, "model", name, revision)
                if found is not None:
                    shutil.copy(found, Path(scratch) / name)
            try:
                model = load_tabular(scratch)
            except UserError as error:
                said = str(error).replace(f"{scratch}/", "").removeprefix(f"{scratch}: ")
                raise UserError(f"model repo '{repo_id}': {said}") from error
            summary = json.loads((Path(scratch) / FILES[0]).read_text(encoding="utf-8"))
        return TabularFit(self.name, summary.get("strategy", "concat"), {}, model), {}


def _check_sizes(processor: Processor, strategy: str) -> None:
    """Refuse to pool vectors that do not fit on each other.

    Raises:
        UserError: Two of them have other dimensions.
    """
    from hfpipe.models.parts.fusion import POOLED

    found = {name: each["dim"] for name, each in processor.schema().items() if "dim" in each}
    if strategy in POOLED and len(set(found.values())) > 1:
        named = ", ".join(f"'{name}' has {dim}" for name, dim in found.items())
        raise UserError(
            f"model.config.strategy: {strategy} needs vectors of one dimension, and {named}: use "
            "concat"
        )
