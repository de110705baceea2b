"""What a model card says of results and decisions: the report's numbers, in Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.reports import words
from hfpipe.reports.decisions import (
    aim_of,
    aim_words,
    calibration_method,
    calibration_table,
    calibration_words,
    on_validation,
)
from hfpipe.reports.kinds import kind_of
from hfpipe.reports.slices import leak_words
from hfpipe.reports.tables import columns_of, metrics_table
from hfpipe.reports.uncertainty import Difference, confidence_words, method_words, undefined_notes
from hfpipe.reports.verdict import verdict

HEADLINE = 2
"""So many sentences of the verdict: what the model reaches, and how that compares."""
DECIDING = ("threshold", "threshold_for", "temperature", "calibration")


def results_of(run: Mapping[str, Any], record: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the results section shows.

    Args:
        run: The model's ``hfpipe/run.json``.
        record: The evaluation record; until there is one, what the run measured on validation.

    Returns:
        ``headline`` and ``notes`` (sentences), ``where`` it was measured, ``columns`` and ``rows``
        of the table, ``lower``: the metrics of which less is better.
    """
    if not (record and record.get("metrics")):
        return _before_evaluation(run)
    split = record.get("split")
    of = f"the {split} split" if split else "a local file"
    table = metrics_table(record)
    ranges = any(row["interval"] for row in table["rows"])
    columns = list(table["columns"])
    extra = [f"{confidence_words(record)} interval"] if ranges else []
    extra += [f"Difference to {table['against']}"] if table["against"] else []
    rows = []
    for row in table["rows"]:
        cells = [words.number(value) for value, _ in row["cells"]]
        own = [_range(row["interval"])] if ranges else []
        own += [_difference(row["difference"])] if table["against"] else []
        rows.append((row["name"], [cells[0], *own, *cells[1:]]))
    undefined = [f"{names}: n/a, {reason}." for names, reason in undefined_notes(record)]
    return {
        "headline": verdict(record)[:HEADLINE] if len(columns) > 1 else [],
        "where": f"{words.count(record['n'], 'row')} of {of}",
        "columns": [columns[0], *extra, *columns[1:]],
        "rows": rows,
        "with_baselines": len(columns_of(record)) > 1,
        "lower": _lower(record["metrics"]),
        "notes": [*filter(None, [method_words(record), leak_words(record)]), *undefined],
    }


def validation_metrics(run: Mapping[str, Any]) -> dict[str, Any]:
    """What the run measured on validation, under the standard names.

    >>> validation_metrics({"metrics": {"validation": {"eval_f1": 0.5}}})
    {'f1': 0.5}
    """
    found = (run.get("metrics") or {}).get("validation") or {}
    return {str(name).removeprefix("eval_"): value for name, value in found.items()}


def decision_of(run: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """What turns scores into decisions: of the evaluation, where it says, else of the run.

    Returns:
        ``rows``: name and value; ``notes``: sentences; ``thresholds``: one a label, or none;
        ``calibrated``: metric, before and after; ``measured``: on what.
    """
    told = {
        name: source.get(name)
        for name in DECIDING
        for source in (run, record)
        if source.get(name) is not None
    }
    if told.get("threshold") is not None:
        # A record of before there were aims says nothing of them, and is read as such.
        known = any("threshold_for" in source for source in (run, record))
        told |= {"threshold_for": told.get("threshold_for")} if known else {}
    threshold = told.get("threshold")
    several = dict(threshold) if isinstance(threshold, Mapping) else {}
    rows = {}
    if threshold is not None:
        shown = "one for each label, below" if several else words.number(threshold)
        rows["Threshold"] = shown
        aim = aim_of(told)
        rows |= {"Chosen for": on_validation(aim_words(aim))} if aim else {}
    kind = kind_of(record.get("metrics") or validation_metrics(run))
    method = calibration_method(told)
    if method:
        rows["Calibration"] = method
    return {
        "rows": rows,
        "notes": [] if kind.name == "regression" else calibration_words(told),
        "thresholds": several,
        "calibrated": [(name, first, second) for name, first, second, _ in calibration_table(told)],
        "measured": "the rows of the results" if record.get("calibration") else "validation rows",
    }


def _before_evaluation(run: Mapping[str, Any]) -> dict[str, Any]:
    found = {n: v for n, v in validation_metrics(run).items() if n in words.TITLES}
    rows = run.get("validation_rows")
    return {
        "headline": [],
        "where": "the validation split" + (f" ({words.count(rows, 'row')})" if rows else ""),
        "columns": ["This model"],
        "rows": [(words.title(n), [words.number(found[n])]) for n in words.metric_order(found)],
        "with_baselines": False,
        "lower": _lower(found),
        "notes": [],
    }


def _lower(metrics: Mapping[str, Any]) -> str:
    names = [name for name in words.metric_order(metrics) if DIRECTIONS.get(name) == "lower"]
    return words.listed([words.within(name) for name in names])


def _range(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f"{words.number(ends[0])} to {words.number(ends[1])}"


def _difference(found: Difference | None) -> str:
    if found is None:
        return ""
    ends = f"{words.signed(found.low)} to {words.signed(found.high)}"
    return f"{words.signed(found.value)} ({ends})"
