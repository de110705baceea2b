"""How far chance alone moves a metric: estimates for records that have no intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

NOISE = 1.96
"""Standard errors within which a difference may be chance (95 %)."""
Record = Mapping[str, Any]


def noise(record: Record, name: str, first: float, second: float) -> float:
    """The difference between two values of a metric that other rows alone could make.

    The two are taken as independent, which is cautious. Shares: the binomial error. ROC AUC: after
    Hanley & McNeil (1982). Root mean squared errors: that of normal residuals, which is too little
    where few rows have most of the error.

    >>> round(noise({"n": 100}, "accuracy", 0.5, 0.5), 4)
    0.1386
    """
    error = _ERRORS.get(name, _share_error)
    return NOISE * math.hypot(error(record, first), error(record, second))


def margin(record: Record, name: str, value: float) -> float:
    """How far the value of a metric lies from that on endlessly many rows, 19 times in 20.

    >>> round(margin({"n": 100}, "accuracy", 0.5), 4)
    0.098
    """
    return NOISE * _ERRORS.get(name, _share_error)(record, value)


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
