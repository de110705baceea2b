"""How sure a number is: the record's intervals and differences, in words and for tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.reports import words

Record = Mapping[str, Any]
Range = tuple[float, float]
RESAMPLES, CONFIDENCE = 1000, 0.95


@dataclass(frozen=True)
class Difference:
    """How much a model is ahead of a baseline on the same rows.

    Attributes:
        value: Model minus baseline.
        low: Lower end of its interval.
        high: Upper end.
        ahead: Whether a positive difference is to the model's credit.
    """

    value: float
    low: float
    high: float
    ahead: bool = True

    @property
    def standing(self) -> str:
        """``better`` or ``worse`` where the interval leaves out 0, else ``unclear``.

        >>> Difference(0.1, 0.02, 0.2).standing, Difference(0.1, 0.02, 0.2, False).standing
        ('better', 'worse')
        >>> Difference(0.1, -0.02, 0.2).standing
        'unclear'
        """
        if self.low <= 0 <= self.high:
            return "unclear"
        return "better" if (self.low > 0) == self.ahead else "worse"

    @property
    def gain(self) -> Difference:
        """The same as what the model gains: above 0 where it is better.

        >>> Difference(-0.2, -0.3, -0.1, ahead=False).gain
        Difference(value=0.2, low=0.1, high=0.3, ahead=True)
        """
        if self.ahead:
            return self
        return Difference(-self.value, -self.high, -self.low)

    @property
    def loss(self) -> Difference:
        """What the model loses: above 0 where it is worse."""
        gain = self.gain
        return Difference(-gain.value, -gain.high, -gain.low)


def interval_of(record: Record, name: str) -> Range | None:
    """The interval of a metric; nothing where the record has none.

    >>> interval_of({"intervals": {"f1": [0.5, 0.6], "mcc": None}}, "f1")
    (0.5, 0.6)
    """
    found = (record.get("intervals") or {}).get(name)
    if not found or any(end is None for end in found):
        return None
    return float(found[0]), float(found[1])


def difference_of(record: Record, baseline: str, name: str) -> Difference | None:
    """The paired difference to a baseline in a metric; nothing where the record has none."""
    found = ((record.get("differences") or {}).get(baseline) or {}).get(name) or {}
    ends = [float(end) for key in ("value", "low", "high") if (end := found.get(key)) is not None]
    if len(ends) < 3:
        return None
    value, low, high = ends
    return Difference(value, low, high, DIRECTIONS.get(name) != "lower")


def confidence_words(record: Record) -> str:
    """How sure the intervals are.

    >>> confidence_words({"interval_method": {"confidence": 0.9}}), confidence_words({})
    ('90 %', '95 %')
    """
    share = (record.get("interval_method") or {}).get("confidence") or CONFIDENCE
    return f"{100 * float(share):g} %"


def bracketed(record: Record, name: str, in_percent: bool = False, digits: int = 3) -> str:
    """The interval of a metric to put behind its value; empty where there is none.

    >>> record = {"intervals": {"accuracy": [0.824, 0.848]}}
    >>> bracketed(record, "accuracy"), bracketed(record, "accuracy", in_percent=True)
    (' (95 % interval 0.824 to 0.848)', ' (95 % interval 82.4 to 84.8 %)')
    """
    ends = interval_of(record, name)
    if ends is None:
        return ""
    if in_percent:
        low, high = (f"{100 * end:.1f}" for end in ends)
        return f" ({confidence_words(record)} interval {low} to {high} %)"
    low, high = (words.number(end, digits) for end in ends)
    return f" ({confidence_words(record)} interval {low} to {high})"


def method_words(record: Record) -> str:
    """One or two sentences on how the intervals were made; empty where there are none.

    >>> method_words({"intervals": {"f1": [0.5, 0.6]}, "interval_method": {"resamples": 500}})
    'The ranges are 95 % intervals, from 500 bootstrap resamples of the rows.'
    """
    method = record.get("interval_method") or {}
    if not any(interval_of(record, name) for name in record.get("intervals") or {}):
        return ""
    drawn = "the rows"
    why = ""
    if method.get("groups"):
        drawn = f"whole groups of “{method['groups']}”"
        why = " Rows of one group resemble each other, so they are drawn together."
    return (
        f"The ranges are {confidence_words(record)} intervals, from "
        f"{int(method.get('resamples') or RESAMPLES):,} bootstrap resamples of {drawn}.{why}"
    )


def undefined_notes(record: Record) -> list[tuple[str, str]]:
    """Why some metrics have no value: their names, joined, and the reason they share.

    >>> undefined_notes({"undefined": {"roc_auc": "no negative row", "mcc": "no negative row"}})
    [('ROC AUC and Matthews correlation (MCC)', 'no negative row')]
    """
    reasons: dict[str, list[str]] = {}
    for name, reason in (record.get("undefined") or {}).items():
        reasons.setdefault(str(reason), []).append(words.title(name))
    return [(words.listed(names), reason) for reason, names in reasons.items()]
