"""Results side by side: ranked by a metric, each with its distance to the best on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError, nearest
from hfpipe.evaluation.matching import Matched, check_same, match
from hfpipe.evaluation.stored import Stored
from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.metrics.paired import difference, mcnemar
from hfpipe.metrics.scores import Floats, ranked_classes
from hfpipe.metrics.tasks import Classification, Task

BEST, TIED = "best", "not distinguishable from the best"
WORSE, BETTER = "worse than the best", "better than the best on the rows that all have"
SEED, CONFIDENCE = 0, 0.95
AGREE = 1e-3
"""So far may a metric of the rounded scores be from the record's, as a share of it above 1."""
HITS: Mapping[str, int] = MappingProxyType({f"top_{k}_accuracy": k for k in (1, 2, 3)})


def standings(
    results: Sequence[Stored], metric: str | None = None, resamples: int = 1000
) -> dict[str, Any]:
    """The leaderboard, as plain JSON values.

    Args:
        results: At least two, of the same test set.
        metric: What to rank by; by default what decides for the task.
        resamples: Of the paired bootstrap.

    Returns:
        ``task``, ``labels``, where the rows are from, ``metric``, ``direction``, ``rows`` and
        ``models``, the best first.

    Raises:
        UserError: Another test set, or no such metric.
    """
    check_same(results)
    first, task = results[0].record, results[0].task
    name = chosen_metric(results, metric)
    ranked = sorted(results, key=lambda each: _goodness(each, name))
    with_rows = [each for each in results if each.rows]
    matched = match(with_rows, task) if len(with_rows) > 1 else None
    models = [_told(each, ranked, name) for each in ranked]
    why = {each.name: _unusable(each, task, name, matched) for each in ranked}
    for each, told in zip(ranked, models, strict=True):
        told.update(_apart(each, ranked[0], task, name, matched, why, resamples))
    return {
        "task": task.name,
        "labels": list(task.labels),
        "dataset": first.dataset,
        "dataset_revision": first.dataset_revision,
        "split": first.split,
        "metric": name,
        "direction": DIRECTIONS[name],
        "rows": {
            "common": len(matched.row_ids) if matched else None,
            "left_out": matched.left_out if matched else {},
            "grouped": bool(matched and matched.groups),
        },
        "bootstrap": {"resamples": resamples, "confidence": CONFIDENCE, "seed": SEED},
        "models": models,
    }


def chosen_metric(results: Sequence[Stored], metric: str | None = None) -> str:
    """The metric to rank by: the one asked for, else what decides for the task.

    Raises:
        UserError: No result has it.
    """
    name = metric or results[0].task.primary
    there = dict.fromkeys(key for each in results for key in each.record.metrics)
    known = [each for each in there if each in DIRECTIONS]
    if name in known:
        return name
    raise UserError(f"no result has the metric '{name}'{nearest(name, known)}")


def _goodness(result: Stored, metric: str) -> float:
    """Smaller is better; what is not known comes last."""
    value = result.record.metrics.get(metric)
    if value is None:
        return float("inf")
    return -value if DIRECTIONS[metric] == "higher" else value


def _told(result: Stored, ranked: Sequence[Stored], metric: str) -> dict[str, Any]:
    """What the record itself says of a result."""
    record = result.record.to_dict()
    value = record["metrics"].get(metric)
    ends = (record.get("intervals") or {}).get(metric) or [None, None]
    ours = _goodness(result, metric)
    if metric not in record["metrics"]:
        reason = f"its record has no {metric}: evaluate it again"
    else:
        reason = (record.get("undefined") or {}).get(metric) or "not defined on its rows"
    return {
        "rank": None if value is None else 1 + sum(_goodness(o, metric) < ours for o in ranked),
        "name": result.name,
        "model": record["model"],
        "model_revision": record["model_revision"],
        "value": value,
        "low": ends[0],
        "high": ends[1],
        "reason": reason if value is None else None,
        "n": record["n"],
        "threshold": record["threshold"],
        "metrics": record["metrics"],
    }


def _apart(
    result: Stored,
    best: Stored,
    task: Task,
    metric: str,
    matched: Matched | None,
    unusable: Mapping[str, str | None],
    resamples: int,
) -> dict[str, Any]:
    """How far a result is from the best, or why that is not told."""
    found: dict[str, Any] = {
        "difference": None,
        "mcnemar": None,
        "verdict": None,
        "no_difference": None,
    }
    if result is best:
        return {**found, "verdict": None if best.record.metrics.get(metric) is None else BEST}
    for each in (result, best):
        if unusable[each.name]:
            return {**found, "no_difference": f"{each.name}: {unusable[each.name]}"}
    assert matched is not None  # else there is no usable one
    thresholds = (result.record.threshold, best.record.threshold)
    scores = (matched.scores[result.name], matched.scores[best.name])
    apart = difference(
        task, matched.truth, *scores, metric, thresholds, matched.groups, resamples, SEED
    )
    why = "too few rows for an interval" if apart.low is None else None
    if apart.value is None:
        why = f"{metric} is not defined on the rows that all have"
    return {
        "difference": asdict(apart),
        "mcnemar": _tested(task, metric, matched, scores, thresholds),
        "verdict": _verdict(apart, metric),
        "no_difference": why,
    }


def _tested(
    task: Task, metric: str, matched: Matched, scores: Sequence[Floats], thresholds: Sequence[Any]
) -> dict[str, Any] | None:
    """McNemar's test of what a result and the best decide; None where rows are not independent."""
    first, best = (
        _right(task, metric, matched.truth, each, threshold)
        for each, threshold in zip(scores, thresholds, strict=True)
    )
    if first is None or best is None or matched.groups is not None:
        return None
    test = mcnemar(first, best)
    return {"only_this": test.only_first, "only_best": test.only_second, "p": test.p}


def _unusable(result: Stored, task: Task, metric: str, matched: Matched | None) -> str | None:
    """Why a result's rows give no difference; None where they do."""
    told = result.record.metrics.get(metric)
    if told is None:
        return f"no {metric}"
    if not result.rows:
        return "it has no predictions.jsonl"
    if matched is None:
        return "no other result has a predictions.jsonl"
    truth, scores = matched.whole[result.name]
    if len(truth) != result.record.n:
        return (
            f"predictions.jsonl has {len(truth):,} labelled rows and metrics.json "
            f"{result.record.n:,}: evaluate it again"
        )
    again = task.metrics(truth, scores, result.record.threshold).get(metric)
    if again is None or abs(told - again) > AGREE * max(1.0, abs(told)):
        # Another run's file, or a metric that hangs on digits that the file does not have.
        return (
            f"predictions.jsonl, with six digits, gives {metric} {_number(again)} and metrics.json "
            f"{_number(told)}"
        )
    return None


def _right(
    task: Task, metric: str, truth: npt.NDArray[Any], scores: Floats, threshold: Any
) -> npt.NDArray[np.bool_] | None:
    """Which rows a model has right: its best k for a top-k accuracy, else what it decides.

    None for a regression.
    """
    if isinstance(task, Classification) and metric in HITS:
        best = ranked_classes(scores)[:, : HITS[metric]]
        return np.asarray((best == truth[:, None]).any(axis=1))
    if task.name == "regression":
        return None
    same = task.choices(scores, threshold) == truth
    return np.asarray(same.reshape(len(same), -1).all(axis=1))


def _verdict(apart: Any, metric: str) -> str | None:
    """What an interval of this model minus the best says."""
    if apart.value is None or apart.low is None or apart.high is None:
        return None
    if apart.low <= 0 <= apart.high:
        return TIED
    ahead = apart.low > 0 if DIRECTIONS[metric] == "higher" else apart.high < 0
    return BETTER if ahead else WORSE


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.4f}"
