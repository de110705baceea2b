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
        "macro_f1": "higher",
        "weighted_f1": "higher",
        "macro_precision": "higher",
        "macro_recall": "higher",
        "precision": "higher",
        "recall": "higher",
        "f1": "higher",
        "log_loss": "lower",
        "brier": "lower",
        "ece": "lower",
    }
)
"""Every name that :func:`hfpipe.metrics.classification.classification_metrics` can give."""


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
