"""What a decision threshold is chosen for: the forms of an aim, and how well thresholds meet it.

- ``accuracy``, ``precision``, ``f1``, ``mcc`` and the other names of :data:`RATES`;
- ``f0.5``, ``f2``, …: F-beta (van Rijsbergen 1979), where recall counts beta times as much;
- ``youden``: recall + specificity - 1 (Youden 1950);
- ``precision_at_recall=0.9``: the highest precision where recall is at least 0.9;
- ``recall_at_precision=0.9``: the highest recall where precision is at least 0.9;
- ``cost=1:5``: the lowest total cost, where a false positive costs 1 and a false negative 5.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from hfpipe.errors import UserError, nearest
from hfpipe.metrics.binary import RATES, Counts
from hfpipe.metrics.scores import Floats

TIE = 1e-12
"""Two thresholds whose metric differs by less are equally good: only rounding tells them apart."""

FORMS = (
    *RATES,
    "f0.5",
    "youden",
    "precision_at_recall=0.9",
    "recall_at_precision=0.9",
    "cost=1:5",
)
"""An example of every form."""

Rate = Callable[[Counts], Floats]


@dataclass(frozen=True)
class Aim:
    """What a threshold is chosen for.

    Attributes:
        text: As the user wrote it.
        value: What is to be high (or low), of the counts at every threshold.
        lower: Whether a lower value is better.
        need: A name of :data:`RATES`, and the least that it may be; None: anything goes.
    """

    text: str
    value: Rate
    lower: bool = False
    need: tuple[str, float] | None = None

    def merit(self, counts: Counts) -> Floats:
        """How good every threshold is: higher is better, -1 to 1; NaN where it is no choice."""
        value = self.value(counts)
        if self.lower:
            value = -value / value.max()
        if self.need is None:
            return value
        name, least = self.need
        return np.where(RATES[name](counts) >= least - TIE, value, np.nan)

    def unreached(self, counts: Counts) -> str:
        """Why no threshold is a choice."""
        if self.need is None:
            return f"{self.text} is not defined at any threshold"
        name, least = self.need
        return f"no threshold has {name} {least:g}: the highest is {np.nanmax(RATES[name](counts))}"


def aim_of(text: str) -> Aim:
    """Read an aim.

    >>> counts = Counts(*(np.array([float(cell)]) for cell in (3, 1, 2, 4)))
    >>> aim_of("youden").value(counts).round(6).tolist(), aim_of("cost=1:5").value(counts).tolist()
    ([0.4], [11.0])
    >>> aim_of("f2").value(counts).round(6).tolist()
    [0.625]

    Raises:
        UserError: There is no such form, or its number is none of those it can have.
    """
    name, given, number = str(text).strip().partition("=")
    if given and name in _WITH_NUMBER:
        return _WITH_NUMBER[name](f"{name}={number}", number)
    if name in _PLAIN and not given:
        return Aim(name, _PLAIN[name])
    beta = re.fullmatch(r"f(\d+(?:\.\d+)?)", name)
    if beta and not given and 0 < float(beta[1]) < 1e100:
        return Aim(name, _f_beta(float(beta[1])))
    raise UserError(f"no threshold aim '{text}'{nearest(str(text), FORMS)}")


def check_aim(text: str) -> None:
    """Refuse what is no aim.

    >>> check_aim("precision_at_recall=0.9")

    Raises:
        UserError: See :func:`aim_of`.
    """
    aim_of(text)


def _youden(n: Counts) -> Floats:
    return 2 * RATES["balanced_accuracy"](n) - 1


def _f_beta(beta: float) -> Rate:
    square = beta**2

    def rate(n: Counts) -> Floats:
        whole = (1 + square) * n.tp + square * n.fn + n.fp
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(whole > 0, (1 + square) * n.tp / whole, np.nan)

    return rate


def _one_at(what: str, where: str) -> Callable[[str, str], Aim]:
    def read(text: str, number: str) -> Aim:
        least = _number(number)
        if not 0 < least <= 1:
            raise UserError(
                f"threshold aim '{text}': give the {where} above 0 and up to 1, as in "
                f"{what}_at_{where}=0.9"
            )
        return Aim(text, RATES[what], need=(where, least))

    return read


def _cost(text: str, number: str) -> Aim:
    costs = [_number(each) for each in number.split(":")]
    if len(costs) != 2 or not all(0 < each < math.inf for each in costs):
        raise UserError(
            f"threshold aim '{text}': give what a false positive and a false negative cost, two "
            "numbers above 0, as in cost=1:5"
        )
    false_positive, false_negative = costs
    return Aim(text, lambda n: false_positive * n.fp + false_negative * n.fn, lower=True)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


_PLAIN: Mapping[str, Rate] = MappingProxyType({**RATES, "youden": _youden})
_WITH_NUMBER: Mapping[str, Callable[[str, str], Aim]] = MappingProxyType(
    {
        "precision_at_recall": _one_at("precision", "recall"),
        "recall_at_precision": _one_at("recall", "precision"),
        "cost": _cost,
    }
)
