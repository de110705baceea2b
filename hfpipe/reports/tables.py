"""The tables of a report: metrics beside baselines, slices, confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.reports import words
from hfpipe.reports.kinds import shown, strongest_first

CONFUSIONS = 12
ALL = "all"
"""The slice of all rows: see :mod:`hfpipe.evaluation.slicing`."""
NO_WINNER = ("ece", "precision", "recall")
"""Always giving the class frequencies is well calibrated, and always saying yes finds every row;
neither says anything: no mark for them."""
Record = Mapping[str, Any]


def columns_of(record: Record) -> dict[str, Mapping[str, Any]]:
    """The model, then its baselines, the most demanding first."""
    ranked = strongest_first(record)
    return {"This model": record["metrics"]} | {words.title(n): values for n, values in ranked}


def metrics_table(record: Record) -> dict[str, Any]:
    """Columns (model, baselines) and one row a metric, the best of each marked."""
    columns = columns_of(record)
    rows = []
    for name in words.metric_order(record["metrics"]):
        values = [column.get(name) for column in columns.values()]
        known = [value for value in values if value is not None]
        way = DIRECTIONS.get(name)
        best = None
        if len(known) > 1 and way and name not in NO_WINNER:
            best = max(known) if way == "higher" else min(known)
        rows.append(
            {
                "name": words.title(name),
                "way": way,
                "interval": (record.get("intervals") or {}).get(name),
                "cells": [(value, value is not None and value == best) for value in values],
            }
        )
    return {"columns": list(columns), "rows": rows}


def slice_tables(record: Record) -> list[dict[str, Any]]:
    """One table a sliced column: its values down; rows, metrics and the model's own numbers across.

    >>> slice_tables({"metrics": {"accuracy": 1.0}, "slices": {"lang": {"en": {"n": 2}}}})[0][
    ...     "name"
    ... ]
    'lang'
    """
    wanted = shown(record["metrics"])
    tables = []
    for column, values in (record.get("slices") or {}).items():
        own = {name: None for each in values.values() for name in each}
        extras = [name for name in own if name not in record["metrics"] and name != "n"]
        names = ["n", *(name for name in wanted if name in own), *extras]
        tables.append(
            {
                "name": "All rows" if column == ALL else column,
                "columns": [_heading(name) for name in names],
                "rows": [
                    (value, [each.get(name) for name in names]) for value, each in values.items()
                ],
            }
        )
    return tables


def _heading(name: str) -> str:
    """What a column of a slice is called.

    >>> _heading("n"), _heading("gate_weight.video"), _heading("roc_auc")
    ('Rows', 'Gate weight: video', 'ROC AUC')
    """
    if name == "n":
        return "Rows"
    first, _, rest = name.partition(".")
    return f"{words.title(first)}: {rest}" if rest else words.title(name)


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
    """Class by class, the most frequent first, with every metric that a class has."""
    classes = sorted(record["per_class"].items(), key=lambda item: -item[1]["support"])
    names = [name for name in (classes[0][1] if classes else {}) if name != "support"]
    return {
        "columns": [*map(words.title, names), "Rows"],
        "rows": [(label, [each[name] for name in (*names, "support")]) for label, each in classes],
    }
