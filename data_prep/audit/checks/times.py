"""Train rows that are later than rows the model is measured on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from markupsafe import Markup

from data_prep.audit.drawings import timeline
from data_prep.audit.finding import finding, graded, skipped, table
from data_prep.audit.given import AuditInput
from data_prep.audit.overlap import share_said
from data_prep.splitting import SPLITS
from data_prep.times import missing_times

TITLE = "Time across splits"
ORDER = 4
#: Share of train rows that are later than the earliest validation or test row.
FAIL = 0.01
BINS = 48
SHOWN = 5


def check(given: AuditInput) -> dict[str, Any]:
    """Count train rows that are later than the earliest row of another split."""
    if given.times is None:
        return skipped("no column gives times (--time-column)")
    known = ~missing_times(given.times) & (given.splits >= 0)
    if not known.any():
        return skipped(f"column '{given.time_column}' has no time")
    times, splits = given.times[known], given.splits[known]
    spans = {
        name: (times[splits == code].min(), times[splits == code].max())
        for code, name in enumerate(SPLITS)
        if np.any(splits == code)
    }
    if "train" not in spans or len(spans) == 1:
        return skipped("there are no times on both sides")
    train = times[splits == 0]
    later = {
        name: int(np.count_nonzero(train > spans[name][0])) for name in SPLITS[1:] if name in spans
    }
    seen = max(later.values()) / len(train)
    numbers = {
        "column": given.time_column,
        "train_rows_later_than_first": later,
        "share": seen,
        "missing": int(np.count_nonzero(~known & (given.splits >= 0))),
        "spans": {name: [written(low), written(high)] for name, (low, high) in spans.items()},
        "timeline": _timeline(times, splits),
    }
    tables = [_spans_table(spans, splits)]
    if not seen:
        said = "no train row is later than the first validation or test row"
        return finding("ok", said, numbers=numbers, tables=tables)
    return finding(
        graded(seen, 0.0, FAIL),
        f"{share_said(seen)} of the train rows are later than the first validation or test row",
        "The model learns from what comes after. Split by time: --split time, with a --gap "
        "where what is predicted takes time to show.",
        numbers=numbers,
        tables=tables,
        examples=_examples(given, known, min(low for n, (low, _) in spans.items() if n != "train")),
    )


def plots(numbers: dict[str, Any]) -> list[Markup]:
    """When the rows of each split are."""
    found = numbers["timeline"]
    ends = (found["first"], found["last"])
    return [timeline("timeline", "Rows over time", ends, found["rows"])]


def written(time: Any) -> str:
    """Write microseconds as a date, other numbers as they are.

    >>> written(np.int64(86_400_000_000)), written(np.float64(3.5))
    ('1970-01-02 00:00:00', '3.5')
    """
    if not isinstance(time, (int, np.integer)):
        return f"{float(time):g}"
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(time))
    except OverflowError:
        return str(int(time))
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _timeline(times: np.ndarray, splits: np.ndarray) -> dict[str, Any]:
    """Rows of every split in bins of the same length."""
    low, high = float(times.min()), float(times.max())
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    counts = {
        name: np.histogram(times[splits == code].astype(np.float64), edges)[0].tolist()
        for code, name in enumerate(SPLITS)
    }
    return {"first": written(times.min()), "last": written(times.max()), "rows": counts}


def _spans_table(spans: dict[str, tuple[Any, Any]], splits: np.ndarray) -> dict[str, Any]:
    rows = [
        [name, int(np.count_nonzero(splits == SPLITS.index(name))), written(low), written(high)]
        for name, (low, high) in spans.items()
    ]
    return table("Times of the splits", ("Split", "Rows with a time", "First", "Last"), rows)


def _examples(given: AuditInput, known: np.ndarray, first: Any) -> list[dict[str, Any]]:
    assert given.times is not None
    train = np.flatnonzero(known & (given.splits == 0))
    latest = train[np.argsort(-given.times[train], kind="stable")[:SHOWN]]
    latest = latest[given.times[latest] > first]
    shown = given.shown(latest)
    return [
        {**row, "time": written(given.times[place])}
        for row, place in zip(shown, latest.tolist(), strict=True)
    ]
