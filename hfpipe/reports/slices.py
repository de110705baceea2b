"""The tables of slices: each sliced column, leaked rows beside clean ones, and the worst slices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hfpipe.blocks import CLEAN, CONDITIONS, LEAKED, LEAKS
from hfpipe.reports import words
from hfpipe.reports.kinds import beats, primary, shown
from hfpipe.reports.noise import margin

ALL = "all"
"""The slice of all rows: see ``hfpipe.evaluation.slicing``."""
AUTOMATIC = (*CONDITIONS, LEAKS)
"""How the columns begin that are there wherever the worst slices were looked for."""
FEW = 30
"""Below so many rows a slice is marked: chance alone moves its metrics by tens of points."""
Record = Mapping[str, Any]


def slice_tables(record: Record) -> list[dict[str, Any]]:
    """One table a sliced column: its values down; rows, metrics and the model's own numbers across.

    Each cell is a value with its interval, if it has one.

    >>> slice_tables({"metrics": {"accuracy": 1.0}, "slices": {"lang": {"en": {"n": 2}}}})[0][
    ...     "name"
    ... ]
    'lang'
    """
    wanted = shown(record["metrics"])
    tables = []
    for column, values in (record.get("slices") or {}).items():
        if column == LEAKS:
            continue
        own = {name: None for each in values.values() for name in each if name != "intervals"}
        extras = [name for name in own if name not in record["metrics"] and name != "n"]
        names = [*(name for name in wanted if name in own), *extras]
        rows = [
            {
                "value": value,
                "n": each.get("n"),
                "few": _few(each),
                "cells": [(each.get(name), _interval(each, name)) for name in names],
            }
            for value, each in values.items()
        ]
        name = "All rows" if column == ALL else column
        columns = [_heading(name) for name in names]
        few = any(row["few"] for row in rows)
        tables.append({"name": name, "columns": columns, "rows": rows, "few": few})
    return tables


def leak_of(record: Record) -> dict[str, Any] | None:
    """Clean and leaked rows side by side; nothing where nobody looked for leaks.

    Returns:
        ``sentence``, and ``rows``: metric, then its value on all, clean and leaked rows.
    """
    found = (record.get("slices") or {}).get(LEAKS)
    if not found:
        return None
    clean, leaked = found.get(CLEAN) or {"n": 0}, found.get(LEAKED) or {"n": 0}
    sides = [{**record["metrics"], "n": record["n"]}, clean, leaked]
    names = shown(record["metrics"])
    ranges = [record, clean, leaked]
    rows = [
        (
            words.title(name),
            [
                (side.get(name), _interval(each, name))
                for side, each in zip(sides, ranges, strict=True)
            ],
        )
        for name in names
    ]
    return {
        "sentence": leak_words(record),
        "counts": [side["n"] for side in sides],
        "rows": rows if leaked["n"] else [],
    }


def leak_words(record: Record) -> str:
    """One sentence on rows that the model may remember; empty where nobody looked for them.

    >>> leak_words(
    ...     {
    ...         "n": 100,
    ...         "metrics": {"accuracy": 0.82},
    ...         "slices": {
    ...             "near-duplicate in train": {
    ...                 "clean": {"n": 90, "accuracy": 0.8},
    ...                 "leaked": {"n": 10, "accuracy": 1.0},
    ...             }
    ...         },
    ...     }
    ... )[:60]
    '10 of 100 rows (10.0 %) have a near-duplicate among the rows'
    """
    found = (record.get("slices") or {}).get(LEAKS)
    if not found:
        return ""
    clean, leaked = found.get(CLEAN) or {"n": 0}, found.get(LEAKED) or {"n": 0}
    if not leaked["n"]:
        return (
            "No row has a near-duplicate among the rows the model learned from, so the score is "
            "not inflated by leaked rows."
        )
    total = leaked["n"] + clean["n"]
    name = primary(record["metrics"])
    share = f"{leaked['n']:,} of {words.count(total, 'row')} ({words.percent(leaked['n'] / total)})"
    verb = "has" if leaked["n"] == 1 else "have"
    start = f"{share} {verb} a near-duplicate among the rows the model learned from"
    ours, theirs = clean.get(name), leaked.get(name)
    if ours is None:
        return f"{start}; too few rows are clean to score the model on them alone."
    on_leaked = "" if theirs is None else f", against {words.number(theirs)} on the leaked ones"
    return (
        f"{start}. Trust the score of the clean ones, which is what new rows will get: "
        f"{words.within(name)} {words.number(ours)}{on_leaked}."
    )


def leak_inflates(record: Record) -> bool:
    """Whether leaked rows score better than clean ones by more than chance explains."""
    found = (record.get("slices") or {}).get(LEAKS) or {}
    name = primary(record["metrics"])
    clean, leaked = found.get(CLEAN) or {}, found.get(LEAKED) or {}
    ours, theirs = clean.get(name), leaked.get(name)
    if ours is None or theirs is None or not beats(name, theirs, ours):
        return False
    # The record has no intervals of slices: every metric but an error is taken for a share.
    like = name if name.startswith("rmse") else "share"
    chance = math.hypot(margin(clean, like, ours), margin(leaked, like, theirs))
    return bool(abs(ours - theirs) > chance)


def worst_slices(record: Record) -> dict[str, Any] | None:
    """The slices on which the model is worse than elsewhere; nothing where nobody looked.

    Returns:
        ``metric``: what they are judged by; ``rows``: name, rows, value there, elsewhere, p.
    """
    found = record.get("worst_slices")
    sought = any(name.startswith(AUTOMATIC) for name in record.get("slices") or {})
    if found is None or not (found or sought):
        return None
    return {
        "metric": words.title(found[0]["metric"]) if found else "",
        "rows": [
            {
                "name": slice_name(each["slice"]),
                "metric": words.title(each["metric"]),
                "n": each["n"],
                "value": each["value"],
                "rest": each["rest"],
                "p": p_words(each.get("p")),
            }
            for each in found
        ],
    }


def worst_words(record: Record) -> str:
    """One sentence on the worst slice; empty without one.

    >>> worst_words(
    ...     {
    ...         "worst_slices": [
    ...             {"slice": {"lang": "de"}, "n": 40, "metric": "f1", "value": 0.5, "rest": 0.8}
    ...         ]
    ...     }
    ... )
    'It is weakest where lang is “de” (40 rows): F1 0.500, and 0.800 elsewhere.'
    """
    found = record.get("worst_slices")
    if not found:
        return ""
    first = found[0]
    return (
        f"It is weakest where {slice_name(first['slice'])} ({words.count(first['n'], 'row')}): "
        f"{words.within(first['metric'])} {words.number(first['value'])}, and "
        f"{words.number(first['rest'])} elsewhere."
    )


def slice_name(conditions: Mapping[str, Any]) -> str:
    """What a slice is called.

    >>> slice_name({"lang": "de", "rows of the group": "1"})
    'lang is “de” and rows of the group is “1”'
    """
    return words.listed([f"{column} is “{value}”" for column, value in conditions.items()])


def p_words(p: float | None) -> str:
    """A p-value as far as it can be read.

    >>> p_words(0.0321), p_words(1e-9), p_words(None)
    ('0.032', '< 0.001', 'n/a')
    """
    return "< 0.001" if p is not None and p < 0.001 else words.number(p)


def _few(metrics: Mapping[str, Any]) -> bool:
    return (metrics.get("n") or 0) < FEW


def _interval(metrics: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    found = (metrics.get("intervals") or {}).get(name)
    if not found or any(end is None for end in found):
        return None
    return float(found[0]), float(found[1])


def _heading(name: str) -> str:
    """What a column of a slice is called.

    >>> _heading("gate_weight.video"), _heading("roc_auc")
    ('Gate weight: video', 'ROC AUC')
    """
    first, _, rest = name.partition(".")
    return f"{words.title(first)}: {rest}" if rest else words.title(name)
