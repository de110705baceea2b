"""What turns scores into decisions, in words: thresholds, what they are best for, calibration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.reports import words

Record = Mapping[str, Any]
USUAL = 0.5
METHODS: Mapping[str, str] = {
    "temperature": "temperature scaling",
    "platt": "Platt scaling",
    "isotonic": "isotonic regression",
}
COMPARED = ("log_loss", "brier", "ece")
"""The metrics that calibration is judged by."""
_AIMS: Mapping[str, str] = {
    "youden": "the best Youden index (recall minus the share of negative rows called positive)",
    "precision_at_recall": "the highest precision at a recall of at least {}",
    "recall_at_precision": "the highest recall at a precision of at least {}",
    "cost": "the lowest cost, a false positive costing {} and a false negative {}",
}
_BETA = re.compile(r"f(\d+(?:\.\d+)?)")


def aim_words(aim: str) -> str:
    """What a threshold was chosen for.

    >>> aim_words("f1"), aim_words("recall_at_precision=0.9")
    ('the best F1', 'the highest recall at a precision of at least 0.9')
    >>> aim_words("f2"), aim_words("cost=1:5")[:15]
    ('the best F2, which weighs recall more than precision', 'the lowest cost')
    """
    name, _, numbers = aim.partition("=")
    if name in _AIMS:
        return _filled(_AIMS[name], numbers.split(":")) or f"the best {aim}"
    if beta := _BETA.fullmatch(name):
        heavier = {True: "recall more than precision", False: "precision more than recall"}
        weighs = f", which weighs {heavier[float(beta[1]) > 1]}"
        return f"the best F{beta[1]}{weighs if float(beta[1]) != 1 else ''}"
    best = "lowest" if DIRECTIONS.get(name) == "lower" else "best"
    return f"the {best} {words.within(name)}"


def threshold_words(record: Record) -> str:
    """Where a decision threshold comes from; empty without one.

    >>> threshold_words({"threshold": 0.5, "split": "test"})
    'the usual threshold 0.500'
    >>> threshold_words({"threshold": 0.31, "threshold_for": "f1", "split": "test"})
    'threshold 0.310, chosen for the best F1 on the validation rows'
    """
    threshold = record.get("threshold")
    if threshold is None:
        return ""
    aim = aim_of(record)
    several = isinstance(threshold, Mapping)
    if aim is None:
        return "a threshold for each label" if several else _plain_threshold(float(threshold))
    chosen = f"chosen for {on_validation(aim_words(aim))}"
    if record.get("split") == "validation":
        chosen = chosen.replace("the validation rows", "these very rows, which flatters it")
    if several:
        return f"a threshold for each label, {chosen}"
    return f"threshold {words.number(float(threshold))}, {chosen}"


def on_validation(aim: str) -> str:
    """Where the threshold was chosen, behind what for.

    >>> on_validation("the best F1"), on_validation("the lowest cost, a and b")
    ('the best F1 on the validation rows', 'the lowest cost, a and b, on the validation rows')
    """
    return f"{aim}{',' if ',' in aim else ''} on the validation rows"


def aim_of(record: Record) -> str | None:
    """What the threshold was chosen for; None where it was not chosen.

    Records from before there were aims do not say: theirs was F1, unless it is the usual one.

    >>> aim_of({"threshold": 0.3}), aim_of({"threshold": 0.5}), aim_of({"threshold_for": "f2"})
    ('f1', None, 'f2')
    """
    if "threshold_for" in record:
        return record["threshold_for"]
    return None if record.get("threshold") in (None, USUAL) else "f1"


def threshold_at(record: Record, label: str | None = None) -> float:
    """From which score on a row is positive, or has a label.

    >>> threshold_at({"threshold": {"cat": 0.3}}, "cat"), threshold_at({"threshold": None})
    (0.3, 0.5)
    """
    found = record.get("threshold")
    if isinstance(found, Mapping):
        found = found.get(str(label))
    return USUAL if found is None else float(found)


def calibration_method(record: Record) -> str:
    """The method that was kept, in words; empty where there was no calibration, or none was kept.

    >>> calibration_method({"calibration": {"method": "temperature", "parameters": {"t": 1.5}}})
    'temperature scaling (t 1.500)'
    >>> calibration_method({"temperature": 1.25})
    'temperature scaling (temperature 1.250)'
    """
    found = record.get("calibration") or {}
    method = found.get("method")
    if method is None:
        temperature = record.get("temperature")
        if temperature is None or found:
            return ""
        return f"{METHODS['temperature']} (temperature {words.number(float(temperature))})"
    numbers = {
        name: value
        for name, value in (found.get("parameters") or {}).items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    told = ", ".join(f"{name} {words.number(float(value))}" for name, value in numbers.items())
    return METHODS.get(method, str(method)) + (f" ({told})" if told else "")


def calibration_words(record: Record) -> list[str]:
    """Sentences on how the scores were calibrated and why so; none where nothing is known.

    >>> calibration_words({"calibration": {"method": None, "reason": "nothing helps"}})
    ['The scores are as the model gives them, not calibrated.', 'Why: nothing helps.']
    """
    found = record.get("calibration")
    method = calibration_method(record)
    if not found:
        return [f"The scores were calibrated by {method}."] if method else []
    reason = str(found.get("reason") or "").removeprefix("not calibrated: ").rstrip(".")
    rows = found.get("rows")
    fitted = f", fitted on {words.count(int(rows), 'validation row')}" if rows else ""
    kept = f"The scores were calibrated by {method}{fitted}."
    none = "The scores are as the model gives them, not calibrated."
    return [kept if method else none, *([f"Why: {reason}."] if reason else [])]


def calibration_table(record: Record) -> list[tuple[str, float | None, float | None, bool]]:
    """Log loss, Brier score and ECE before and after, and whether after is the better.

    >>> calibration_table({"calibration": {"before": {"ece": 0.2}, "after": {"ece": 0.1}}})
    [('Calibration error (ECE)', 0.2, 0.1, True)]
    """
    found = record.get("calibration") or {}
    before, after = found.get("before") or {}, found.get("after") or {}
    return [
        (words.title(name), before[name], after[name], _less(after[name], before[name]))
        for name in COMPARED
        if name in before and name in after
    ]


def _less(first: float | None, second: float | None) -> bool:
    return first is not None and second is not None and first < second


def _plain_threshold(threshold: float) -> str:
    usual = "the usual " if threshold == USUAL else ""
    return f"{usual}threshold {words.number(threshold)}"


def _filled(form: str, numbers: list[str]) -> str:
    """The form with its numbers; empty where there are more or fewer than it has places for."""
    places = form.count("{}")
    given = [each for each in numbers if each]
    return form.format(*given) if len(given) == places else ""
