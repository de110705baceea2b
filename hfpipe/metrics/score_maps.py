"""Maps from a model's probabilities to believable ones: temperature, Platt, isotonic.

Each takes what ``Task.scores`` gives and returns the same shape. None of them turns the order of
two rows (of two classes in a row) around; isotonic regression makes ties. Which of them is used,
and whether any, is for :mod:`hfpipe.metrics.calibrators` to find.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from hfpipe.errors import RunError, UserError
from hfpipe.metrics.scores import Floats, as_probabilities, as_truth

LEAST_ROWS = 50
"""Fewer rows do not tell a bad probability from bad luck."""
TINY = float(np.finfo(np.float64).tiny)
COLDEST, HOTTEST = 0.01, 1000.0
"""Temperatures that are tried."""
SUREST = 54 * float(np.log(2))
"""The logit, either way, of a probability that float64 cannot tell from 1; about 37."""


class Calibrator(ABC):
    """A map of probabilities, fitted on labelled rows and kept as plain numbers.

    Attributes:
        name: What it is called in files.
        least_rows: With fewer rows it is not tried.
        least_each: Nor with fewer rows of a class.
        temperature: Of :class:`Temperature`; None of the others.
    """

    name: ClassVar[str]
    least_rows: ClassVar[int] = LEAST_ROWS
    least_each: ClassVar[int] = 0
    temperature: float | None = None

    @classmethod
    @abstractmethod
    def fit(cls, truth: npt.ArrayLike, scores: npt.ArrayLike) -> Self:
        """The one that suits these labelled rows best.

        Args:
            truth: (rows,) class indices.
            scores: As ``Task.scores`` gives them.
        """

    @abstractmethod
    def apply(self, scores: npt.ArrayLike) -> Floats:
        """Calibrated probabilities of the same shape; rows of a matrix sum to 1.

        Raises:
            RunError: Another shape than it was fitted on, or what is no probability.
        """

    @property
    def flaw(self) -> str | None:
        """Why it must not be used; None where it may be."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """For JSON: its name as ``method``, and its parameters.

        >>> Platt(slope=0.5, intercept=0.0).to_dict()
        {'method': 'platt', 'slope': 0.5, 'intercept': 0.0}
        """
        told = asdict(self)  # type: ignore[call-overload]
        plain = {key: list(one) if isinstance(one, tuple) else one for key, one in told.items()}
        return {"method": self.name, **plain}


@dataclass(frozen=True)
class Temperature(Calibrator):
    """``softmax(logits / temperature)`` (Guo et al. 2017), for several classes.

    From probabilities it is ``p ** (1 / temperature)``, each row divided by its sum: exact, because
    logits differ from ``log(p)`` by a constant a row, which softmax does not see. The best class of
    a row stays the best. A probability of 0 counts as the smallest normal float64.
    """

    temperature: float = field()
    name: ClassVar[str] = "temperature"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise UserError(f"the temperature is {self.temperature}; it must be a number above 0")

    @classmethod
    def fit(cls, truth: npt.ArrayLike, scores: npt.ArrayLike) -> Self:
        """The temperature with the lowest mean log loss.

        Where every row's true class is its best, colder is better without end, and the coldest is
        returned, which :attr:`flaw` rejects.

        >>> Temperature.fit([0, 0, 0, 1], [[0.9, 0.1]] * 4).temperature.__round__(3)
        2.0
        """
        logs, _ = _relative_logs(scores)
        labels = as_truth(truth, *logs.shape)
        of_truth = logs[np.arange(len(labels)), labels]
        if not of_truth.any():
            return cls(COLDEST)
        mean, work = float(of_truth.mean()), np.empty_like(logs)

        def loss(log_temperature: float) -> float:
            heat = float(np.exp(log_temperature))
            np.exp(np.divide(logs, heat, out=work), out=work)
            return float(np.log(work.sum(axis=1)).mean()) - mean / heat

        bounds = (float(np.log(COLDEST)), float(np.log(HOTTEST)))
        best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-5})
        return cls(float(np.exp(best.x)))

    def apply(self, scores: npt.ArrayLike) -> Floats:
        """See :meth:`Calibrator.apply`.

        >>> Temperature(2.0).apply([[0.8, 0.2], [1.0, 0.0]]).round(4).tolist()
        [[0.6667, 0.3333], [1.0, 0.0]]
        """
        logs, best = _relative_logs(scores)
        weights = np.exp(logs / self.temperature)
        # What was lower by a hair must not round up to a tie, which the lower index would win.
        weights = np.where(best, 1.0, np.minimum(weights, 1 - 2.0**-51))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)

    @property
    def flaw(self) -> str | None:
        """At the border of what is tried there is no best one."""
        if COLDEST * 1.01 < self.temperature < HOTTEST / 1.01:
            return None
        return "no temperature is the best: the rows ask for ever colder or hotter ones"

    def __str__(self) -> str:
        return f"temperature {self.temperature:.3g}"


@dataclass(frozen=True)
class Platt(Calibrator):
    """``sigmoid(slope * logit(p) + intercept)`` (Platt 1999), for yes or no.

    A probability nearer to 0 or 1 than 2**-54 counts as that, so that 0 and 1 have a logit, and
    the same one either way.
    """

    slope: float
    intercept: float
    name: ClassVar[str] = "platt"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and np.isfinite(self.intercept)):
            raise UserError(f"slope {self.slope} and intercept {self.intercept} must be numbers")

    @classmethod
    def fit(cls, truth: npt.ArrayLike, scores: npt.ArrayLike) -> Self:
        """Lowest mean log loss against the smoothed targets of Lin, Lin and Weng (2007).

        With ``P`` positive and ``N`` negative rows the targets are ``(P + 1) / (P + 2)`` and
        ``1 / (N + 2)``: the slope stays finite where the classes do not overlap.
        """
        positive, values = as_truth(truth, len(np.asarray(scores)), 2) == 1, _logits(scores)
        target = np.where(positive, 1 - 1 / (positive.sum() + 2), 1 / ((~positive).sum() + 2))
        center, spread = float(values.mean()), float(values.std())
        if spread == 0:
            return cls(0.0, float(logit(target.mean())))
        slope, height = _fit_line((values - center) / spread, target)
        return cls(slope / spread, height - slope * center / spread)

    def apply(self, scores: npt.ArrayLike) -> Floats:
        """See :meth:`Calibrator.apply`.

        >>> Platt(slope=0.5, intercept=0.0).apply([0.8, 0.5]).round(4).tolist()
        [0.6667, 0.5]
        """
        found = expit(self.slope * _logits(scores) + self.intercept)
        return np.asarray(found, dtype=np.float64)

    @property
    def flaw(self) -> str | None:
        """It would turn the order of the rows around, or make all the same."""
        if self.slope > 0:
            return None
        return f"probabilities do not rise with the truth (slope {self.slope:.3g})"

    def __str__(self) -> str:
        return f"Platt scaling (slope {self.slope:.3g}, intercept {self.intercept:.3g})"


@dataclass(frozen=True)
class Isotonic(Calibrator):
    """The rising steps nearest to the truth, with straight lines between (isotonic regression).

    Rows on one step become ties, which costs ranking: ROC AUC and average precision change.

    Attributes:
        x: Probabilities of the model, rising.
        y: What they become, never falling.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    name: ClassVar[str] = "isotonic"
    least_rows: ClassVar[int] = 1000
    least_each: ClassVar[int] = 50

    def __post_init__(self) -> None:
        if not self.x or len(self.x) != len(self.y):
            raise UserError(
                f"{len(self.x)} x and {len(self.y)} y; there must be as many, at least 1"
            )
        rising = (np.diff(self.x) > 0).all() and (np.diff(self.y) >= 0).all()
        if not (rising and self.y[0] >= 0 and self.y[-1] <= 1):
            raise UserError("x must rise, and y rise or stay, between 0 and 1")

    @classmethod
    def fit(cls, truth: npt.ArrayLike, scores: npt.ArrayLike) -> Self:
        """Scikit-learn's, with values from ``1 / (rows + 2)`` to 1 less that.

        A step of rows that are all negative says that yes is rare there, not that it cannot be.
        """
        labels, values = as_truth(truth, len(np.asarray(scores)), 2), _probabilities(scores)
        least = 1 / (len(labels) + 2)
        model = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
        model.fit(values, labels)
        return cls(tuple(model.X_thresholds_.tolist()), tuple(model.y_thresholds_.tolist()))

    def apply(self, scores: npt.ArrayLike) -> Floats:
        """See :meth:`Calibrator.apply`. Outside of ``x`` it is as at its nearer end.

        >>> Isotonic(x=(0.2, 0.6), y=(0.1, 0.5)).apply([0.1, 0.4, 0.9]).round(4).tolist()
        [0.1, 0.3, 0.5]
        """
        values, x, y = _probabilities(scores), np.array(self.x), np.array(self.y)
        after = np.searchsorted(x, values, side="right")
        # Where two x nearly touch, the slope between them overflows; the ends bound it.
        low, high = y[np.maximum(after - 1, 0)], y[np.minimum(after, len(y) - 1)]
        return np.asarray(np.clip(np.interp(values, x, y), low, high), dtype=np.float64)

    @property
    def flaw(self) -> str | None:
        """It would make all rows the same."""
        return None if self.y[0] < self.y[-1] else "probabilities do not rise with the truth"

    def __str__(self) -> str:
        return f"isotonic regression ({len(set(self.y))} levels)"


def _relative_logs(scores: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Logarithms of probabilities over the row's best (rows, classes), and which is the best."""
    found = np.asarray(scores, dtype=np.float64)
    matrix = as_probabilities(found)
    best = found == found.max(axis=1, keepdims=True, initial=0)
    logs = np.log(np.maximum(matrix, TINY))
    return logs - logs.max(axis=1, keepdims=True, initial=np.log(TINY)), best


def _probabilities(scores: npt.ArrayLike) -> Floats:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1:
        raise RunError(f"scores have shape {values.shape}; a yes-or-no model's are (rows,)")
    broken = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if broken.size:
        raise RunError(f"row {broken[0] + 1}: the score {values[broken[0]]} is no probability")
    return values


def _logits(scores: npt.ArrayLike) -> Floats:
    return np.asarray(np.clip(logit(_probabilities(scores)), -SUREST, SUREST), dtype=np.float64)


def _fit_line(values: Floats, target: Floats) -> tuple[float, float]:
    """Slope and height of the logit with the lowest mean log loss, by Newton's method."""
    sides = np.stack([values, np.ones_like(values)], axis=1)

    def loss(line: Floats) -> tuple[float, Floats]:
        height = sides @ line
        away = expit(height) - target
        return float((np.logaddexp(0, height) - target * height).mean()), away @ sides / len(away)

    def curvature(line: Floats) -> Floats:
        chance = expit(sides @ line)
        return np.asarray((sides.T * (chance * (1 - chance))) @ sides / len(chance))

    start = np.zeros(2)
    best = minimize(
        loss, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-10}
    )
    return float(best.x[0]), float(best.x[1])
