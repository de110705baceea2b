"""What every task has: scores of logits, metrics, choices and, where it has one, a threshold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hfpipe.errors import RunError, UserError
from hfpipe.metrics.aims import check_aim
from hfpipe.metrics.scores import Floats

Metrics = dict[str, float | None]
Threshold = float | dict[str, float]
"""From which score on a label is predicted: one number, or of several labels label to number."""


@dataclass(frozen=True)
class Task(ABC):
    """What is predicted.

    Attributes:
        labels: The classes in the order of the logits; of a binary task the negative one first.
        log1p: Regression: whether what is learned is ``log(1 + y)``.
    """

    labels: list[str] = field(default_factory=list)
    log1p: bool = False
    name: ClassVar[str]
    hub_task: ClassVar[str] = "text-classification"
    default_threshold: ClassVar[float | None] = None

    @property
    @abstractmethod
    def primary(self) -> str:
        """The metric that decides."""

    @abstractmethod
    def scores(self, logits: npt.ArrayLike) -> Floats:
        """What a model's logits say, float64.

        Raises:
            RunError: Logits of another shape.
        """

    @abstractmethod
    def metrics(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> Metrics:
        """Every metric of the task; None where it is not defined."""

    @abstractmethod
    def choices(
        self, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> npt.NDArray[np.int64]:
        """The class of every row, or (rows, classes) of 0 and 1."""

    def per_class(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> dict[str, Metrics]:
        """Metrics of every class; nothing where there are no classes."""
        return {}

    @abstractmethod
    def undefined(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> dict[str, str]:
        """Why each metric that ``metrics`` gives as None for these rows is so."""

    def check_aim(self, aim: str) -> None:
        """Refuse an aim that no threshold of this task can be chosen for.

        >>> from hfpipe.metrics.tasks import Binary
        >>> Binary().check_aim("precision_at_recall=0.9")

        Raises:
            UserError: There is no such aim, or the task has no threshold.
        """
        if self.default_threshold is None:
            raise UserError(f"threshold aim '{aim}': {self._without_threshold()}")
        check_aim(aim)

    def best_threshold(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, aim: str = "f1"
    ) -> Threshold | None:
        """The threshold that serves the aim best; see :mod:`hfpipe.metrics.aims`.

        None where the task has none or there is no choosing: ``no_choice`` says why.
        """
        return None

    def no_choice(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, aim: str = "f1"
    ) -> dict[str, str]:
        """Why ``best_threshold`` could not choose: label to reason, nothing where it could."""
        return {}

    def used_threshold(self, threshold: Threshold | None) -> Threshold | None:
        """The threshold that counts if this one is given; None where the task has none.

        Raises:
            UserError: One is given, and the task has none or another kind.
        """
        if threshold is not None and self.default_threshold is None:
            raise UserError(f"threshold {threshold}: {self._without_threshold()}")
        return self.default_threshold if threshold is None else threshold

    def _without_threshold(self) -> str:
        return f"a {self.name} task has none, leave it out; yes-or-no and multi-label tasks have"

    def labelled(self, truth: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which rows have a label.

        >>> from hfpipe.metrics.tasks import Regression
        >>> Regression().labelled([1.5, np.nan]).tolist()
        [True, False]
        """
        return ~np.isnan(np.asarray(truth, dtype=np.float64))

    def unknown(self, rows: int) -> npt.NDArray[np.float64]:
        """The truth of rows without a label.

        >>> from hfpipe.metrics.tasks import Regression
        >>> Regression().unknown(2).tolist()
        [nan, nan]
        """
        return np.full(rows, np.nan)

    def metric_names(self) -> list[str]:
        """Every name that ``metrics`` can give.

        >>> from hfpipe.metrics.tasks import task_of
        >>> task_of("regression").metric_names()
        ['rmse_raw', 'mae_raw', 'r2_raw', 'spearman']
        """
        return list(self.metrics(np.empty(0), np.empty(0)))


def other_shape(found: Floats, wanted: str) -> RunError:
    """The error of logits that do not fit the task."""
    return RunError(f"the model's logits have shape {found.shape}; they must be {wanted}")
