"""What models say of train rows that they have not seen: every fold's predictions, kept."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hfpipe.errors import RunError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.recipe import Recipe
from hfpipe.suites.cells import Outcome

if TYPE_CHECKING:
    from datasets import Dataset

    from hfpipe.inputs.processor import Processor
    from hfpipe.inputs.training_data import TrainingData

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass
class Folder:
    """Fits one cell on the rows outside a fold and predicts those inside.

    Attributes:
        endpoint: The Hub.
        data: The cell's train rows, those with a label.
        outcome: The cell.
        place: Where each fold's predictions are kept.
        fold_ids: ``(repeats, rows)``.
    """

    endpoint: Endpoint
    data: TrainingData
    outcome: Outcome
    place: Path
    fold_ids: Ints
    shared: dict[str, Any] = field(default_factory=dict)

    def file(self, repeat: int, fold: int) -> Path:
        """Named by what its numbers depend on, so that it is never taken for another's."""
        told = {
            "recipe": asdict(self.outcome.cell.recipe),
            "epochs": self.outcome.epochs,
            "dataset": self.data.source.revision,
            "folds": hashlib.sha256(self.fold_ids[repeat].tobytes()).hexdigest(),
        }
        mark = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
        name = f"{self.outcome.cell.family}-{mark[:12]}-{repeat + 1}-{fold + 1}.npy"
        return self.place / name

    def predict(self, repeat: int, fold: int) -> bool:
        """Make a fold's predictions, unless they are there; says whether they had to be made.

        Raises:
            RunError: Some are not finite.
        """
        path = self.file(repeat, fold)
        inside = self.fold_ids[repeat] == fold
        if path.is_file() and np.load(path, allow_pickle=False).shape == (inside.sum(),):
            return False
        said = self._fit(np.flatnonzero(~inside), np.flatnonzero(inside), (repeat, fold))
        if said.shape != (inside.sum(),) or not np.isfinite(said).all():
            raise RunError(
                f"stacking: {self.outcome.cell.name}, repeat {repeat + 1}, fold {fold + 1}: "
                "predictions are not finite"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f".{path.stem}.half.npy")
        np.save(half, said, allow_pickle=False)
        os.replace(half, path)
        return True

    def predictions(self) -> Floats:
        """``(repeats, rows)`` of the folds that were made."""
        found = np.full(self.fold_ids.shape, np.nan)
        for repeat, ids in enumerate(self.fold_ids):
            for fold in range(int(ids.max()) + 1):
                found[repeat, ids == fold] = np.load(self.file(repeat, fold), allow_pickle=False)
        return found

    def _fit(self, rows: Ints, others: Ints, at: tuple[int, int]) -> Floats:
        recipe = fold_recipe(self.outcome.cell.recipe, self.outcome.epochs)
        processor, train, held_out = self._encoded(rows, others, at)
        return fit_predict(recipe, self.endpoint, processor, train, held_out)

    def _encoded(
        self, rows: Ints, others: Ints, at: tuple[int, int]
    ) -> tuple[Processor, Dataset, Dataset]:
        """The processor of these rows, and both encoded; families with the same inputs share it."""
        from hfpipe.inputs.encoding import encode_rows
        from hfpipe.inputs.fitting import fit_processor

        block = self.outcome.cell.recipe.data
        key = json.dumps([asdict(block), at], sort_keys=True, default=str)
        if key not in self.shared:
            source, place = self.data.source, self.data.source.place
            train, held_out = self.data.train.select(rows), self.data.train.select(others)
            processor = fit_processor(train, block, source.prepared, place)
            both = [
                encode_rows(
                    processor,
                    each,
                    {},
                    f"{place}, split 'train'",
                    labels=processor.target.encode(each, place),
                    quiet=True,
                )
                for each in (train, held_out)
            ]
            self.shared.clear()
            self.shared[key] = (processor, *both)
        found: tuple[Processor, Dataset, Dataset] = self.shared[key]
        return found


def fold_recipe(recipe: Recipe, epochs: float | None) -> Recipe:
    """For as many epochs as were best on validation: a fold's rows say nothing of when to stop.

    >>> fold_recipe(Recipe(training={"num_train_epochs": 9, "eval_strategy": "epoch"}), 4).training
    {'num_train_epochs': 4, 'eval_strategy': 'no', 'save_strategy': 'no'}
    """
    if set(recipe.training) <= {"seed"}:
        return recipe
    left_out = ("metric_for_best_model", "load_best_model_at_end", "save_total_limit")
    training = {key: each for key, each in recipe.training.items() if key not in left_out}
    if epochs is not None and int(training.get("max_steps", -1)) < 0:
        training["num_train_epochs"] = epochs
    training |= {"eval_strategy": "no", "save_strategy": "no"}
    return replace(recipe, training=training)


def fit_predict(
    recipe: Recipe,
    endpoint: Endpoint,
    processor: Processor,
    train: Dataset,
    held_out: Dataset,
) -> Floats:
    """A model of the recipe, new, fitted on encoded rows; what it says of others.

    A tabular model that must know when to stop takes a tenth of ``train`` for it.
    """
    from transformers import set_seed

    from hfpipe.inputs.collator import Collator
    from hfpipe.inputs.encoding import LABELS
    from hfpipe.metrics.tasks import task_of
    from hfpipe.models.families import Blueprint, family_of
    from hfpipe.models.families.tabular import TabularFit
    from hfpipe.models.loss_settings import loss_settings
    from hfpipe.training.engines import Learning, engine_of
    from hfpipe.training.predict import predict_outputs
    from hfpipe.training.reporting import Reporting

    seed = int(recipe.training.get("seed", 42))
    target = processor.target
    task = task_of(target.task, target.labels, target.log1p)
    loss = loss_settings(recipe.model.loss, target, np.asarray(train[LABELS]))
    family = family_of(recipe.model.kind)
    set_seed(seed)
    model = family.build(
        Blueprint(endpoint, recipe, family.open(endpoint, recipe), processor, loss)
    )
    collator = Collator(processor, {}, flat=family.flat)
    with TemporaryDirectory() as scratch:
        if isinstance(model, TabularFit):
            model = _tabular(model, collator, train, seed)
        else:
            learning = Learning(
                recipe, model, processor, collator, task, loss, Path(scratch), Reporting(quiet=True)
            )
            model = engine_of(model).learn(learning, train, None).model
        outputs = predict_outputs(
            model, collator, held_out, task, recipe.evaluation.batch_size, quiet=True
        )
    return np.asarray(task.scores(outputs.logits), np.float64)


def _tabular(model: Any, collator: Callable[..., Mapping], train: Dataset, seed: int) -> Any:
    from hfpipe.inputs.encoding import LABELS
    from hfpipe.models.tabular import fit_tabular
    from hfpipe.training.predict import table_of

    goals = np.asarray(train[LABELS], np.float64)
    table = table_of(model, collator, train)  # type: ignore[arg-type]
    return replace(model, model=fit_tabular(model.family, table, goals, seed=seed, **model.options))
