"""The tables of an evaluation as data: metrics with intervals, slices, errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hfpipe.tracking.answers import Answers, Row

ERRORS = 200
TEXT_CHARACTERS = 1000
RANKS = 3


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: Its key.
        columns: Their names.
        rows: A list of cells each: texts, numbers, None or, of a picture, bytes.
    """

    name: str
    columns: list[str]
    rows: list[list[Any]]


def tables_of(answers: Answers, images: Mapping[str, bytes] | None = None) -> list[Table]:
    """Metrics, differences from baselines, slices, errors: those that there are."""
    record = answers.record
    told = [metrics(record), differences(record), slices(record), worst_slices(record)]
    found = [*told, errors(answers, images or {})]
    return [table for table in found if table.rows]


def metrics(record: Mapping[str, Any]) -> Table:
    """Every metric with its interval, the baselines' values, and why it is not defined.

    >>> record = {"metrics": {"f1": 0.5}, "intervals": {"f1": [0.4, 0.6]}}
    >>> metrics(record).rows
    [['f1', 0.5, 0.4, 0.6, '']]
    """
    baselines, reasons = record.get("baselines") or {}, record.get("undefined") or {}
    rows = [
        [
            name,
            _number(value),
            *_interval(record, name),
            reasons.get(name, ""),
            *(_number(each.get(name)) for each in baselines.values()),
        ]
        for name, value in record["metrics"].items()
    ]
    columns = ["metric", "value", "low", "high", "undefined", *(f"{n} baseline" for n in baselines)]
    return Table("metrics", columns, rows)


def slices(record: Mapping[str, Any]) -> Table:
    """A row a slice, with the metrics that any slice has."""
    found = [
        (column, value, told)
        for column, values in (record.get("slices") or {}).items()
        for value, told in values.items()
    ]
    names = list(dict.fromkeys(name for *_, told in found for name in told))
    rows = [
        [str(column), str(value), *(_number(told.get(name)) for name in names)]
        for column, value, told in found
    ]
    return Table("slices", ["column", "value", *names], rows)


def differences(record: Mapping[str, Any]) -> Table:
    """How far the model is from each baseline on the same rows, with an interval.

    >>> of = {"majority": {"f1": {"value": 0.2, "low": 0.1, "high": 0.3, "p": 0.01}}}
    >>> differences({"differences": of}).rows
    [['majority', 'f1', 0.2, 0.1, 0.3, 0.01]]
    """
    names = ("value", "low", "high", "p")
    rows = [
        [baseline, metric, *(_number(told.get(name)) for name in names)]
        for baseline, of in (record.get("differences") or {}).items()
        for metric, told in of.items()
    ]
    return Table("differences", ["baseline", "metric", *names], rows)


def worst_slices(record: Mapping[str, Any]) -> Table:
    """Where the model does worse than elsewhere, with enough rows to tell.

    >>> found = {"slice": {"lang": "de"}, "n": 9, "metric": "f1", "value": 0.1, "rest": 0.8}
    >>> worst_slices({"worst_slices": [found]}).rows
    [['lang: de', 'f1', 9.0, 0.1, 0.8, None]]
    """
    names = ("n", "value", "rest", "p")
    rows = [
        [
            ", ".join(f"{column}: {value}" for column, value in told["slice"].items()),
            str(told["metric"]),
            *(_number(told.get(name)) for name in names),
        ]
        for told in record.get("worst_slices") or ()
    ]
    return Table("worst_slices", ["slice", "metric", *names], rows)


def errors(answers: Answers, images: Mapping[str, bytes]) -> Table:
    """The most wrong rows first: id, what was shown, truth, prediction, scores.

    Args:
        answers: Of all rows.
        images: Row id to an encoded image.
    """
    rows = answers.wrong()[:ERRORS]
    inputs = list(dict.fromkeys(name for row in rows for name in row["inputs"]))
    seen = ["image"] if any(row["row_id"] in images for row in rows) else []
    columns = ["row_id", *seen, *(f"input: {name}" for name in inputs), *_TOLD]
    cells = [
        [
            str(row["row_id"]),
            *([images.get(row["row_id"])] if seen else []),
            *(_shown(row["inputs"].get(name)) for name in inputs),
            *(tell(row) for tell in _TOLD.values()),
        ]
        for row in rows
    ]
    return Table("errors", columns, cells)


def summary_of(record: Mapping[str, Any]) -> Iterator[tuple[str, float | str]]:
    """The numbers of a record that runs are compared by, each by a flat name.

    >>> record = {"metrics": {"f1": 0.5, "mcc": None}, "intervals": {"f1": [0.4, 0.6]}}
    >>> dict(summary_of({**record, "n": 9, "undefined": {"mcc": "one class"}}))
    {'f1': 0.5, 'f1_low': 0.4, 'f1_high': 0.6, 'mcc_undefined': 'one class', 'n': 9}
    """
    for name, value in record["metrics"].items():
        if value is not None:
            yield name, value
        for end, bound in zip(("low", "high"), _interval(record, name), strict=True):
            if bound is not None:
                yield f"{name}_{end}", bound
    for name, reason in (record.get("undefined") or {}).items():
        yield f"{name}_undefined", reason
    for name in ("n", "threshold", "threshold_for", "temperature"):
        if isinstance(value := record.get(name), (int, float, str)):
            yield name, value
    calibration = record.get("calibration") or {}
    if calibration.get("method"):
        yield "calibration", calibration["method"]
    for when in ("before", "after"):
        for name, value in (calibration.get(when) or {}).items():
            if isinstance(value, (int, float)):
                yield f"{when}_calibration/{name}", value
    for baseline, told in (record.get("baselines") or {}).items():
        for name, value in told.items():
            if isinstance(value, (int, float)):
                yield f"{baseline}_baseline/{name}", value


def _told(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _score(row: Row, of: str) -> float | None:
    scores = dict(zip(row.get("labels", ()), row.get("scores", ()), strict=True))
    return scores.get(row[of]) if isinstance(row[of], str) else None


def _ranked(row: Row) -> str:
    pairs = list(zip(row.get("labels", ()), row.get("scores", ()), strict=True))[:RANKS]
    return ", ".join(f"{label} {score:.4g}" for label, score in pairs)


_TOLD = {
    "truth": lambda row: _told(row["truth"]),
    "prediction": lambda row: _told(row["prediction"]),
    "score": lambda row: _score(row, "prediction"),
    "truth_score": lambda row: _score(row, "truth"),
    "scores": _ranked,
    "error": lambda row: _number(row.get("error")),
}


def _shown(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= TEXT_CHARACTERS else f"{text[: TEXT_CHARACTERS - 1]}…"


def _interval(record: Mapping[str, Any], name: str) -> list[float | None]:
    low, high = (record.get("intervals") or {}).get(name) or (None, None)
    return [_number(low), _number(high)]


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
