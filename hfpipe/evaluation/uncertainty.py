"""How sure the numbers of a record are, and whether the model truly beats its baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from hfpipe.evaluation.baselines import Guess
from hfpipe.evaluation.profiles import Scored
from hfpipe.metrics.intervals import intervals
from hfpipe.metrics.paired import Difference, differences
from hfpipe.metrics.tasks import Task, Threshold

CONFIDENCE = 0.95
SEED = 0
COMPARED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "classification": ("accuracy", "macro_f1", "log_loss"),
        "binary": ("roc_auc", "average_precision", "f1"),
        "multi_label": ("macro_f1", "micro_f1"),
        "regression": ("rmse_log", "rmse_raw", "mae_log", "mae_raw"),
    }
)
"""Task to the metrics whose difference to each baseline is told."""


def uncertain(
    task: Task,
    scored: Scored,
    threshold: Threshold | None,
    guesses: Mapping[str, Guess],
    resamples: int,
) -> dict[str, Any]:
    """The fields of a record that a bootstrap gives; none without labelled rows or resamples.

    Where the split kept groups together, whole groups are drawn: the rows of one author say less
    than as many rows of many.

    Args:
        task: What is predicted.
        scored: The rows; those without a label do not count.
        threshold: As the model uses it.
        guesses: What baselines say of the labelled rows, in their order.
        resamples: How often the rows are drawn anew.
    """
    kept = task.labelled(scored.truth)
    if not resamples or not kept.any():
        return {}
    truth, scores = scored.truth[kept], scored.scores[kept]
    owners = [each for each, there in zip(scored.owners, kept, strict=False) if there] or None
    drawn: dict[str, Any] = {"groups": owners, "resamples": resamples, "seed": SEED}
    known = intervals(task, truth, scores, threshold, confidence=CONFIDENCE, **drawn)
    names = [name for name in COMPARED[task.name] if name in known]
    apart = {
        baseline: differences(
            task, truth, scores, guess.scores, names, (threshold, guess.threshold), **drawn
        )
        for baseline, guess in guesses.items()
    }
    return {
        "intervals": known,
        "interval_method": {
            "resamples": resamples,
            "confidence": CONFIDENCE,
            "groups": scored.owner if owners else None,
            "seed": SEED,
        },
        "differences": {
            baseline: {name: _told(each) for name, each in found.items()}
            for baseline, found in apart.items()
        },
    }


def _told(found: Difference) -> dict[str, Any]:
    """As the record has it: the confidence is that of all intervals."""
    return {name: value for name, value in asdict(found).items() if name != "confidence"}
