"""Whether a model's probabilities need calibrating, and by what: found on the validation rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError, nearest
from hfpipe.metrics.calibration import reliability
from hfpipe.metrics.score_maps import LEAST_ROWS, Calibrator, Isotonic, Platt, Temperature
from hfpipe.metrics.scores import Floats, Ints, predicted_classes
from hfpipe.metrics.tasks import Binary, Classification, Task

__all__ = [
    "CALIBRATORS",
    "MEASURES",
    "Calibration",
    "Calibrator",
    "Isotonic",
    "Platt",
    "Temperature",
    "calibrator_of",
    "fit_calibration",
    "folds_of",
]

MEASURES = ("log_loss", "brier", "ece")
"""What is told of before and after; lower is better."""
FOLDS = 5
SURE = 1.96
"""Standard errors that a difference must have to be called one."""

CALIBRATORS: Mapping[str, type[Calibrator]] = MappingProxyType(
    {each.name: each for each in (Temperature, Platt, Isotonic)}
)
CANDIDATES: Mapping[type[Task], tuple[type[Calibrator], ...]] = MappingProxyType(
    {Classification: (Temperature,), Binary: (Platt, Isotonic)}
)
"""What is tried, the simplest first."""
NOT_CALIBRATED: Mapping[str, str] = MappingProxyType(
    {
        "multi_label": "not calibrated: each of several labels a row would need its own",
        "regression": "not calibrated: a number is no probability",
    }
)


def calibrator_of(told: Mapping[str, Any] | None) -> Calibrator | None:
    """The calibrator that a file tells of: the inverse of :meth:`Calibrator.to_dict`.

    Args:
        told: ``method`` and its parameters; nothing, or the method None, where there is none.

    >>> calibrator_of({"method": "temperature", "temperature": 2.0})
    Temperature(temperature=2.0)

    Raises:
        UserError: An unknown method, or other parameters than it has.
    """
    if not told or told.get("method") is None:
        return None
    method = str(told["method"])
    if method not in CALIBRATORS:
        raise UserError(f"no calibration '{method}'{nearest(method, CALIBRATORS)}")
    names = [each.name for each in fields(CALIBRATORS[method])]  # type: ignore[arg-type]
    given = {key: value for key, value in told.items() if key != "method"}
    if set(given) != set(names):
        raise UserError(
            f"calibration '{method}' has {', '.join(names)}; given: {', '.join(given) or 'nothing'}"
        )
    try:
        return CALIBRATORS[method](**{key: _numbers(value) for key, value in given.items()})
    except (TypeError, ValueError) as error:
        raise UserError(f"calibration '{method}': {', '.join(names)} must be numbers") from error


@dataclass(frozen=True)
class Calibration:
    """What became of a calibration.

    Attributes:
        calibrator: The one that is kept; None: probabilities stay as they are.
        reason: Why this one, or why none, in words for a report.
        rows: Labelled validation rows that it was judged and fitted on.
        before: :data:`MEASURES` of the model's own probabilities on these rows; None: not defined.
        after: The same of what is used from now on, each row judged by a fit on other rows; where
            nothing is kept, the same as before.
    """

    calibrator: Calibrator | None
    reason: str
    rows: int
    before: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(MEASURES))
    after: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(MEASURES))

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``method`` (None: none), ``parameters``, and the other attributes.

        >>> Calibration(Temperature(2.0), "it helps", 90).to_dict()["parameters"]
        {'temperature': 2.0}
        """
        told = self.calibrator.to_dict() if self.calibrator else {"method": None}
        parameters = {key: value for key, value in told.items() if key != "method"}
        rest = {"reason": self.reason, "rows": self.rows}
        both = {"before": dict(self.before), "after": dict(self.after)}
        return {"method": told["method"], "parameters": parameters} | rest | both

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Calibration:
        """The inverse of :meth:`to_dict`.

        Raises:
            UserError: As :func:`calibrator_of`.
        """
        map_of = {"method": told.get("method"), **(told.get("parameters") or {})}
        none = dict.fromkeys(MEASURES)
        return cls(
            calibrator_of(map_of),
            str(told.get("reason", "")),
            int(told.get("rows", 0)),
            none | dict(told.get("before") or {}),
            none | dict(told.get("after") or {}),
        )


def fit_calibration(
    task: Task,
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: Sequence[Any] | npt.ArrayLike | None = None,
    seed: int = 0,
) -> Calibration:
    """Find out whether calibrating helps, and by what; fit that on all rows.

    Every candidate is judged by five-fold cross-validation: each row by a fit on the other folds'
    rows. It is kept if, against the model's own probabilities and against each simpler candidate,

    - the log loss falls by more than 1.96 standard errors of the mean of the rows' paired
      differences (of the groups' sums of them, where there are groups), and
    - the calibration error does not rise by more than 1.96 standard errors of the same kind, a
      row's part in it being ``± (confidence - correct)``, with the sign of its bin's mean.

    Temperature is tried for several classes; Platt, and isotonic regression from 1,000 rows and 50
    of each class on, for yes or no. Below 50 rows, or with one class, nothing is.

    Args:
        task: Whose scores these are.
        truth: (rows,) class indices; rows without a label are left out by the caller.
        scores: As ``task.scores`` gives them: (rows,) or (rows, classes).
        groups: Whose each row is; rows of one group stay in one fold.
        seed: Of the folds.

    Raises:
        UserError: Truth or groups that do not fit the scores.
        RunError: Scores that are no probabilities.
    """
    raise NotImplementedError
