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
from hfpipe.metrics.cross_fitting import FOLDS, folds_of, held_out, mean_and_margin, owners_of
from hfpipe.metrics.score_maps import LEAST_ROWS, Calibrator, Isotonic, Platt, Temperature
from hfpipe.metrics.scores import EPSILON, Floats, Ints, as_probabilities, predicted_classes
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
]

MEASURES = ("log_loss", "brier", "ece")
"""What is told of before and after; lower is better."""

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

    - the log loss falls by more than its margin, which is Student's t for 95 % times the standard
      error of the mean of the rows' paired differences (with groups: of the groups' sums of them);
    - the calibration error does not rise by more than its margin, a row's part in it being
      ``confidence - correct`` with the sign of its bin's mean.

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
    labels, found = np.asarray(truth), np.asarray(scores, dtype=np.float64)
    if type(task) not in CANDIDATES:
        reason = NOT_CALIBRATED.get(task.name, f"not calibrated: a task '{task.name}' is not")
        return Calibration(None, reason, len(labels))
    before = _measures(task, labels, found)  # which refuses what is no truth or no probability
    labels, owners = labels.astype(np.int64), owners_of(groups, len(labels))
    lack = _lack(labels, owners)
    if lack:
        return Calibration(None, f"not calibrated: {lack}", len(labels), before, before)
    kept, reason = _choose(task, labels, found, owners, seed)
    said = f"{FOLDS}-fold cross-validation on {len(labels):,} validation rows: {reason}"
    after = _measures(task, labels, kept.scores)
    return Calibration(kept.calibrator, said, len(labels), before, after)


class _Trial(NamedTuple):
    """A candidate, what it says of rows that it did not see, and each row's part in the errors."""

    calibrator: Calibrator | None
    scores: Floats
    losses: Floats
    gaps: Floats


def _choose(
    task: Task, labels: Ints, scores: Floats, owners: Ints, seed: int
) -> tuple[_Trial, str]:
    """What is kept, and why."""
    kept = _Trial(None, scores, *_errors(task, labels, scores))
    rivals, praise = [kept], ""
    refused: list[str] = []
    folds = folds_of(labels, owners, seed)
    for method in CANDIDATES[type(task)]:
        if len(labels) < method.least_rows or np.bincount(labels).min() < method.least_each:
            needs = f"{method.least_rows:,} rows and {method.least_each} of each class"
            refused.append(f"{method.name} is tried from {needs} on")
            continue
        final = method.fit(labels, scores)
        objection = final.flaw
        if not objection:
            unseen = held_out(method.fit, labels, scores, folds)
            trial = _Trial(final, unseen, *_errors(task, labels, unseen))
            objection = next(filter(None, (_objection(trial, one, owners) for one in rivals)), None)
            rivals.append(trial)
        if objection:
            refused.append(f"{final} is not used: {objection}")
        else:
            kept, praise = trial, _praise(trial, rivals)
    return kept, "; ".join(filter(None, [praise, *refused]))


def _objection(trial: _Trial, rival: _Trial, owners: Ints) -> str | None:
    """Why a candidate is not clearly better than another; None where it is."""
    against = f" against {rival.calibrator}" if rival.calibrator else ""
    fall, margin = mean_and_margin(rival.losses - trial.losses, owners)
    if not fall > margin:
        moves = f"log loss goes from {rival.losses.mean():.4f} to {trial.losses.mean():.4f}"
        return f"{moves}{against}, and only a fall of more than {margin:.4f} is not chance"
    rise, margin = mean_and_margin(trial.gaps - rival.gaps, owners)
    if rise > margin:
        moves = f"ECE rises from {rival.gaps.mean():.4f} to {trial.gaps.mean():.4f}"
        return f"{moves}{against}, by more than chance ({margin:.4f})"
    return None


def _praise(trial: _Trial, rivals: Sequence[_Trial]) -> str:
    """What a candidate that is kept has done."""
    own, *simpler = [one for one in rivals if one is not trial]
    beaten = "".join(f" (and {one.losses.mean():.4f} with {one.calibrator})" for one in simpler)
    return (
        f"{trial.calibrator} is used: log loss falls from {own.losses.mean():.4f}{beaten} to "
        f"{trial.losses.mean():.4f}, ECE goes from {own.gaps.mean():.4f} to "
        f"{trial.gaps.mean():.4f}"
    )


def _errors(task: Task, labels: Ints, scores: Floats) -> tuple[Floats, Floats]:
    """Each row's part in the log loss and in the ECE: their means are these metrics."""
    of_truth, confidence, correct = VIEWS[type(task)](labels, scores)
    losses = -np.log(np.maximum(of_truth, EPSILON))
    bins = reliability(confidence, correct)
    inside = np.clip(np.digitize(confidence, bins.edges, right=True) - 1, 0, len(bins.counts) - 1)
    gap = np.nan_to_num(bins.confidence - bins.accuracy)
    return losses, np.sign(gap)[inside] * (confidence - correct)


def _classes(labels: Ints, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Probability of the true class and of the best, and whether these are one."""
    chances = as_probabilities(scores)
    correct = (predicted_classes(scores) == labels).astype(np.float64)
    return chances[np.arange(len(labels)), labels], chances.max(axis=1), correct


def _yes_or_no(labels: Ints, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Probability of the truth and of yes, and whether it is yes."""
    return np.where(labels == 1, scores, 1 - scores), scores, labels.astype(np.float64)


VIEWS: Mapping[type[Task], Callable[[Ints, Floats], tuple[Floats, Floats, Floats]]] = (
    MappingProxyType({Classification: _classes, Binary: _yes_or_no})
)


def _measures(task: Task, labels: npt.NDArray[Any], scores: Floats) -> dict[str, float | None]:
    found = task.metrics(labels, scores)
    return {name: found[name] for name in MEASURES}


def _lack(labels: Ints, owners: Ints) -> str | None:
    """What these rows lack for a calibration to be judged."""
    if len(labels) < LEAST_ROWS:
        return f"{len(labels)} labelled validation rows, and it takes {LEAST_ROWS}"
    if labels.min() == labels.max():
        return "all labelled validation rows are of one class"
    if owners.max() + 1 < FOLDS:
        return f"the validation rows are of {owners.max() + 1} groups, and it takes {FOLDS}"
    return None


def _numbers(value: Any) -> float | tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, list | tuple) else float(value)
