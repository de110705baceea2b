"""Every metric of a task on many resamples at once, as weighted metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.metrics.resampling import Block, Measure
from hfpipe.metrics.scores import Floats
from hfpipe.metrics.tasks import Task


def measures(
    task: Task,
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: Any,
    names: Sequence[str],
) -> dict[str, Measure]:
    """How to measure each of the named metrics of these rows on a block of resamples."""
    loop = _Loop(task, np.asarray(truth), np.asarray(scores), threshold)
    return {name: lambda block, name=name: block[loop][name] for name in names}  # type: ignore[misc]


class _Loop:
    """Any metric at all: the task's own function, one resample after the other."""

    def __init__(
        self,
        task: Task,
        truth: npt.NDArray[np.generic],
        scores: npt.NDArray[np.generic],
        threshold: Any,
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
