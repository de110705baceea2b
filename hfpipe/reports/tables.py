"""The tables of a report: metrics beside baselines, confusions, classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.reports import words
from hfpipe.reports.decisions import threshold_at
from hfpipe.reports.kinds import strongest_first
from hfpipe.reports.uncertainty import difference_of, interval_of

CONFUSIONS = 12
NO_WINNER = ("ece", "classwise_ece", "precision", "recall")
"""Always giving the class frequencies is well calibrated, and always saying yes finds every row;
neither says anything: no mark for them."""
Record = Mapping[str, Any]


def columns_of(record: Record) -> dict[str, Mapping[str, Any]]:
    """The model, then its baselines, the most demanding first."""
    ranked = strongest_first(record)
    return {"This model": record["metrics"]} | {words.title(n): values for n, values in ranked}


def metrics_table(record: Record) -> dict[str, Any]:
    """One row a metric: the model's value with its interval, and the baselines' beside it.

    Returns:
        ``columns``: the model and its baselines; ``against``: the baseline that ``difference`` of
        every row is taken to, None where the record has no differences; ``rows``.
    """
    ranked = strongest_first(record)
    columns = columns_of(record)
    against = next((name for name, _ in ranked if (record.get("differences") or {}).get(name)), "")
    reasons = record.get("undefined") or {}
    rows = []
    for name in words.metric_order(record["metrics"]):
        values = [column.get(name) for column in columns.values()]
        rows.append(
            {
                "name": words.title(name),
                "way": DIRECTIONS.get(name),
                "interval": interval_of(record, name),
                "reason": reasons.get(name),
                "difference": difference_of(record, against, name),
                "cells": _marked(name, values),
            }
        )
    return {
        "columns": list(columns),
        "against": words.title(against) if against else None,
        "rows": rows,
    }


def _marked(name: str, values: Sequence[Any]) -> list[tuple[Any, bool]]:
    """Each value, and whether it is the best of them."""
    known = [value for value in values if value is not None]
    way = DIRECTIONS.get(name)
    best = None
    if len(known) > 1 and way and name not in NO_WINNER:
        best = max(known) if way == "higher" else min(known)
    return [(value, value is not None and value == best) for value in values]


def counted(rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Rows by true (down) and predicted class (across)."""
    index = {label: position for position, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for row in rows:
        if row["truth"] in index:
            counts[index[row["truth"]], index[row["prediction"]]] += 1
    return counts


def largest_confusions(
    counts: npt.NDArray[np.int64], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """The pairs of classes that are taken for each other most often."""
    off = counts.copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[:CONFUSIONS]
    pairs = [divmod(int(place), len(labels)) for place in order]
    return [
        {
            "truth": labels[row],
            "prediction": labels[column],
            "rows": int(off[row, column]),
            "share": off[row, column] / counts[row].sum(),
        }
        for row, column in pairs
        if off[row, column]
    ]


def classes_table(record: Record) -> dict[str, Any]:
    """Class by class, the most frequent first, with every metric that a class has.

    Where every label has a threshold of its own, that stands there too.
    """
    classes = sorted(record["per_class"].items(), key=lambda item: -item[1]["support"])
    names = [name for name in (classes[0][1] if classes else {}) if name != "support"]
    own = isinstance(record.get("threshold"), Mapping)
    rows = []
    for label, each in classes:
        cut = [threshold_at(record, label)] if own else []
        rows.append((label, [*(each.get(name) for name in names), *cut, each["support"]]))
    titles = [*map(words.title, names), *(["Threshold"] if own else []), "Rows"]
    return {"columns": titles, "rows": rows}
