"""The first sentences of the report: is the model any good, said in words that hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from hfpipe.reports import words
from hfpipe.reports.decisions import threshold_words
from hfpipe.reports.kinds import beats, kind_of, primary, strongest_first
from hfpipe.reports.noise import margin, noise, positives
from hfpipe.reports.slices import leak_inflates, leak_words, worst_words
from hfpipe.reports.uncertainty import Difference, bracketed, confidence_words, difference_of

Record = Mapping[str, Any]


def verdict(record: Record) -> list[str]:
    """Say what the model reaches, how that compares with its baselines, and what to beware of.

    A difference is called one only where its interval leaves out 0: the paired one of the record,
    or where that has none, what drawing other rows would change (:mod:`hfpipe.reports.noise`).

    >>> verdict(
    ...     {
    ...         "n": 4000,
    ...         "metrics": {"accuracy": 0.836},
    ...         "baselines": {"tfidf_logistic_regression": {"accuracy": 0.75}},
    ...     }
    ... )[1]
    'That is 8.6 points better than TF-IDF + logistic regression (75.0 %).'
    """
    metrics = record["metrics"]
    name = primary(metrics)
    value = metrics.get(name)
    if not record["n"] or value is None:
        return [_nothing(record, name)]
    sentences = _OPENINGS[kind_of(metrics).name](record, value)
    found = strongest(record)
    if found is None:
        sentences.append("There is no baseline to compare it with.")
    else:
        other, values = found
        sentences.insert(1, _compared(record, name, value, values[name], other))
        sentences += _another_story(record, values, name, other)
    leak = leak_words(record) if leak_inflates(record) else ""
    return [*sentences, *filter(None, [leak, worst_words(record)])]


def standing(record: Record) -> str:
    """One word for the whole: ``better``, ``unclear``, ``worse`` or ``unknown``.

    >>> standing({"n": 100, "metrics": {"accuracy": 0.8}, "baselines": {"x": {"accuracy": 0.79}}})
    'unclear'
    """
    name = primary(record["metrics"])
    value = record["metrics"].get(name)
    found = strongest(record)
    if value is None or found is None:
        return "unknown"
    baseline, other = found[0], found[1][name]
    difference = difference_of(record, baseline, name)
    if difference is not None:
        return difference.standing
    if abs(value - other) <= noise(record, name, value, other):
        return "unclear"
    return "better" if beats(name, value, other) else "worse"


def strongest(record: Record) -> tuple[str, Mapping[str, Any]] | None:
    """The baseline that is hardest to beat in the metric that decides; None without one."""
    name = primary(record["metrics"])
    return next((each for each in strongest_first(record) if each[1].get(name) is not None), None)


def _nothing(record: Record, name: str) -> str:
    if not record["n"] or name == "accuracy":
        return "No row has a label, so there is nothing to score: this page has predictions only."
    reason = (record.get("undefined") or {}).get(name)
    because = f": {reason}" if reason else ""
    rows = words.count(record["n"], "row")
    return f"{words.title(name)} is not defined for these {rows}{because}."


def _of_shares(record: Record, value: float) -> list[str]:
    points = 100 * margin(record, "accuracy", value)
    estimate = f" (give or take {points:.1f} points)" if points >= 0.05 else ""
    give = bracketed(record, "accuracy", in_percent=True) or estimate
    return [
        f"The model names the right class of {words.percent(value)} of "
        f"{words.count(record['n'], 'row')}{give}."
    ]


def _of_ranking(record: Record, value: float) -> list[str]:
    metrics = record["metrics"]
    apart = margin(record, "roc_auc", value)
    estimate = f" (give or take {apart:.3f})" if 0.0005 <= apart < 1 else ""
    give = bracketed(record, "roc_auc") or estimate
    share = positives(record) / record["n"]
    first = (
        f"A positive row scores above a negative one {words.percent(value)} of the time: ROC AUC "
        f"{words.number(value)}{give} on {words.count(record['n'], 'row')}."
    )
    precise = bracketed(record, "average_precision")
    second = (
        f"Average precision is {words.number(metrics.get('average_precision'))}{precise}, where "
        f"guessing gives {words.number(share)}, the share of positive rows."
    )
    found = [first, second]
    if threshold_words(record):
        found.append(
            f"F1 is {words.number(metrics.get('f1'))} (precision "
            f"{words.number(metrics.get('precision'))}, recall "
            f"{words.number(metrics.get('recall'))}) at {threshold_words(record)}."
        )
    return found


def _of_labels(record: Record, value: float) -> list[str]:
    metrics = record["metrics"]
    found = [
        f"Averaged over the labels, F1 is {words.number(value)} (macro) on "
        f"{words.count(record['n'], 'row')}{bracketed(record, 'macro_f1')}; "
        f"{words.percent(metrics.get('accuracy'))} of them have every label right."
    ]
    return [*found, f"All at {threshold_words(record)}."] if threshold_words(record) else found


def _of_numbers(record: Record, value: float) -> list[str]:
    metrics = record["metrics"]
    rows = words.count(record["n"], "row")
    if "rmse_log" not in metrics:
        return [
            f"The predictions are off by {words.number(metrics.get('mae_raw'))} on average, and "
            f"the root mean squared error is {words.number(value)}"
            f"{bracketed(record, 'rmse_raw')}, on {rows}."
        ]
    mean = metrics.get("mae_log")
    factor = f", a factor of {math.exp(mean):.2f}" if mean is not None and mean < 50 else ""
    return [
        f"The predictions are off by {words.number(mean)} on average in log(1 + y){factor}; the "
        f"root mean squared error is {words.number(value)}{bracketed(record, 'rmse_log')}, on "
        f"{rows}."
    ]


_OPENINGS: Mapping[str, Callable[[Record, float], list[str]]] = {
    "classification": _of_shares,
    "binary": _of_ranking,
    "multi_label": _of_labels,
    "regression": _of_numbers,
}


def _compared(record: Record, name: str, value: float, other: float, baseline: str) -> str:
    in_points = name == "accuracy"
    written = words.percent(other) if in_points else words.number(other)
    against = f"{words.title(baseline)} ({written})"
    difference = difference_of(record, baseline, name)
    if difference is not None:
        return _paired(record, difference, against, in_points)
    lower = name.startswith("rmse")
    apart = abs(value - other)
    gap = f"{100 * apart:.1f} points" if in_points else words.number(apart)
    if apart <= noise(record, name, value, other):
        return (
            f"That is within {gap} of {against}: on {words.count(record['n'], 'row')} such a "
            "difference can be chance."
        )
    if beats(name, value, other):
        return f"That is {gap} {'lower, so ' if lower else ''}better than {against}."
    return f"That is {gap} {'higher, so ' if lower else ''}worse than {against}{WORTHLESS}"


WORTHLESS = ": this model is not worth its cost yet."


def _paired(record: Record, difference: Difference, against: str, in_points: bool) -> str:
    """What the paired difference says, counted from the side that is ahead."""
    level = confidence_words(record)
    if difference.standing == "unclear":
        gap, ends = _gap(difference.gain, in_points, signed=True)
        return (
            f"Whether it is better than {against} these rows do not tell: the gain is {gap} "
            f"({level} interval {ends})."
        )
    if difference.standing == "better":
        gap, ends = _gap(difference.gain, in_points)
        return f"It is better than {against} by {gap} ({level} interval {ends})."
    gap, ends = _gap(difference.loss, in_points)
    return f"It is worse than {against} by {gap} ({level} interval {ends}){WORTHLESS}"


def _gap(difference: Difference, in_points: bool, signed: bool = False) -> tuple[str, str]:
    """A difference and its interval, in points of a hundred or as it is."""
    scale, digits = (100.0, 1) if in_points else (1.0, 3)
    write = words.signed if signed else words.number
    value, low, high = (
        write(scale * each, digits) for each in (difference.value, difference.low, difference.high)
    )
    return f"{value} points" if in_points else value, f"{low} to {high}"


STORIES: Mapping[str, tuple[str, str, str]] = {
    "accuracy": ("macro_f1", "averaged over classes", "so rare classes are named less well"),
    "roc_auc": (
        "average_precision",
        "among the rows that score highest",
        "so fewer of them are positive",
    ),
    "rmse_log": ("mae_log", "on the typical row", "so it wins on a few large errors only"),
    "rmse_raw": ("mae_raw", "on the typical row", "so it wins on a few large errors only"),
}
"""The metric that decides to one that may tell another story."""


def _another_story(record: Record, other: Mapping[str, Any], name: str, baseline: str) -> list[str]:
    """Macro F1 weighs rare classes as much as frequent ones: say so if it disagrees, and so on."""
    metrics = record["metrics"]
    second, where, so = STORIES.get(name, ("", "", ""))
    ours, theirs = metrics.get(second), other.get(second)
    if ours is None or theirs is None or not beats(name, metrics[name], other[name]):
        return []
    difference = difference_of(record, baseline, second)
    behind = difference is None or difference.standing == "worse"
    if not (behind and beats(second, theirs, ours)):
        return []
    return [
        f"But {where} it is behind: {words.within(second)} {ours:.3f} against {theirs:.3f} of "
        f"{words.title(baseline)}, {so}."
    ]
