"""What turns a model's scores into decisions: fitted on validation, pushed with the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hfpipe.metrics.calibrators import Calibration, fit_calibration
from hfpipe.metrics.scores import Floats
from hfpipe.metrics.tasks import Task, Threshold


@dataclass(frozen=True)
class Decision:
    """How scores are calibrated, and from which one on a class is called.

    Attributes:
        threshold: A number, or one a label; None: the task's usual one, or none.
        aim: What the threshold is best for on validation; None where it was not chosen.
        calibration: What was fitted, and why that or nothing; None where nobody asked.
        undecided: Class to why its threshold could not be chosen.
    """

    threshold: Threshold | None = None
    aim: str | None = None
    calibration: Calibration | None = None
    undecided: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        task: Task,
        truth: npt.ArrayLike,
        scores: npt.ArrayLike,
        aim: str = "f1",
        *,
        calibrate: bool = True,
        groups: Sequence[str] | None = None,
        seed: int = 0,
    ) -> Self:
        """Fit the calibration, then choose the threshold on what it gives.

        Args:
            task: What is predicted.
            truth: Of the labelled validation rows.
            scores: Of the same rows, as ``Task.scores`` gives them.
            aim: See ``hfpipe.metrics.thresholds``.
            calibrate: Whether to try.
            groups: Whose each row is: a group is on one side of every fold.
            seed: Of the folds.

        Raises:
            UserError: There is no such aim.
        """
        found = fit_calibration(task, truth, scores, groups, seed) if calibrate else None
        calibrated = cls(calibration=found).apply(scores)
        threshold = task.best_threshold(truth, calibrated, aim)
        without = task.no_choice(truth, calibrated, aim)
        return cls(threshold, None if threshold is None else aim, found, without)

    @classmethod
    def of(cls, story: Mapping[str, Any]) -> Self:
        """What a ``run.json`` tells; an earlier hfpipe chose for F1 and did not calibrate."""
        threshold, told = story.get("threshold"), story.get("calibration")
        aim = story.get("threshold_for", None if threshold is None else "f1")
        found = Calibration.from_dict(told) if told else None
        return cls(threshold, aim, found, story.get("undecided") or {})

    @property
    def calibrated(self) -> bool:
        """Whether scores are changed."""
        return self.calibration is not None and self.calibration.calibrator is not None

    @property
    def temperature(self) -> float | None:
        """What the logits are divided by, where that is the calibration."""
        if self.calibration is None or self.calibration.calibrator is None:
            return None
        return self.calibration.calibrator.temperature

    def apply(self, scores: npt.ArrayLike) -> Floats:
        """Calibrated scores, of the same shape."""
        found = np.asarray(scores, dtype=np.float64)
        if self.calibration is None or self.calibration.calibrator is None or not len(found):
            return found
        return self.calibration.calibrator.apply(found)

    def to_dict(self) -> dict[str, Any]:
        """For ``run.json``."""
        return {
            "threshold": self.threshold,
            "threshold_for": self.aim,
            "temperature": self.temperature,
            "calibration": self.calibration.to_dict() if self.calibration else None,
            "undecided": dict(self.undecided),
        }
