"""How a model learns: by the Trainer, or by scikit-learn's ``fit``."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfpipe.errors import UserError
from hfpipe.inputs.collator import Collator
from hfpipe.inputs.encoding import LABELS
from hfpipe.models.families.tabular import TabularFit
from hfpipe.training.fit import Reporting, build_trainer, training_arguments
from hfpipe.training.predict import table_of

if TYPE_CHECKING:
    from datasets import Dataset

    from hfpipe.inputs.processor import Processor
    from hfpipe.metrics.tasks import Task
    from hfpipe.recipe import Recipe


@dataclass
class Learning:
    """All that a model needs to learn.

    Attributes:
        recipe: Its ``training`` block.
        model: What ``Family.build`` gave.
        processor: Fitted on train.
        collator: Makes batches without random changes.
        task: What is predicted.
        loss: See ``hfpipe.models.loss_settings``; of a stock model, whose own losses are fewer.
        folder: Where checkpoints go.
        reporting: Trackers and progress bar.
    """

    recipe: Recipe
    model: Any
    processor: Processor
    collator: Collator
    task: Task
    loss: dict[str, Any]
    folder: Path
    reporting: Reporting


@dataclass
class Learned:
    """What came of it.

    Attributes:
        model: The best one.
        history: The Trainer's ``log_history``; empty without a Trainer.
        seconds: That it took.
    """

    model: Any
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


class Engine(ABC):
    """A way to learn."""

    def check(self, learning: Learning) -> None:
        """Look at what can be known before any row is encoded.

        Raises:
            UserError: A training argument that cannot be.
        """
        return

    @abstractmethod
    def learn(self, learning: Learning, train: Dataset, validation: Dataset) -> Learned:
        """Learn from encoded train rows; validation may say only when to stop and what was best.

        Raises:
            UserError: A training argument that cannot be.
        """


class ByTrainer(Engine):
    """Networks, by ``transformers.Trainer``."""

    def check(self, learning: Learning) -> None:
        """See the base."""
        training_arguments(learning.recipe, learning.folder, learning.reporting)

    def learn(self, learning: Learning, train: Dataset, validation: Dataset) -> Learned:
        """See the base."""
        arguments = training_arguments(learning.recipe, learning.folder, learning.reporting)
        trainer = build_trainer(
            learning.model,
            arguments,
            learning.collator,
            learning.task,
            train,
            validation,
            seed=arguments.seed,
            loss=self._loss(learning),
        )
        started = time.perf_counter()
        with _without_worker_s_traceback():
            trainer.train()
        seconds = time.perf_counter() - started
        return Learned(trainer.model, trainer.state.log_history, seconds)

    def _loss(self, learning: Learning) -> Any:
        from hfpipe.models.base import HfpipeModel
        from hfpipe.models.loss_settings import stock_loss
        from hfpipe.models.losses import trainer_loss

        if isinstance(learning.model, HfpipeModel):
            return None
        return trainer_loss(stock_loss(learning.loss, learning.processor.target))


@contextmanager
def _without_worker_s_traceback() -> Iterator[None]:
    """An error of the collator as its one line, also where a worker of the data loader found it.

    torch makes the worker's whole traceback the message, which ends in the line itself.

    Raises:
        UserError: That of the collator.
    """
    try:
        yield
    except UserError as error:
        name = f"{UserError.__module__}.{UserError.__qualname__}: "
        raise UserError(str(error).rpartition(name)[2]) from error


class ByFit(Engine):
    """Tabular models, by ``fit``."""

    def learn(self, learning: Learning, train: Dataset, validation: Dataset) -> Learned:
        """See the base."""
        from hfpipe.models.tabular import fit_tabular

        model: TabularFit = learning.model
        started = time.perf_counter()
        tables = [table_of(model, learning.collator, rows) for rows in (train, validation)]
        goals = [np.asarray(rows[LABELS], np.float64) for rows in (train, validation)]
        try:
            fitted = fit_tabular(
                model.family,
                tables[0],
                goals[0],
                seed=int(learning.recipe.training.get("seed", 42)),
                validation=(tables[1], goals[1]),
                **model.options,
            )
        except (TypeError, ValueError) as error:  # scikit-learn looks at its options when it fits
            said = ", ".join(f"{key}={value}" for key, value in model.options.items())
            cause = " ".join(str(error).split())[:300]
            raise UserError(f"model.config ({said}): {cause}") from error
        return Learned(replace(model, model=fitted), seconds=time.perf_counter() - started)


def engine_of(model: Any) -> Engine:
    """How a model learns."""
    return ByFit() if isinstance(model, TabularFit) else ByTrainer()
