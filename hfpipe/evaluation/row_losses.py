"""What each row costs, by the metric that is asked for: a slice is as bad as its mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from hfpipe.metrics.scores import Floats, ranked_classes
from hfpipe.metrics.tasks import MultiLabel, Regression, Task, Threshold

Loss = Callable[[Task, Any, Floats, Threshold | None], Floats]
"""Task, truth, scores and threshold to ``(rows,)`` numbers."""


def loss_of(task: Task, metric: str) -> Loss:
    """The loss of a row that goes with a metric.

    For log loss and ECE the negative logarithm of the true class's probability; for Brier the
    squared distance; for top-k whether the true class is missed; of numbers the squared or absolute
    error in the metric's scale; of several labels the share of wrong ones, or for accuracy whether
    one is wrong; for all others whether the decision is wrong.

    >>> from hfpipe.metrics.tasks import task_of
    >>> task = task_of("binary")
    >>> loss_of(task, "brier")(task, np.array([1, 0]), np.array([0.5, 0.0]), None).tolist()
    [0.25, 0.0]
    """
    if isinstance(task, MultiLabel):
        return _wrong if metric == "accuracy" else _wrong_cells
    return _LOSSES.get(metric, _wrong)


def _wrong(task: Task, truth: Any, scores: Floats, threshold: Threshold | None) -> Floats:
    wrong = np.asarray(task.choices(scores, threshold) != truth)
    return np.asarray(wrong.any(axis=1) if wrong.ndim == 2 else wrong, np.float64)


def _wrong_cells(task: Task, truth: Any, scores: Floats, threshold: Threshold | None) -> Floats:
    return np.asarray(task.choices(scores, threshold) != truth, np.float64).mean(axis=1)


def _chosen(truth: Any, scores: Floats) -> Floats:
    """The probability of each row's own class."""
    if scores.ndim == 1:
        return np.where(np.asarray(truth) == 1, scores, 1 - scores)
    return scores[np.arange(len(scores)), np.asarray(truth, np.int64)]


def _surprise(task: Task, truth: Any, scores: Floats, _: Threshold | None) -> Floats:
    return -np.log(np.maximum(_chosen(truth, scores), np.finfo(float).eps))


def _distance(task: Task, truth: Any, scores: Floats, _: Threshold | None) -> Floats:
    if scores.ndim == 1:
        return (1 - _chosen(truth, scores)) ** 2
    return (scores**2).sum(axis=1) - 2 * _chosen(truth, scores) + 1


def _error(raw: bool, power: int) -> Loss:
    def of(task: Task, truth: Any, scores: Floats, _: Threshold | None) -> Floats:
        scale = task.raw if raw and isinstance(task, Regression) else np.asarray
        with np.errstate(over="ignore", invalid="ignore"):
            return np.abs(scale(truth) - scale(scores)) ** power

    return of


def _missed(k: int) -> Loss:
    def of(task: Task, truth: Any, scores: Floats, _: Threshold | None) -> Floats:
        best = ranked_classes(scores)[:, :k]
        return (best != np.asarray(truth)[:, None]).all(axis=1).astype(np.float64)

    return of


_LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "log_loss": _surprise,
        "ece": _surprise,
        "brier": _distance,
        "top_2_accuracy": _missed(2),
        "top_3_accuracy": _missed(3),
        "rmse_log": _error(raw=False, power=2),
        "mae_log": _error(raw=False, power=1),
        "r2_log": _error(raw=False, power=2),
        "spearman": _error(raw=False, power=2),
        "rmse_raw": _error(raw=True, power=2),
        "mae_raw": _error(raw=True, power=1),
        "r2_raw": _error(raw=True, power=2),
    }
)
