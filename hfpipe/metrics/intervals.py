"""How sure a metric is: bootstrap intervals of every metric of a task."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError, nearest
from hfpipe.metrics.corrected import interval_of
from hfpipe.metrics.resampling import (
    Groups,
    Resamples,
    as_they_are,
    replicates,
    without_each,
)
from hfpipe.metrics.tasks import Metrics, Task, Threshold
from hfpipe.metrics.weighted import measures

CONFIDENCE = 0.95
RESAMPLES = 1000
FEW = 500
"""Below so many rows, or groups, intervals are corrected; above, the correction is next to nothing
and one more evaluation for each of them is not worth it."""


def intervals(
    task: Task,
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: Threshold | None = None,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    metrics: Iterable[str] | None = None,
) -> dict[str, list[float] | None]:
    """Bootstrap intervals of a task's metrics on these rows.

    Percentile intervals (Efron 1979); with fewer than 500 rows, or groups, bias-corrected and
    accelerated ones (Efron 1987), and wider ones for a metric that resampling shifts, as ECE:
    :mod:`hfpipe.metrics.corrected`.

    They say how far a metric could be off because these rows were scored and not others like them.
    They say nothing of training again: the model and its threshold stay as they are.

    Args:
        task: Whose metrics they are.
        truth: As for ``task.metrics``; only rows with a label.
        scores: As for ``task.metrics``.
        threshold: As for ``task.metrics``.
        groups: (rows,) which rows belong together, as where the split was by group: whole groups
            are drawn. None: single rows are.
        resamples: How many are drawn.
        seed: The same gives the same intervals.
        confidence: Share of the resamples that an interval holds.
        metrics: Names of ``task.metrics``; None: all of them.

    Returns:
        Name to ``[low, high]``. None where the metric is not defined on more than 5 % of the
        resamples (it is left out of the others), and everywhere if there are fewer than two rows,
        or groups, to draw from: of one nobody knows how it varies.

    >>> from hfpipe.metrics.tasks import task_of
    >>> found = intervals(task_of("binary"), [1, 0] * 20, [0.9, 0.1] * 19 + [0.1, 0.9])
    >>> found["accuracy"], found["roc_auc"][1]
    ([0.825, 1.0], 1.0)

    Raises:
        UserError: No such metric, no resample, another number of groups than of rows, or a
            confidence that is not between 0 and 1.
    """
    check_confidence(confidence)
    known = task.metrics(truth, scores, threshold)
    names = chosen_names(known, metrics)
    drawn = Resamples(len(np.asarray(truth)), resamples, seed, groups)
    if drawn.units < 2:
        return dict.fromkeys(names)
    measured = measures(task, truth, scores, threshold, names)
    found = replicates(drawn, measured)
    itself = as_they_are(drawn, measured)
    without = without_each(drawn, measured) if drawn.units < FEW else {}
    return {
        name: interval_of(found[name], float(itself[name][0]), without.get(name), confidence)
        for name in names
    }


def chosen_names(known: Metrics, wanted: Iterable[str] | None) -> list[str]:
    """The names that are wanted of those known; all where nothing is said.

    >>> chosen_names({"f1": 1.0, "mcc": 1.0}, ["mcc"])
    ['mcc']

    Raises:
        UserError: One is not known.
    """
    names = list(known if wanted is None else wanted)
    for name in names:
        if name not in known:
            raise UserError(f"no metric '{name}'{nearest(name, known)}")
    return names


def check_confidence(confidence: float) -> None:
    """Refuse a share that is not between 0 and 1.

    Raises:
        UserError: It is not.
    """
    if not 0 < confidence < 1:
        raise UserError(f"confidence {confidence}: it must be between 0 and 1, such as 0.95")
