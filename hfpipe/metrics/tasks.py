"""What a model is asked: how its logits are read, and by what its answers are measured.

Truth is as ``hfpipe.inputs.targets.LabelSpec.encode`` gives it: class indices, -1 where a row has
none; or numbers, NaN where a row has none. Everywhere but in ``labelled`` only labelled rows count:
callers leave out the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from hfpipe.errors import RunError, UserError, nearest
from hfpipe.metrics.binary import THRESHOLD, binary_metrics
from hfpipe.metrics.calibration import reliability
from hfpipe.metrics.classification import classification_metrics, per_class
from hfpipe.metrics.multi_label import multi_label_metrics, per_label
from hfpipe.metrics.regression import regression_metrics
from hfpipe.metrics.scores import Floats, as_scores, predicted_classes
from hfpipe.metrics.thresholds import best_threshold

Metrics = dict[str, float | None]


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
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: float | None = None
    ) -> Metrics:
        """Every metric of the task; None where it is not defined."""

    @abstractmethod
    def choices(
        self, scores: npt.ArrayLike, threshold: float | None = None
    ) -> npt.NDArray[np.int64]:
        """The class of every row, or (rows, classes) of 0 and 1."""

    def per_class(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: float | None = None
    ) -> dict[str, Metrics]:
        """Metrics of every class; nothing where there are no classes."""
        return {}

    def best_threshold(self, truth: npt.ArrayLike, scores: npt.ArrayLike) -> float | None:
        """The threshold with the best F1; None where the task has none or there is no choosing."""
        return None

    def used_threshold(self, threshold: float | None) -> float | None:
        """The threshold that counts if this one is given; None where the task has none."""
        return self.default_threshold if threshold is None else threshold

    def labelled(self, truth: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which rows have a label.

        >>> Regression().labelled([1.5, np.nan]).tolist()
        [True, False]
        """
        return ~np.isnan(np.asarray(truth, dtype=np.float64))

    def unknown(self, rows: int) -> npt.NDArray[np.float64]:
        """The truth of rows without a label.

        >>> Regression().unknown(2).tolist()
        [nan, nan]
        """
        return np.full(rows, np.nan)

    def metric_names(self) -> list[str]:
        """Every name that ``metrics`` can give.

        >>> task_of("regression").metric_names()
        ['rmse_raw', 'mae_raw', 'r2_raw', 'spearman']
        """
        return list(self.metrics(np.empty(0), np.empty(0)))


class Classification(Task):
    """One class of several."""

    name = "classification"
    primary = "accuracy"  # type: ignore[assignment]

    def scores(self, logits: npt.ArrayLike) -> Floats:
        """Probabilities (rows, classes) by softmax.

        >>> Classification(["a", "b"]).scores([[0.0, 0.0]]).tolist()
        [[0.5, 0.5]]
        """
        matrix = np.asarray(logits, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != len(self.labels):
            raise _shape(matrix, f"(rows, {len(self.labels)})")
        return np.asarray(softmax(matrix, axis=1), dtype=np.float64)

    def metrics(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: float | None = None
    ) -> Metrics:
        """See :func:`hfpipe.metrics.classification.classification_metrics`."""
        return classification_metrics(truth, scores)

    def choices(
        self, scores: npt.ArrayLike, threshold: float | None = None
    ) -> npt.NDArray[np.int64]:
        """The best class of every row."""
        return predicted_classes(scores)

    def per_class(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: float | None = None
    ) -> dict[str, Metrics]:
        """Precision, recall, F1 and support."""
        return per_class(truth, scores, self.labels)

    def labelled(self, truth: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Rows whose class is not -1."""
        return np.asarray(truth, dtype=np.int64) >= 0

    def unknown(self, rows: int) -> npt.NDArray[np.float64]:
        """-1 a row."""
        return np.full(rows, -1.0)

    def metric_names(self) -> list[str]:
        """Fewer top-k with fewer than three classes; ``f1`` and its like with two."""
        return list(classification_metrics([0], np.eye(max(1, len(self.labels)))[:1]))


class Binary(Task):
    """Yes or no."""

    name = "binary"
    primary = "average_precision"  # type: ignore[assignment]
    default_threshold = THRESHOLD

    @property
    def sides(self) -> list[str]:
        """What the negative and the positive class are called."""
        return self.labels or ["0", "1"]

    def scores(self, logits: npt.ArrayLike) -> Floats:
        """Probability (rows,) of the positive class: of one logit by sigmoid, of two by softmax.

        >>> Binary().scores([[0.0], [2.0]]).round(4).tolist()
        [0.5, 0.8808]
        >>> Binary().scores([[0.0, 2.0]]).round(4).tolist()
        [0.8808]
        """
        found = np.asarray(logits, dtype=np.float64)
        if found.ndim == 2 and found.shape[1] == 2:
            found = found[:, 1] - found[:, 0]
        if found.ndim == 2 and found.shape[1] == 1:
            found = found[:, 0]
        if found.ndim != 1:
            raise _shape(found, "(rows,), (rows, 1) or (rows, 2)")
        return np.asarray(expit(found), dtype=np.float64)

    def metrics(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: float | None = None
    ) -> Metrics:
        """See :func:`hfpipe.metrics.binary.binary_metrics`; and ``ece``.

        ``ece`` is of the positive class's probability against the share of positive rows, in 15
        bins of equal width.

        >>> found = Binary().metrics([1, 0, 0], [0.9, 0.2, 0.6], threshold=0.7)
        >>> found["f1"], round(found["ece"], 4)
        (1.0, 0.3)
        """
        at = THRESHOLD if threshold is None else threshold
        found = binary_metrics(truth, scores, at)
        there = len(np.asarray(truth))
        return found | {"ece": float(reliability(scores, truth).error) if there else None}

    def choices(
        self, scores: npt.ArrayLike, threshold: float | None = None
    ) -> npt.NDArray[np.int64]:
        """1 from the threshold on."""
        at = THRESHOLD if threshold is None else threshold
        return (np.asarray(scores, dtype=np.float64) >= at).astype(np.int64)

    def per_class(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: float | None = None
    ) -> dict[str, Metrics]:
        """Precision, recall, F1 and support at the threshold."""
        chosen = np.eye(2)[self.choices(scores, threshold)]
        return per_class(np.asarray(truth, dtype=np.int64), chosen.reshape(-1, 2), self.sides)

    def best_threshold(self, truth: npt.ArrayLike, scores: npt.ArrayLike) -> float | None:
        """The threshold with the best F1; None without both classes.

        >>> Binary().best_threshold([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8])
        0.25
        """
        return best_threshold(truth, scores).threshold


class MultiLabel(Task):
    """Any number of labels a row."""

    name = "multi_label"
    primary = "macro_f1"  # type: ignore[assignment]
    default_threshold = THRESHOLD

    def scores(self, logits: npt.ArrayLike) -> Floats:
        """Probability (rows, classes) of every label by sigmoid."""
        matrix = np.asarray(logits, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != len(self.labels):
            raise _shape(matrix, f"(rows, {len(self.labels)})")
        return np.asarray(expit(matrix), dtype=np.float64)

    def metrics(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: float | None = None
    ) -> Metrics:
        """See :func:`hfpipe.metrics.multi_label.multi_label_metrics`."""
        return multi_label_metrics(truth, scores, THRESHOLD if threshold is None else threshold)

    def choices(
        self, scores: npt.ArrayLike, threshold: float | None = None
    ) -> npt.NDArray[np.int64]:
        """(rows, classes), 1 from the threshold on."""
        at = THRESHOLD if threshold is None else threshold
        return (as_scores(scores) >= at).astype(np.int64)

    def per_class(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: float | None = None
    ) -> dict[str, Metrics]:
        """See :func:`hfpipe.metrics.multi_label.per_label`."""
        at = THRESHOLD if threshold is None else threshold
        return per_label(truth, scores, self.labels, at)

    def best_threshold(self, truth: npt.ArrayLike, scores: npt.ArrayLike) -> float | None:
        """One threshold for all labels, with the best F1 over all cells (micro)."""
        return best_threshold(np.ravel(np.asarray(truth)), np.ravel(np.asarray(scores))).threshold

    def labelled(self, truth: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Rows without NaN."""
        return np.logical_not(np.isnan(np.asarray(truth, dtype=np.float64)).any(axis=1))

    def unknown(self, rows: int) -> npt.NDArray[np.float64]:
        """NaN for every class of a row."""
        return np.full((rows, len(self.labels)), np.nan)

    def metric_names(self) -> list[str]:
        """The same for any labels."""
        none = np.empty((0, max(1, len(self.labels))))
        return list(self.metrics(none, none))


class Regression(Task):
    """A number."""

    name = "regression"
    hub_task = "tabular-regression"

    @property
    def primary(self) -> str:
        """``rmse_log``; without a logarithm ``rmse_raw``."""
        return "rmse_log" if self.log1p else "rmse_raw"

    def scores(self, logits: npt.ArrayLike) -> Floats:
        """(rows,) as they are, in the scale that is learned."""
        found = np.asarray(logits, dtype=np.float64)
        found = found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
        if found.ndim != 1:
            raise _shape(found, "(rows,) or (rows, 1)")
        return found

    def metrics(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: float | None = None
    ) -> Metrics:
        """See :func:`hfpipe.metrics.regression.regression_metrics`."""
        return regression_metrics(truth, scores, log1p=self.log1p)

    def choices(
        self, scores: npt.ArrayLike, threshold: float | None = None
    ) -> npt.NDArray[np.int64]:
        """There are no classes to choose from."""
        raise TypeError("a regression has no classes")

    def raw(self, values: npt.ArrayLike) -> Floats:
        """Learned values in the unit of the column.

        >>> Regression(log1p=True).raw([0.0]).tolist()
        [0.0]
        """
        found = np.asarray(values, dtype=np.float64)
        with np.errstate(over="ignore"):
            return np.expm1(found) if self.log1p else found


TASKS: Mapping[str, type[Task]] = MappingProxyType(
    {each.name: each for each in (Classification, Binary, MultiLabel, Regression)}
)


def task_of(name: str, labels: Sequence[str] = (), log1p: bool = False) -> Task:
    """The task of a name.

    >>> task_of("binary", ["no", "yes"]).primary
    'average_precision'

    Raises:
        UserError: There is none.
    """
    if name not in TASKS:
        raise UserError(f"no task '{name}'{nearest(name, TASKS)}")
    return TASKS[name](list(labels), log1p)


def _shape(found: Floats, wanted: str) -> RunError:
    return RunError(f"the model's logits have shape {found.shape}; they must be {wanted}")
