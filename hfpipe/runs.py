"""A run before it learns: recipe, data and model brought together, and all of it checked."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.blocks import Evaluation
from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.publish import check_writable
from hfpipe.processes import count, on_main
from hfpipe.recipe import Recipe, validate_training
from hfpipe.rows.paths import writable_parent

if TYPE_CHECKING:
    from hfpipe.inputs.training_data import TrainingData
    from hfpipe.metrics.tasks import Task
    from hfpipe.models.families import Opened
    from hfpipe.training.engines import Learning


@dataclass(frozen=True)
class FinetuneOptions:
    """What a run needs beside its recipe.

    Attributes:
        target: Model repo to push to; by default the recipe's name in the token's namespace.
        out: Run folder; by default ``runs/<recipe>/<time>``.
        rows: Train on at most so many rows (``--downsample``).
        public: Whether a new model repo is public.
        wandb: Whether to track the run with W&B.
        wandb_key: W&B API key, where it is not in the environment.
        wandb_output: Folder for the run's HTML report; by default the run folder.
        group: What stands together in W&B; by default the runs of a recipe.
        tracking: Folder for the trackers' files; by default the run folder.
        quiet: No progress bars.
        resume: Go on with the run in ``out``, or, without one, with the newest of this recipe.
    """

    target: str | None = None
    out: Path | None = None
    rows: int | None = None
    public: bool = False
    wandb: bool = True
    wandb_key: str | None = field(default=None, repr=False)
    wandb_output: Path | None = None
    group: str | None = None
    tracking: Path | None = None
    quiet: bool = False
    resume: bool = False


@dataclass(frozen=True)
class Run:
    """What is known before anything is learned.

    Attributes:
        recipe: With the inputs that towers bring.
        target: The repo to push to.
        folder: The run folder.
        data: The rows to train and select on, and the processor.
        opened: What the model starts from.
        task: What is predicted.
        loss: Its settings, with the weights computed from train.
        learning: The model, and all that it needs to learn.
        rows: At most so many train rows were drawn.
    """

    recipe: Recipe
    target: str
    folder: Path
    data: TrainingData
    opened: Opened
    task: Task
    loss: dict[str, Any]
    learning: Learning
    rows: int | None = None

    def identity(self) -> dict[str, Any]:
        """What must be the same in a run that goes on with this one."""
        told = asdict(self.recipe)
        for name in ("prepare", "evaluation", "suite", "description"):
            told.pop(name)
        told["data"].pop("dataset")
        return {
            "dataset": f"{self.data.source.repo_id}@{self.data.source.revision}",
            "origins": {
                name: f"{each.repo_id}@{each.revision}"
                for name, each in self.opened.origins.items()
            },
            "downsample": self.rows,
            "processes": count(),
            **told,
        }


def validate_recipe(recipe: Recipe) -> None:
    """Check all of a recipe that can be checked without a Hub.

    Raises:
        UserError: The first thing that is wrong, with what is near.
    """
    from hfpipe.evaluation.uncertainty import check_resamples
    from hfpipe.inputs.fitting import check_inputs
    from hfpipe.models.families import family_of
    from hfpipe.training.plans import validate_stages

    validate_training(recipe)
    check_inputs(recipe.data)
    family = family_of(recipe.model.kind)
    family.check_options(recipe.model)
    family.check_training(recipe)
    validate_stages(recipe)
    check_resamples(recipe.evaluation.resamples, "evaluation.resamples")


def plan_run(recipe: Recipe, endpoint: Endpoint, options: FinetuneOptions) -> Run:
    """Load and build all that a run needs; whatever can be checked is checked.

    Args:
        recipe: Composed and typed.
        endpoint: The Hub.
        options: Where things go.

    Raises:
        UserError: What was given cannot work.
    """
    from transformers import set_seed

    from hfpipe.evaluation.gathering import check_group_slices, check_slices, groups_of
    from hfpipe.inputs.collator import Collator
    from hfpipe.inputs.training_data import load_training_data
    from hfpipe.metrics.tasks import task_of
    from hfpipe.models.families import Blueprint, family_of
    from hfpipe.models.families.fusion import with_towers
    from hfpipe.models.groups import freeze
    from hfpipe.models.loss_settings import loss_settings
    from hfpipe.training.engines import Learning, engine_of
    from hfpipe.training.fit import check_best_metric, check_defined
    from hfpipe.training.hub_pushes import Pushing
    from hfpipe.training.plans import plans_of
    from hfpipe.training.reporting import Reporting, trackers_of

    validate_recipe(recipe)
    folder = _folder(recipe, options)
    for each in (folder, options.wandb_output):
        if each is not None:
            writable_parent(each)
    target = check_writable(endpoint, options.target or recipe.name.replace("_", "-"), "model")
    family, dataset = family_of(recipe.model.kind), _dataset(recipe)
    opened = family.open(endpoint, recipe)
    recipe = with_towers(recipe, opened)
    seed = int(recipe.training.get("seed", 42))
    data = load_training_data(
        endpoint, dataset, recipe.data, options.rows, seed, fitted=opened.inputs
    )
    wanted = recipe.evaluation
    place = f"{data.source.place}, split 'validation'"
    check_slices(wanted.slices, data.validation, place)
    if wanted.group_by:
        groups_of(data.validation, wanted.group_by, place)
        if recipe.model.kind == "profile":
            check_group_slices(wanted.slices, data.validation, wanted.group_by, place)
    spec = data.processor.target
    task = task_of(spec.task, spec.labels, spec.log1p)
    if wanted.threshold_for != Evaluation().threshold_for:
        task.check_aim(wanted.threshold_for)
    held_out = spec.encode(data.validation, data.source.place)
    for planned in plans_of(recipe):
        check_best_metric(planned.recipe, task, planned.metric_place)
        check_defined(planned.recipe, task, held_out, planned.metric_place, place)
    loss = loss_settings(recipe.model.loss, spec, spec.encode(data.train, data.source.place))
    set_seed(seed)  # what is new in the model is drawn here
    model = family.build(Blueprint(endpoint, recipe, opened, data.processor, loss))
    if recipe.model.freeze:
        freeze(model, recipe.model.freeze)
    if family.flat:
        data = _cut(data, model, opened)
    collator = Collator(data.processor, opened.tools, flat=family.flat)
    reporting = Reporting(trackers_of(recipe, options.wandb), target, options.quiet)
    checkpoints = folder / "checkpoints"
    learning = Learning(
        recipe,
        model,
        data.processor,
        collator,
        task,
        loss,
        checkpoints,
        reporting,
        pushing=Pushing(endpoint, target, not options.public, opened.tools, family.flat),
    )
    engine_of(model).check(learning)
    return Run(recipe, target, folder, data, opened, task, loss, learning, options.rows)


def _folder(recipe: Recipe, options: FinetuneOptions) -> Path:
    """The run folder: a new one, or that of the run to go on with.

    Raises:
        UserError: There is no such run.
    """
    runs = Path("runs") / recipe.name
    if options.out or not options.resume:
        return options.out or runs / on_main(lambda: time.strftime("%Y%m%d-%H%M%S"))
    found = sorted(runs.glob("*/checkpoints/progress.json"), key=lambda each: each.stat().st_mtime)
    if not found:
        raise UserError(f"--resume: no run in {runs} to go on with; name its folder with --out")
    return found[-1].parents[1]


def _cut(data: TrainingData, model: Any, opened: Opened) -> TrainingData:
    """Without more tokens than a stock model and its tokenizer can take."""
    from hfpipe.models.stock import max_tokens

    (tool,) = opened.tools.values()
    return data.cut_to(max_tokens(model, tool)) if hasattr(tool, "model_max_length") else data


def _dataset(recipe: Recipe) -> str:
    if not recipe.data.dataset:
        raise UserError("which dataset? give --dataset NS/NAME, as 'hfpipe prepare' pushed it")
    return recipe.data.dataset
