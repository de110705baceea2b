"""From what a model said of rows to the evaluation record and the rows of ``predictions.jsonl``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hfpipe.blocks import Evaluation
from hfpipe.evaluation.baselines import Guess
from hfpipe.evaluation.decisions import Decision
from hfpipe.evaluation.groups import group_slices
from hfpipe.evaluation.predictions import rounded, task_rows
from hfpipe.evaluation.profiles import ProfileChoice, Scored
from hfpipe.evaluation.record import EvaluationRecord, evaluation_record, without
from hfpipe.evaluation.uncertainty import uncertain
from hfpipe.inputs.processor import Processor
from hfpipe.metrics.aggregation import no_probability
from hfpipe.metrics.scores import predicted_classes
from hfpipe.metrics.tasks import Metrics, Task, Threshold

AS_IT_IS = Decision()
CALIBRATED = ("log_loss", "brier", "ece")
"""What calibration is to better."""
HUB_TASKS: Mapping[str, str] = {"text": "text-classification", "image": "image-classification"}
"""Kind of input → the Hub's name of the task; a model without either is a tabular one."""


@dataclass(frozen=True)
class Judged:
    """A verdict.

    Attributes:
        record: The evaluation record.
        rows: Of ``predictions.jsonl``, in dataset order.
    """

    record: EvaluationRecord
    rows: list[dict[str, Any]]


def hub_task(processor: Processor) -> str | None:
    """The Hub's name of what a classifier does, by its inputs; None for a regression.

    >>> hub_task(Processor({}, "topic", ["a", "b"]))
    'tabular-classification'
    """
    if processor.task == "regression":
        return None
    kinds = {str(each.schema()["kind"]) for each in processor.inputs.values()}
    return next(
        (name for kind, name in HUB_TASKS.items() if kind in kinds), "tabular-classification"
    )


def judge(
    task: Task,
    scored: Scored,
    *,
    decision: Decision = AS_IT_IS,
    choice: ProfileChoice | None = None,
    guesses: Mapping[str, Guess] | None = None,
    wanted: Evaluation | None = None,
    fitted_here: bool = False,
    **place: Any,
) -> Judged:
    """Decide, score, slice and list rows; of a profile, its groups.

    Args:
        task: What is predicted.
        scored: The rows, not calibrated yet.
        decision: Fitted on validation.
        choice: Of a profile.
        guesses: What baselines say of the labelled rows.
        wanted: How many resamples, and whether to seek the worst slices.
        fitted_here: Whether the decision was fitted on these very rows.
        **place: ``model``, ``model_revision``, ``dataset``, ``dataset_revision``, ``split``,
            ``hub_task``.
    """
    wanted = wanted or Evaluation()
    table: dict[str, Metrics] = {}
    if choice is not None:
        table = _aggregations(task, scored, choice)
        threshold = choice.decisions.get(choice.aggregation)
        if threshold is not None:
            decision = replace(decision, threshold=threshold, aim="f1")
        slices = group_slices(scored, wanted)
        scored = replace(scored.by_group(task, choice), slices=slices)
    else:
        scored = replace(scored, scores=decision.apply(scored.scores), raw=scored.scores)
    guesses = guesses or {}
    record = _record(task, scored, decision, guesses, place)
    record = replace(
        record,
        threshold_for=decision.aim,
        calibration=_calibration(task, scored, decision, fitted_here),
        undefined={**record.undefined, **_undecided(decision)},
        **uncertain(task, scored, decision.threshold, guesses, wanted.resamples),
    )
    if wanted.automatic_slices:
        record = replace(record, worst_slices=_worst(task, scored, decision))
    if choice is not None:
        record = without(record, no_probability(choice.aggregation))
    if table:
        record = replace(record, slices={**record.slices, "aggregation": table})
    return Judged(record, list(_rows(task, scored, decision, record.threshold)))


def _aggregations(task: Task, scored: Scored, choice: ProfileChoice) -> dict[str, Metrics]:
    """All ways to judge a group, side by side."""
    truth, scores, groups = scored.labelled(task)
    found = choice.table(truth, scores, groups) if len(truth) else {}
    return {name: {"n": len(set(groups)), **each} for name, each in found.items()}


def _record(
    task: Task,
    scored: Scored,
    decision: Decision,
    guesses: Mapping[str, Guess],
    place: Mapping[str, Any],
) -> EvaluationRecord:
    truth = scored.truth[task.labelled(scored.truth)]
    return evaluation_record(
        task,
        scored.truth,
        scored.scores,
        threshold=decision.threshold,
        temperature=decision.temperature,
        baselines={
            name: task.metrics(truth, each.scores, each.threshold) for name, each in guesses.items()
        },
        slices=scored.slices,
        extras=scored.extras,
        **place,
    )


def _undecided(decision: Decision) -> dict[str, str]:
    """Classes whose threshold could not be chosen, and why."""
    return {
        f"threshold of '{label}'": f"{reason} in validation: the usual one is used"
        for label, reason in decision.undecided.items()
    }


def _calibration(
    task: Task, scored: Scored, decision: Decision, fitted_here: bool
) -> dict[str, Any] | None:
    """What was fitted on validation, with what it does to the scored rows.

    On the rows of the fit it is told what it does to rows that a fit has not seen.
    """
    if decision.calibration is None:
        return None
    if fitted_here:
        return decision.calibration.to_dict()
    told = decision.calibration.to_dict() | {"before": {}, "after": {}}
    kept = task.labelled(scored.truth)
    if decision.calibrated and scored.raw is not None and kept.any():
        for name, scores in (("before", scored.raw), ("after", scored.scores)):
            found = task.metrics(scored.truth[kept], scores[kept], decision.threshold)
            told[name] = {each: found.get(each) for each in CALIBRATED}
    return told


def _worst(task: Task, scored: Scored, decision: Decision) -> list[dict[str, Any]]:
    from hfpipe.evaluation.worst import worst_slices

    kept = task.labelled(scored.truth)
    columns = {
        name: [each for each, there in zip(values, kept, strict=True) if there]
        for name, values in scored.slices.items()
    }
    owners = [each for each, there in zip(scored.owners, kept, strict=False) if there]
    return worst_slices(
        task,
        scored.truth[kept],
        scored.scores[kept],
        columns,
        decision.threshold,
        groups=owners or None,
    )


def _rows(
    task: Task, scored: Scored, decision: Decision, threshold: Threshold | None
) -> Iterator[dict[str, Any]]:
    """Rows of ``predictions.jsonl``; with the score before calibration, and the row's owner."""
    found = task_rows(task, scored.row_ids, scored.inputs, scored.truth, scored.scores, threshold)
    before = None
    if decision.calibrated and scored.raw is not None:
        before = scored.raw
        if before.ndim == 2:
            best = predicted_classes(scored.scores)
            before = before[np.arange(len(best)), best]
    for at, row in enumerate(found):
        if before is not None:
            row["uncalibrated"] = rounded(before[at])
        if scored.owners:
            row["group"] = scored.owners[at]
        yield row
