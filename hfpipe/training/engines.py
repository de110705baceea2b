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
from hfpipe.processes import all_alive
from hfpipe.training.journal import Done, Journal
from hfpipe.training.predict import table_of
from hfpipe.training.reporting import Reporting

if TYPE_CHECKING:
    from datasets import Dataset

    from hfpipe.inputs.processor import Processor
    from hfpipe.metrics.tasks import Task
    from hfpipe.recipe import Recipe
    from hfpipe.training.hub_pushes import Pushing


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
        journal: What of the run is done already; by default nothing.
        pushing: Where checkpoints may go, if ``training.hub_strategy`` says so.
    """

    recipe: Recipe
    model: Any
    processor: Processor
    collator: Collator
    task: Task
    loss: dict[str, Any]
    folder: Path
    reporting: Reporting
    journal: Journal | None = None
    pushing: Pushing | None = None


@dataclass
class Learned:
    """What came of it.

    Attributes:
        model: The best one.
        stages: How each went; none without a Trainer.
        seconds: That it took.
    """

    model: Any
    stages: list[Done] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def history(self) -> list[dict[str, Any]]:
        """The Trainer's logs of all stages, by one step counter."""
        return [entry for stage in self.stages for entry in stage.history]

    @property
    def warnings(self) -> list[str]:
        """What was told while it learnt."""
        return list(dict.fromkeys(line for stage in self.stages for line in stage.warnings))


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
        from hfpipe.training.stages import check_stages

        check_stages(learning)

    def learn(self, learning: Learning, train: Dataset, validation: Dataset) -> Learned:
        """See the base."""
        from hfpipe.training.stages import Course

        journal = learning.journal or Journal(learning.folder)
        course = Course(learning, (train, validation), journal, self._loss(learning))
        with _one_line_an_error():
            course.run()
        seconds = sum(each.seconds for each in journal.stages)
        return Learned(learning.model, journal.stages, seconds)

    def _loss(self, learning: Learning) -> Any:
        from hfpipe.models.base import HfpipeModel
        from hfpipe.models.loss_settings import stock_loss
        from hfpipe.models.losses import trainer_loss

        if isinstance(learning.model, HfpipeModel):
            return None
        return trainer_loss(stock_loss(learning.loss, learning.processor.target))


@contextmanager
def _one_line_an_error() -> Iterator[None]:
    """What torch says at length, as the one line that matters.

    An error of the collator that a worker of the data loader found has the worker's whole traceback
    as its message, which ends in the line itself.

    Raises:
        UserError: That of the collator.
        RunError: Another process of the run died.
    """
    try:
        with all_alive():
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
