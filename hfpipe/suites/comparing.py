"""What the cells of a suite come to, side by side."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.suites.cells import Outcome
from hfpipe.suites.checking import Ground

COLUMNS = (
    "horizon",
    "rank",
    "cell",
    "family",
    "strategy",
    "metric",
    "validation",
    "test",
    "to_best",
    "to_best_percent",
    "constant",
    "model",
)


def by_horizon(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """Those that did not fail, by horizon, in the order of the plan."""
    found: dict[str, list[Outcome]] = {}
    for each in outcomes:
        if each.error is None:
            found.setdefault(each.cell.horizon, []).append(each)
    return found


def leaderboard(
    suite: str, outcomes: Sequence[Outcome], grounds: Mapping[str, Ground]
) -> dict[str, Any]:
    """Every horizon's cells, best on test first; the same run again gives the same to the digit.

    Times and commits, which differ from run to run, are in ``runs.json``.
    """
    horizons = {}
    for horizon, done in by_horizon(outcomes).items():
        ground = grounds[horizon]
        horizons[horizon] = {
            "dataset": ground.repo_id,
            "dataset_revision": ground.revision,
            "metric": ground.task.primary,
            "direction": DIRECTIONS[ground.task.primary],
            "constant": {
                split: ground.constant[split].get(ground.task.primary)
                for split in ("validation", "test")
            },
            "cells": _ranked(done, ground),
        }
    failed = [
        {"cell": each.cell.name, "horizon": each.cell.horizon, "error": each.error}
        for each in outcomes
        if each.error is not None
    ]
    return {"suite": suite, "horizons": horizons, "failed": failed}


def _ranked(done: Sequence[Outcome], ground: Ground) -> list[dict[str, Any]]:
    metric = ground.task.primary
    ranked = sorted(done, key=lambda each: (goodness(each, "test", metric), each.cell.name))
    best = ranked[0].score("test", metric)
    rows = []
    for rank, each in enumerate(ranked, 1):
        test = each.score("test", metric)
        away = None if test is None or best is None else abs(test - best)
        rows.append(
            {
                "rank": rank,
                "cell": each.cell.name,
                "family": each.cell.family,
                "strategy": each.cell.strategy,
                "validation": each.score("validation", metric),
                "test": test,
                "to_best": away,
                "to_best_percent": None if away is None or not best else 100 * away / abs(best),
                "constant": ground.constant["test"].get(metric),
                "model": each.repo_id,
            }
        )
    return rows


def goodness(outcome: Outcome, split: str, metric: str) -> float:
    """Smaller is better, whatever the metric; what is not known comes last."""
    value = outcome.score(split, metric)
    if value is None:
        return float("inf")
    return -value if DIRECTIONS[metric] == "higher" else value


def chosen(done: Sequence[Outcome], metric: str) -> dict[str, Outcome]:
    """Family to its best cell on validation: test has no say."""
    found: dict[str, Outcome] = {}
    for each in done:
        known = found.get(each.cell.family)
        if known is None or goodness(each, "validation", metric) < goodness(
            known, "validation", metric
        ):
            found[each.cell.family] = each
    return found


def comparison(outcomes: Sequence[Outcome], grounds: Mapping[str, Ground]) -> dict[str, Any]:
    """Means over families and strategies, each family's best strategy, and which strategy wins."""
    found = {}
    for horizon, done in by_horizon(outcomes).items():
        metric = grounds[horizon].task.primary
        best = chosen(done, metric)
        families = sorted({each.cell.family for each in done})
        wins = Counter(
            min(
                (each for each in done if each.cell.family == family),
                key=lambda each: goodness(each, "test", metric),
            ).cell.strategy
            for family in families
        )
        strategies = _means(done, metric, "strategy")
        sign = -1 if DIRECTIONS[metric] == "higher" else 1
        known = {name: value for name, value in strategies.items() if value is not None}
        found[horizon] = {
            "metric": metric,
            "mean_by_strategy": strategies,
            "mean_by_family": _means(done, metric, "family"),
            "best_strategy_on_validation": {
                family: {
                    "strategy": each.cell.strategy,
                    "validation": each.score("validation", metric),
                    "test": each.score("test", metric),
                }
                for family, each in sorted(best.items())
            },
            "families_won_on_test": dict(sorted(wins.items())),
            "best_strategy_by_mean": min(known, key=lambda name: sign * known[name])
            if known
            else None,
        }
    return found


def _means(done: Sequence[Outcome], metric: str, part: str) -> dict[str, float | None]:
    found: dict[str, list[float | None]] = {}
    for each in done:
        found.setdefault(getattr(each.cell, part), []).append(each.score("test", metric))
    return {
        name: None if None in values else sum(v for v in values if v is not None) / len(values)
        for name, values in sorted(found.items())
    }


def slices(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Horizon, cell, column, value: the metrics on test, with the means of what models tell."""
    return {
        horizon: {each.cell.name: each.metrics["test"].get("slices", {}) for each in done}
        for horizon, done in by_horizon(outcomes).items()
    }


def runs(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Cell to its model's commit and its seconds: what differs from run to run."""
    return {
        each.cell.name: {
            "model": f"{each.repo_id}@{each.revision}",
            "seconds": each.seconds,
            "best_epoch": each.epochs,
        }
        for each in outcomes
        if each.error is None
    }


def as_csv(board: Mapping[str, Any]) -> str:
    """The leaderboard as one table, a row a cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for horizon, found in board["horizons"].items():
        for row in found["cells"]:
            writer.writerow({"horizon": horizon, "metric": found["metric"], **row})
    return text.getvalue()
