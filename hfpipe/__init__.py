"""hfpipe: labelled rows to a dataset, a fine-tuned model and an honest evaluation, on a Hub.

The names below are for notebooks and scripts; each is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hfpipe.version import __version__

if TYPE_CHECKING:
    from hfpipe.api import compare, evaluate, finetune, load, predict, prepare
    from hfpipe.sequences import (
        ProfileClassifier,
        SequenceClassifier,
        calculate_metrics_threshold,
        compare_aggregation_methods,
        estimate_pos_weight,
        evaluate_profile_classifier,
        test_model,
        train_model,
    )

__all__ = [
    "ProfileClassifier",
    "SequenceClassifier",
    "__version__",
    "calculate_metrics_threshold",
    "compare",
    "compare_aggregation_methods",
    "estimate_pos_weight",
    "evaluate",
    "evaluate_profile_classifier",
    "finetune",
    "load",
    "predict",
    "prepare",
    "test_model",
    "train_model",
]

_API = ("compare", "evaluate", "finetune", "load", "predict", "prepare")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import hfpipe`` stays light."""
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module 'hfpipe' has no attribute '{name}'")
    return getattr(import_module("hfpipe.api" if name in _API else "hfpipe.sequences"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
