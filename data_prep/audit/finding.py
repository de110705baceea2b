"""What a check gives back: one dict, the same shape for every check."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: Verdicts, the gravest first.
VERDICTS = ("fail", "warn", "ok", "skipped")
#: Why the checks of texts are skipped.
NO_TEXTS = "the rows have no text"
#: Digits that numbers of the record keep: what is beyond differs between machines.
DIGITS = 6


def finding(
    verdict: str,
    figure: str,
    advice: str = "",
    *,
    numbers: Mapping[str, Any] | None = None,
    tables: Sequence[Mapping[str, Any]] = (),
    examples: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Say what a check has found.

    Args:
        verdict: ``"ok"``, ``"warn"`` or ``"fail"``.
        figure: The result in one line.
        advice: What to do about it.
        numbers: Named results for programs and plots.
        tables: From :func:`table`, for people.
        examples: Rows that show it, the worst first: flat dicts with the same keys.

    Returns:
        The finding.
    """
    return {
        "verdict": verdict,
        "figure": figure,
        "advice": advice,
        "numbers": dict(numbers or {}),
        "tables": [dict(each) for each in tables],
        "examples": [dict(each) for each in examples],
    }


def skipped(reason: str) -> dict[str, Any]:
    """Say why a check was not made."""
    return finding("skipped", reason)


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """A table for people; shares are written out, counts and scores are numbers."""
    return {"caption": caption, "columns": list(columns), "rows": [list(row) for row in rows]}


def graded(value: float, warn: float, fail: float) -> str:
    """The verdict on a value: ``"fail"`` from ``fail`` on, ``"warn"`` from ``warn`` on.

    >>> graded(0.2, 0.5, 0.9), graded(0.5, 0.5, 0.9), graded(1.0, 0.5, 0.9)
    ('ok', 'warn', 'fail')
    """
    return "fail" if value >= fail else "warn" if value >= warn else "ok"


def worst(verdicts: Sequence[str]) -> str:
    """The gravest of several verdicts; ``"ok"`` where nothing was judged.

    >>> worst(["ok", "warn", "skipped"]), worst(["skipped"])
    ('warn', 'ok')
    """
    judged = [verdict for verdict in verdicts if verdict != "skipped"]
    return min(judged, key=VERDICTS.index, default="ok")


def plain(value: Any) -> Any:
    """Turn numpy's numbers into JSON's, rounded; what is not finite becomes None.

    >>> plain({"a": np.float64(1 / 3), "b": [np.int64(2), float("nan")]})
    {'a': 0.333333, 'b': [2, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(each) for each in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return round(float(value), DIGITS) if math.isfinite(value) else None
    return value
