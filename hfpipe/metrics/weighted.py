"""Every metric of a task on many resamples at once: weighted metrics, whose weights are counts.

What a metric needs of a resample are sums over rows: rows by truth and prediction
(:mod:`weighted_counts`), means and bins (:mod:`weighted_means`), cumulative sums in the order of
scores sorted once (:mod:`weighted_ranks`). A metric that has no such form here is computed by the
task itself, one resample after the other: slow, but never left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from hfpipe.metrics.binary import as_binary
from hfpipe.metrics.resampling import Block, Measure
from hfpipe.metrics.scores import Floats, as_probabilities, as_scores, as_truth, ranked_classes
from hfpipe.metrics.tasks import Task, Threshold
from hfpipe.metrics.weighted_counts import (
    AVERAGES,
    OF_CLASSES,
    OF_TWO,
    SECOND,
    Classes,
    Rate,
    mean_of_known,
)
from hfpipe.metrics.weighted_means import (
    CalibrationError,
    Mean,
    RSquared,
    row_briers,
    surprises,
)
from hfpipe.metrics.weighted_ranks import Ranked, Rankings, Spearman

MOST_TOP = 10


def measures(
    task: Task,
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: Threshold | None,
    names: Sequence[str],
) -> dict[str, Measure]:
    """How to measure each of the named metrics of these rows on a block of resamples.

    Args:
        task: Whose metrics they are.
        truth: As for ``task.metrics``, which must take it; at least one row.
        scores: As for ``task.metrics``.
        threshold: As for ``task.metrics``.
        names: Names of ``task.metrics``.

    >>> from hfpipe.metrics.tasks import task_of
    >>> found = measures(task_of("binary"), [1, 0, 0], [0.9, 0.2, 0.6], None, ["accuracy"])
    >>> found["accuracy"](Block(np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 3.0]]))).round(3).tolist()
    [0.667, 0.25]
    """
    fast = vectorised(task, truth, scores, threshold)
    loop = _Loop(task, np.asarray(truth), np.asarray(scores), threshold)
    return {name: fast.get(name) or loop.measure(name) for name in names}


def vectorised(
    task: Task, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
) -> dict[str, Measure]:
    """The metrics that have a form for all resamples at once; see :func:`measures`."""
    return MEASURES[task.name](task, truth, scores, threshold) if task.name in MEASURES else {}


def _classification(
    task: Task, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None
) -> dict[str, Measure]:
    matrix = as_probabilities(scores)
    rows, count = matrix.shape
    labels, ranked = as_truth(truth, rows, count), ranked_classes(scores)
    one_hot = np.arange(count) == labels[:, None]
    right = ranked == labels[:, None]
    best = ranked[:, 0]
    classes = Classes(one_hot, np.arange(count) == best[:, None])
    sure = matrix.argmax(axis=1)
    own, top = (matrix[np.arange(rows), each] for each in (labels, sure))
    found: dict[str, Measure] = {
        f"top_{k}_accuracy": Mean(right[:, :k].any(axis=1))
        for k in range(1, min(count, MOST_TOP) + 1)
    }
    rates = {**OF_CLASSES, **(SECOND if count == 2 else {})}
    found |= {name: _rate(classes, rate) for name, rate in rates.items()}
    found |= _macro_rankings(one_hot, as_scores(scores), lambda each: each.mean(axis=1))
    return found | {
        "accuracy": found["top_1_accuracy"],
        "log_loss": Mean(surprises(own)),
        "brier": Mean(row_briers(labels, matrix)),
        "ece": CalibrationError(top[:, None], (sure == labels)[:, None]),
        "classwise_ece": CalibrationError(matrix, one_hot),
    }


def _binary(
    task: Task, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None
) -> dict[str, Measure]:
    positive, values, _ = as_binary(truth, scores, None)
    said = task.choices(values, threshold).astype(bool)
    classes = Classes(*(np.stack([~each, each], axis=1) for each in (positive, said)))
    ranking = Rankings(positive[:, None], values[:, None])
    return {name: _rate(classes, rate) for name, rate in OF_TWO.items()} | {
        "accuracy": Mean(positive == said),
        "roc_auc": lambda block: block[ranking].roc_auc[:, 0],
        "average_precision": lambda block: block[ranking].average_precision[:, 0],
        "log_loss": Mean(surprises(np.where(positive, values, 1 - values))),
        "brier": Mean((values - positive) ** 2),
        "ece": CalibrationError(values[:, None], positive[:, None]),
    }


def _multi_label(
    task: Task, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None
) -> dict[str, Measure]:
    marks, values = np.asarray(truth).astype(bool), as_scores(scores)
    said = task.choices(values, threshold).astype(bool)
    classes = Classes(marks, said)
    found: dict[str, Measure] = {name: _rate(classes, rate) for name, rate in AVERAGES.items()}
    found |= _macro_rankings(marks, values, mean_of_known)
    return found | {
        "log_loss": Mean(surprises(np.where(marks, values, 1 - values)).mean(axis=1)),
        "brier": Mean(np.square(values - marks).mean(axis=1)),
        "ece": CalibrationError(values, marks),
        "accuracy": Mean((marks == said).all(axis=1)),
        "hamming_loss": Mean((marks != said).mean(axis=1)),
    }


def _regression(
    task: Task, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None
) -> dict[str, Measure]:
    target, guess = (np.ravel(np.asarray(each, dtype=np.float64)) for each in (truth, scores))
    found: dict[str, Measure] = {"spearman": Spearman(target, guess)}
    if task.log1p:
        found |= _errors("log", target, guess)
        with np.errstate(over="ignore"):
            target, guess = np.expm1(target), np.expm1(guess)
    return found | _errors("raw", target, guess)


def _errors(scale: str, target: Floats, guess: Floats) -> dict[str, Measure]:
    with np.errstate(over="ignore", invalid="ignore"):
        apart = target - guess
        squares = Mean(apart**2)
    return {
        f"rmse_{scale}": lambda block: np.sqrt(squares(block)),
        f"mae_{scale}": Mean(np.abs(apart)),
        f"r2_{scale}": RSquared(target, guess),
    }


def _rate(classes: Classes, rate: Rate) -> Measure:
    return lambda block: rate(block[classes])


def _macro_rankings(
    marks: npt.NDArray[np.bool_], scores: Floats, average: Callable[[Floats], Floats]
) -> dict[str, Measure]:
    """Each class against the others, averaged by a function of (resamples, classes)."""
    rankings = Rankings(marks, scores)

    def macro(name: str) -> Measure:
        return lambda block: average(getattr(block[rankings], name))

    return {f"macro_{name}": macro(name) for name in Ranked._fields}


MEASURES: Mapping[str, Callable[..., dict[str, Measure]]] = MappingProxyType(
    {
        "classification": _classification,
        "binary": _binary,
        "multi_label": _multi_label,
        "regression": _regression,
    }
)
"""Task to its metrics on all resamples at once."""


class _Loop:
    """Any metric at all: the task's own function, one resample after the other."""

    def __init__(
        self,
        task: Task,
        truth: npt.NDArray[np.generic],
        scores: npt.NDArray[np.generic],
        threshold: Threshold | None,
    ) -> None:
        self.task, self.truth, self.scores, self.threshold = task, truth, scores, threshold

    def __call__(self, block: Block) -> dict[str, Floats]:
        found: dict[str, list[float]] = {}
        for counts in block.counts.astype(np.int64):
            at = np.repeat(np.arange(len(counts)), counts)
            values = self.task.metrics(self.truth[at], self.scores[at], self.threshold)
            for name, value in values.items():
                found.setdefault(name, []).append(np.nan if value is None else value)
        return {name: np.array(values) for name, values in found.items()}

    def measure(self, name: str) -> Measure:
        """One name of what the loop finds; it goes over a block once for all names."""
        return lambda block: block[self][name]
