"""How sure the numbers of a record are, and whether the model truly beats its baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from hfpipe.errors import UserError
from hfpipe.evaluation.baselines import Guess
from hfpipe.evaluation.profiles import Scored
from hfpipe.metrics.intervals import intervals
from hfpipe.metrics.paired import Difference, differences
from hfpipe.metrics.tasks import Task, Threshold

CONFIDENCE = 0.95
LEAST = 40
"""Resamples that 2.5 % at each end can be told from."""
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


def check_resamples(resamples: int | None, place: str) -> None:
    """Refuse a number of resamples that 95 % intervals cannot come from.

    Each end of one is 2.5 % of the resamples away from the farthest, and that is at least one.

    >>> check_resamples(0, "--resamples")
    >>> check_resamples(1, "--resamples")
    Traceback (most recent call last):
    ...
    hfpipe.errors.UserError: --resamples: 1 is too few for 95 % intervals: give 40 or more

    Args:
        resamples: None and 0: no intervals.
        place: How the user gave them.

    Raises:
        UserError: Some, and fewer than it takes.
    """
    if resamples and resamples < LEAST:
        raise UserError(f"{place}: {resamples} is too few for 95 % intervals: give {LEAST} or more")


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
