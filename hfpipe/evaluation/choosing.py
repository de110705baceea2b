"""What is chosen on validation, for the model and for the baselines beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hfpipe.blocks import Evaluation
from hfpipe.evaluation.baselines import Guess, baseline_guesses
from hfpipe.evaluation.decisions import Decision
from hfpipe.evaluation.group_baselines import group_guesses
from hfpipe.evaluation.profiles import ProfileChoice, Scored
from hfpipe.metrics.tasks import Task

if TYPE_CHECKING:
    from hfpipe.inputs.training_data import TrainingData


def fit_choices(
    task: Task,
    scored: Scored,
    wanted: Evaluation | None = None,
    aggregation: str | None = None,
    vote: float | None = None,
) -> tuple[Decision, ProfileChoice | None]:
    """Calibration, threshold and, for a profile, its choices: all of them made on validation.

    A profile is not calibrated: its sequences vote by the scores that the model itself gives.

    Args:
        task: What is predicted.
        scored: The validation rows.
        wanted: What the threshold is for, and the column of a profile's groups.
        aggregation: The profile's; None without one.
        vote: From which probability on a row votes; None for the best threshold of the rows.
    """
    wanted = wanted or Evaluation()
    if aggregation is None or wanted.group_by is None:
        truth, scores, _ = replace(scored, groups=()).labelled(task)
        kept = task.labelled(scored.truth)
        owners = [each for each, there in zip(scored.owners, kept, strict=False) if there]
        fitted = Decision.fit(
            task,
            truth,
            scores,
            wanted.threshold_for,
            calibrate=wanted.calibrate,
            groups=owners or None,
        )
        return fitted, None
    truth, scores, groups = scored.labelled(task)
    decision = Decision.fit(task, truth, scores, wanted.threshold_for, calibrate=False)
    best = decision.threshold if isinstance(decision.threshold, float) else 0.5
    chosen = best if vote is None else vote
    choice = ProfileChoice.fit(truth, scores, groups, wanted.group_by, aggregation, chosen)
    return decision, choice


def validation_guesses(
    task: Task, data: TrainingData, wanted: Evaluation, choice: ProfileChoice | None = None
) -> dict[str, Guess]:
    """The baselines on the validation rows, calibrated and decided there as the model is.

    Args:
        task: What is predicted.
        data: The rows.
        wanted: What the threshold is for, and whether to calibrate.
        choice: Of a profile, whose baselines judge groups.
    """
    processor, target = data.processor, data.processor.target
    truths = [target.encode(rows, data.source.place) for rows in (data.train, data.validation)]
    held_out = (data.validation, truths[1])
    given = (task, processor, data.train, truths[0], *held_out)
    if choice is not None:
        return group_guesses(*given, group_by=choice.group_by, validation=held_out)
    return baseline_guesses(
        *given,
        aim=wanted.threshold_for,
        calibrate=wanted.calibrate,
        validation=held_out,
    )
