"""What kind of evaluation a record holds, told by its metrics, and what to show of it first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hfpipe.metrics.directions import DIRECTIONS, is_better


@dataclass(frozen=True)
class Kind:
    """How one task is reported.

    Attributes:
        name: As in :data:`hfpipe.metrics.tasks.TASKS`.
        primary: The metrics that decide, the first that is there.
        shown: The metrics of a slice and of the curves of training, as far as they are there.
    """

    name: str
    primary: tuple[str, ...]
    shown: tuple[str, ...] = field(default=())


CLASSIFICATION = Kind(
    "classification", ("accuracy",), ("accuracy", "top_2_accuracy", "top_3_accuracy", "macro_f1")
)
BINARY = Kind("binary", ("roc_auc",), ("roc_auc", "average_precision", "f1", "macro_f1"))
MULTI_LABEL = Kind("multi_label", ("macro_f1",), ("macro_f1", "micro_f1", "accuracy"))
REGRESSION = Kind(
    "regression",
    ("rmse_log", "rmse_raw"),
    ("rmse_log", "mae_log", "r2_log", "rmse_raw", "mae_raw", "r2_raw", "spearman"),
)
SIGNS = (("rmse_raw", REGRESSION), ("hamming_loss", MULTI_LABEL), ("roc_auc", BINARY))
"""A metric that no other kind has; what has none of them is a classification."""


def kind_of(metrics: Mapping[str, Any]) -> Kind:
    """The kind of evaluation with these metrics.

    >>> kind_of({"roc_auc": None}).name, kind_of({"accuracy": 0.5}).name
    ('binary', 'classification')
    """
    return next((kind for sign, kind in SIGNS if sign in metrics), CLASSIFICATION)


def primary(metrics: Mapping[str, Any]) -> str:
    """The name of the metric that decides.

    >>> primary({"rmse_raw": 3.0}), primary({"rmse_raw": 3.0, "rmse_log": 1.0})
    ('rmse_raw', 'rmse_log')
    """
    names = kind_of(metrics).primary
    return next((name for name in names if name in metrics), names[0])


def shown(metrics: Mapping[str, Any]) -> list[str]:
    """The metrics to show where there is room for a few: those of one scale.

    >>> shown({"rmse_log": 1, "rmse_raw": 9, "mae_raw": 8, "spearman": 0.5})
    ['rmse_log', 'spearman']
    """
    names = [name for name in kind_of(metrics).shown if name in metrics]
    return [name for name in names if not (name.endswith("_raw") and "rmse_log" in names)]


def strongest_first(record: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Baselines by the metric that decides, the most demanding first; those without it last."""
    name = primary(record["metrics"])
    sign = -1 if DIRECTIONS[name] == "higher" else 1
    return sorted(
        (record.get("baselines") or {}).items(),
        key=lambda item: (item[1].get(name) is None, sign * (item[1].get(name) or 0.0)),
    )


def beats(name: str, value: float, other: float) -> bool:
    """Whether a value of a metric is better than another."""
    return is_better(name, value, than=other)
