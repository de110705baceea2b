"""What a model is asked: how its logits are read, and by what its answers are measured.

Truth is as ``hfpipe.inputs.targets.LabelSpec.encode`` gives it: class indices, -1 where a row has
none; or numbers, NaN where a row has none. Everywhere but in ``labelled`` only labelled rows count:
callers leave out the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from hfpipe.errors import UserError, nearest
from hfpipe.metrics import classification, regression
from hfpipe.metrics.classification import classification_metrics, per_class
from hfpipe.metrics.regression import regression_metrics
from hfpipe.metrics.scores import Floats, predicted_classes
from hfpipe.metrics.task import Metrics, Task, Threshold, other_shape
from hfpipe.metrics.threshold_tasks import Binary, MultiLabel

__all__ = [
    "TASKS",
    "Binary",
    "Classification",
    "Metrics",
    "MultiLabel",
    "Regression",
    "Task",
    "Threshold",
    "task_of",
]


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
            raise other_shape(matrix, f"(rows, {len(self.labels)})")
        return np.asarray(softmax(matrix, axis=1), dtype=np.float64)

    def metrics(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> Metrics:
        """See :func:`hfpipe.metrics.classification.classification_metrics`."""
        self.used_threshold(threshold)
        return classification_metrics(truth, scores)

    def undefined(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> dict[str, str]:
        """See :func:`hfpipe.metrics.classification.undefined`.

        >>> Classification(["a", "b"]).undefined([0], [[0.6, 0.4]])["precision"]
        "no row predicted 'b'"
        """
        return classification.undefined(truth, scores, self.labels)

    def choices(
        self, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> npt.NDArray[np.int64]:
        """The best class of every row."""
        self.used_threshold(threshold)
        return predicted_classes(scores)

    def per_class(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
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
            raise other_shape(found, "(rows,) or (rows, 1)")
        return found

    def metrics(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> Metrics:
        """See :func:`hfpipe.metrics.regression.regression_metrics`."""
        self.used_threshold(threshold)
        return regression_metrics(truth, scores, log1p=self.log1p)

    def undefined(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> dict[str, str]:
        """See :func:`hfpipe.metrics.regression.undefined`."""
        return regression.undefined(truth, scores, log1p=self.log1p)

    def choices(
        self, scores: npt.ArrayLike, threshold: Threshold | None = None
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
    'roc_auc'

    Raises:
        UserError: There is none.
    """
    if name not in TASKS:
        raise UserError(f"no task '{name}'{nearest(name, TASKS)}")
    return TASKS[name](list(labels), log1p)
