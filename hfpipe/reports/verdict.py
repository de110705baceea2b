"""The first sentences of the report: is the model any good, said in words that hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hfpipe.reports import words

NOISE = 1.96
"""Standard errors within which a difference may be chance (95 %)."""


def verdict(record: Mapping[str, Any]) -> list[str]:
    """Say what the model reaches and how that compares with its baselines.

    A difference is called one only where it is larger than what drawing other rows would
    change: 1.96 standard errors, the two scores taken as independent, which is cautious.

    >>> verdict(
    ...     {
    ...         "n": 4000,
    ...         "metrics": {"accuracy": 0.836},
    ...         "baselines": {"tfidf_logistic_regression": {"accuracy": 0.75}},
    ...     }
    ... )[1]
    'That is 8.6 points better than TF-IDF + logistic regression (75.0 %).'
    """
    metrics, n = record["metrics"], record["n"]
    accuracy = metrics.get("accuracy")
    if accuracy is None:
        return ["No row has a label, so there is nothing to score: this page has predictions only."]
    sentences = [
        f"The model names the right class of {words.percent(accuracy)} of "
        f"{words.count(n, 'row')}{_margin(accuracy, n)}."
    ]
    others = _strongest_first(record.get("baselines") or {})
    if not others:
        return [*sentences, "There is no baseline to compare it with."]
    name, values = others[0]
    sentences.append(_compared(accuracy, values["accuracy"], name, n))
    sentences += _on_rare_classes(metrics, values, name)
    return sentences


def standing(record: Mapping[str, Any]) -> str:
    """One word for the whole: ``better``, ``unclear``, ``worse`` or ``unknown``.

    >>> standing({"n": 100, "metrics": {"accuracy": 0.8}, "baselines": {"x": {"accuracy": 0.79}}})
    'unclear'
    """
    accuracy = record["metrics"].get("accuracy")
    others = _strongest_first(record.get("baselines") or {})
    if accuracy is None or not others:
        return "unknown"
    other = others[0][1]["accuracy"]
    if abs(accuracy - other) <= _noise(accuracy, other, record["n"]):
        return "unclear"
    return "better" if accuracy > other else "worse"


def _compared(accuracy: float, other: float, name: str, n: int) -> str:
    points = f"{abs(100 * (accuracy - other)):.1f} points"
    against = f"{words.title(name)} ({words.percent(other)})"
    if abs(accuracy - other) <= _noise(accuracy, other, n):
        return (
            f"That is within {points} of {against}: on {words.count(n, 'row')} such a difference "
            "can be chance."
        )
    if accuracy > other:
        return f"That is {points} better than {against}."
    return f"That is {points} worse than {against}: this model is not worth its cost yet."


def _on_rare_classes(metrics: Mapping[str, Any], other: Mapping[str, Any], name: str) -> list[str]:
    """Macro F1 weighs rare classes as much as frequent ones; say so if it tells another story."""
    ours, theirs = metrics.get("macro_f1"), other.get("macro_f1")
    if ours is None or theirs is None or metrics["accuracy"] <= other["accuracy"] or ours >= theirs:
        return []
    return [
        f"But averaged over classes it is behind: macro F1 {ours:.3f} against {theirs:.3f} of "
        f"{words.title(name)}, so rare classes are named less well."
    ]


def _strongest_first(baselines: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    scored = [(name, values) for name, values in baselines.items() if values.get("accuracy")]
    return sorted(scored, key=lambda item: -item[1]["accuracy"])


def _margin(share: float, n: int) -> str:
    error = NOISE * math.sqrt(share * (1 - share) / n)
    return f" (give or take {100 * error:.1f} points)" if error >= 0.0005 else ""


def _noise(first: float, second: float, n: int) -> float:
    return NOISE * math.sqrt((first * (1 - first) + second * (1 - second)) / n)
