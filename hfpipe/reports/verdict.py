"""The first sentences of the report: is the model any good, said in words that hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from hfpipe.reports import words
from hfpipe.reports.kinds import beats, kind_of, primary, strongest_first

NOISE = 1.96
"""Standard errors within which a difference may be chance (95 %)."""
Record = Mapping[str, Any]


def verdict(record: Record) -> list[str]:
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
    metrics = record["metrics"]
    name = primary(metrics)
    value = metrics.get(name)
    if not record["n"] or value is None:
        return [_nothing(record, name)]
    sentences = _OPENINGS[kind_of(metrics).name](record, value)
    others = [each for each in strongest_first(record) if each[1].get(name) is not None]
    if not others:
        return [*sentences, "There is no baseline to compare it with."]
    other, values = others[0]
    sentences.insert(1, _compared(record, name, value, values[name], other))
    return sentences + _another_story(metrics, values, name, other)


def standing(record: Record) -> str:
    """One word for the whole: ``better``, ``unclear``, ``worse`` or ``unknown``.

    >>> standing({"n": 100, "metrics": {"accuracy": 0.8}, "baselines": {"x": {"accuracy": 0.79}}})
    'unclear'
    """
    name = primary(record["metrics"])
    value = record["metrics"].get(name)
    others = [each[1][name] for each in strongest_first(record) if each[1].get(name) is not None]
    if value is None or not others:
        return "unknown"
    if abs(value - others[0]) <= noise(record, name, value, others[0]):
        return "unclear"
    return "better" if beats(name, value, others[0]) else "worse"


def noise(record: Record, name: str, first: float, second: float) -> float:
    """The difference between two values of a metric that other rows alone could make.

    Shares: the binomial one. ROC AUC: after Hanley & McNeil (1982). Root mean squared errors: that
    of normal residuals, which is too little where few rows have most of the error.

    >>> round(noise({"n": 100}, "accuracy", 0.5, 0.5), 4)
    0.1386
    """
    error = _ERRORS.get(name, _share_error)
    return NOISE * math.hypot(error(record, first), error(record, second))


def threshold_words(record: Record) -> str:
    """Where a decision threshold comes from; empty without one.

    >>> threshold_words({"threshold": 0.5, "split": "test"})
    'the usual threshold 0.500'
    """
    threshold = record.get("threshold")
    if threshold is None:
        return ""
    if threshold == 0.5:
        return "the usual threshold 0.500"
    where = "the validation rows"
    if record.get("split") == "validation":
        where = "these very rows, which flatters it"
    return f"threshold {words.number(float(threshold))}, chosen for the best F1 on {where}"


def _nothing(record: Record, name: str) -> str:
    if not record["n"] or name == "accuracy":
        return "No row has a label, so there is nothing to score: this page has predictions only."
    return f"{words.title(name)} is not defined for these {words.count(record['n'], 'row')}."


def _of_shares(record: Record, value: float) -> list[str]:
    margin = NOISE * _share_error(record, value)
    give = f" (give or take {100 * margin:.1f} points)" if margin >= 0.0005 else ""
    return [
        f"The model names the right class of {words.percent(value)} of "
        f"{words.count(record['n'], 'row')}{give}."
    ]


def _of_ranking(record: Record, value: float) -> list[str]:
    metrics = record["metrics"]
    margin = NOISE * _auc_error(record, value)
    give = f" (give or take {margin:.3f})" if margin >= 0.0005 else ""
    share = positives(record) / record["n"]
    first = (
        f"A positive row scores above a negative one {words.percent(value)} of the time: ROC AUC "
        f"{words.number(value)}{give} on {words.count(record['n'], 'row')}."
    )
    second = (
        f"Average precision is {words.number(metrics.get('average_precision'))}, where guessing "
        f"gives {words.number(share)}, the share of positive rows."
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
        f"{words.count(record['n'], 'row')}; {words.percent(metrics.get('accuracy'))} of them have "
        "every label right."
    ]
    return [*found, f"All at {threshold_words(record)}."] if threshold_words(record) else found


def _of_numbers(record: Record, value: float) -> list[str]:
    metrics = record["metrics"]
    rows = words.count(record["n"], "row")
    if "rmse_log" not in metrics:
        return [
            f"The predictions are off by {words.number(metrics.get('mae_raw'))} on average, and "
            f"the root mean squared error is {words.number(value)}, on {rows}."
        ]
    mean = metrics.get("mae_log")
    factor = f", a factor of {math.exp(mean):.2f}" if mean is not None and mean < 50 else ""
    return [
        f"The predictions are off by {words.number(mean)} on average in log(1 + y){factor}; the "
        f"root mean squared error is {words.number(value)}, on {rows}."
    ]


_OPENINGS: Mapping[str, Callable[[Record, float], list[str]]] = {
    "classification": _of_shares,
    "binary": _of_ranking,
    "multi_label": _of_labels,
    "regression": _of_numbers,
}


def _compared(record: Record, name: str, value: float, other: float, baseline: str) -> str:
    in_points = name == "accuracy"
    lower = name.startswith("rmse")
    apart = abs(value - other)
    gap = f"{100 * apart:.1f} points" if in_points else words.number(apart)
    written = words.percent(other) if in_points else words.number(other)
    against = f"{words.title(baseline)} ({written})"
    if apart <= noise(record, name, value, other):
        return (
            f"That is within {gap} of {against}: on {words.count(record['n'], 'row')} such a "
            "difference can be chance."
        )
    if beats(name, value, other):
        return f"That is {gap} {'lower, so ' if lower else ''}better than {against}."
    return (
        f"That is {gap} {'higher, so ' if lower else ''}worse than {against}: this model is not "
        "worth its cost yet."
    )


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


def _another_story(
    metrics: Mapping[str, Any], other: Mapping[str, Any], name: str, baseline: str
) -> list[str]:
    """Macro F1 weighs rare classes as much as frequent ones: say so if it disagrees, and so on."""
    second, where, so = STORIES.get(name, ("", "", ""))
    ours, theirs = metrics.get(second), other.get(second)
    if ours is None or theirs is None or not beats(name, metrics[name], other[name]):
        return []
    if not beats(second, theirs, ours):
        return []
    shown = words.title(second)
    shown = shown if shown.isupper() else shown[0].lower() + shown[1:]
    return [
        f"But {where} it is behind: {shown} {ours:.3f} against {theirs:.3f} of "
        f"{words.title(baseline)}, {so}."
    ]


def positives(record: Record) -> int:
    """Rows of the positive class of a binary record."""
    classes = list((record.get("per_class") or {}).values())
    return int(classes[-1].get("support") or 0) if classes else 0


def _share_error(record: Record, share: float) -> float:
    return math.sqrt(max(0.0, share * (1 - share)) / record["n"])


def _auc_error(record: Record, auc: float) -> float:
    yes = positives(record)
    no = record["n"] - yes
    if not yes or not no:
        return math.inf
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (yes - 1) * (first - auc**2) + (no - 1) * (second - auc**2)
    return math.sqrt(max(0.0, spread) / (yes * no))


def _rmse_error(record: Record, rmse: float) -> float:
    return rmse / math.sqrt(2 * record["n"])


_ERRORS: Mapping[str, Callable[[Record, float], float]] = {
    "roc_auc": _auc_error,
    "rmse_log": _rmse_error,
    "rmse_raw": _rmse_error,
}
