"""Which way is up: for every standard metric, whether a higher or a lower value is better."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Direction = Literal["higher", "lower"]

DIRECTIONS: Mapping[str, Direction] = MappingProxyType(
    {
        "accuracy": "higher",
        "top_1_accuracy": "higher",
        "top_2_accuracy": "higher",
        "top_3_accuracy": "higher",
        "micro_f1": "higher",
        "macro_f1": "higher",
        "weighted_f1": "higher",
        "micro_precision": "higher",
        "micro_recall": "higher",
        "macro_precision": "higher",
        "macro_recall": "higher",
        "precision": "higher",
        "recall": "higher",
        "f1": "higher",
        "balanced_accuracy": "higher",
        "mcc": "higher",
        "roc_auc": "higher",
        "average_precision": "higher",
        "macro_roc_auc": "higher",
        "macro_average_precision": "higher",
        "hamming_loss": "lower",
        "log_loss": "lower",
        "brier": "lower",
        "ece": "lower",
        "classwise_ece": "lower",
        "rmse_log": "lower",
        "mae_log": "lower",
        "r2_log": "higher",
        "rmse_raw": "lower",
        "mae_raw": "lower",
        "r2_raw": "higher",
        "spearman": "higher",
    }
)
"""Every name that the metrics of this package give, whatever the task."""


def is_better(name: str, value: float, than: float) -> bool:
    """Say whether ``value`` is strictly better than ``than`` on the metric ``name``.

    >>> is_better("accuracy", 0.8, than=0.7)
    True
    >>> is_better("log_loss", 0.8, than=0.7)
    False

    Raises:
        KeyError: ``name`` is not a standard metric, so nobody knows which way is better.
    """
    return value > than if DIRECTIONS[name] == "higher" else value < than
