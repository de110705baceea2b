"""Before any cell runs: whatever would stop one for certain is found here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.suites.planning import Cell

if TYPE_CHECKING:
    from hfpipe.inputs.training_data import TrainingData
    from hfpipe.metrics.tasks import Metrics, Task

FEWEST_ROWS = 12


@dataclass(frozen=True)
class Ground:
    """What all cells of one dataset stand on.

    Attributes:
        repo_id: The dataset repo.
        revision: Its commit.
        task: What is predicted.
        constant: Split to the metrics of what is right most often without looking: the mean of
            train, or the shares of its classes.
    """

    repo_id: str
    revision: str
    task: Task
    constant: dict[str, Metrics] = field(default_factory=dict)


def check_cells(cells: Sequence[Cell], endpoint: Endpoint) -> dict[str, Ground]:
    """Load every dataset, fit every cell's inputs, build every cell's model; train none.

    Returns:
        Horizon to what is known of its dataset.

    Raises:
        UserError: What was given cannot work; the cell is named.
    """
    loaded: dict[str, TrainingData] = {}
    grounds: dict[str, Ground] = {}
    for cell in cells:
        key = json.dumps(asdict(cell.recipe.data), sort_keys=True, default=str)
        try:
            if key not in loaded:
                loaded[key] = _load(cell, endpoint)
            ground = _ground(loaded[key])
            _check_model(cell, loaded[key], ground.task, endpoint)
        except UserError as error:
            raise UserError(f"cell {cell.name}: {error}") from error
        known = grounds.setdefault(cell.horizon, ground)
        if known.task.primary != ground.task.primary:
            raise UserError(
                f"cell {cell.name}: its metric is {ground.task.primary}, but that of other cells "
                f"of '{cell.dataset}' {known.task.primary}: a suite compares one task"
            )
    return grounds


def _load(cell: Cell, endpoint: Endpoint) -> TrainingData:
    from hfpipe.evaluation.gathering import check_slices
    from hfpipe.inputs.training_data import load_training_data

    seed = int(cell.recipe.training.get("seed", 42))
    data = load_training_data(endpoint, cell.dataset, cell.recipe.data, None, seed)
    rows = {"train": data.train, "validation": data.validation, "test": data.source.split("test")}
    for split, found in rows.items():
        place = f"{data.source.place}, split '{split}'"
        data.processor.check_columns(found, place)
        check_slices(list(cell.recipe.evaluation.slices), found, place)
    if len(data.train) < FEWEST_ROWS:
        raise UserError(
            f"{data.source.place}, split 'train' has {len(data.train)} rows with a label; a suite "
            f"needs {FEWEST_ROWS}"
        )
    return data


def _ground(data: TrainingData) -> Ground:
    from hfpipe.evaluation.simple_models import constant_scores
    from hfpipe.metrics.tasks import task_of

    target, source = data.processor.target, data.source
    task = task_of(target.task, target.labels, target.log1p)
    train = target.encode(data.train, source.place)
    constant: dict[str, Any] = {}
    for split, rows in (("validation", data.validation), ("test", source.split("test"))):
        truth = target.encode(rows, source.place)
        known = task.labelled(truth)
        if not known.any():
            raise UserError(f"{source.place}, split '{split}': no row has a label")
        guess = constant_scores(task, train, len(rows))
        constant[split] = task.metrics(truth[known], guess[known])
    return Ground(source.repo_id, source.revision, task, constant)


def _check_model(cell: Cell, data: TrainingData, task: Task, endpoint: Endpoint) -> None:
    from hfpipe.models.families import Blueprint, family_of
    from hfpipe.models.loss_settings import loss_settings
    from hfpipe.training.fit import check_best_metric

    recipe = cell.recipe
    family = family_of(recipe.model.kind)
    family.check_options(recipe.model)
    family.check_training(recipe)
    target = data.processor.target
    loss = loss_settings(recipe.model.loss, target, target.encode(data.train, data.source.place))
    check_best_metric(recipe, task)
    family.build(Blueprint(endpoint, recipe, family.open(endpoint, recipe), data.processor, loss))


def primary_of(metrics: Mapping[str, Any], task: Task) -> float | None:
    """The metric that decides."""
    value = metrics.get(task.primary)
    return None if value is None else float(value)
