"""Evaluate: a pushed model on a dataset's test split, or on a local file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hfpipe.blocks import LEAKS
from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.inputs.splits import Source
from hfpipe.outcomes import Evaluated, check_home, check_pushable, push, written
from hfpipe.rows.paths import writable_parent
from hfpipe.trials import EvaluateOptions, Pushed, Rows, choose_rows, home_of, load_subject

__all__ = ["EvaluateOptions", "Evaluated", "evaluate"]

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset

    from hfpipe.evaluation.baselines import Guess
    from hfpipe.evaluation.decisions import Decision
    from hfpipe.evaluation.profiles import Scored


def evaluate(model: str, endpoint: Endpoint, options: EvaluateOptions) -> Evaluated:
    """Load the pushed model and say how good it is.

    Args:
        model: ``NAMESPACE/NAME[@REVISION]`` of a model repo.
        endpoint: The Hub that holds it.
        options: What to score it on, and where the results go.

    Returns:
        The scores and the files written.

    Raises:
        UserError: No such model or data, a missing column, labels that the model does not have.
    """
    from hfpipe.evaluation.judging import hub_task, judge
    from hfpipe.evaluation.uncertainty import check_resamples

    for folder in (options.out, options.predictions and options.predictions.parent):
        if folder is not None:
            writable_parent(folder)
    check_resamples(options.resamples, "--resamples")
    pushed = load_subject(model, endpoint, options)
    _check(pushed, endpoint, options)
    rows = choose_rows(pushed, endpoint, options)
    home = home_of(pushed, rows, endpoint)
    rows = replace(rows, home=home)
    scored = _scored(pushed, rows, options)
    if options.push:
        if not pushed.task.labelled(scored.truth).any():
            raise UserError(f"--push: {rows.place}: no row has a label: there is nothing to push")
        check_home(pushed, rows)
    if pushed.wanted.automatic_slices and not pushed.choice:
        scored = _with_leaks(scored, pushed, rows, home)
    decision = _fitted_anew(pushed, home, options) if options.threshold_for else pushed.decision
    beside = pushed.wanted.baselines if options.baselines is None else options.baselines
    judged = judge(
        pushed.task,
        scored,
        decision=decision,
        choice=pushed.choice,
        guesses=_guesses(pushed, rows, scored, rows.source or home, decision) if beside else None,
        wanted=pushed.wanted,
        fitted_here=rows.source is not None and rows.source is home and rows.split == "validation",
        model=pushed.repo_id,
        model_revision=pushed.revision,
        dataset=rows.name,
        dataset_revision=rows.revision,
        split=rows.split,
        hub_task=hub_task(pushed.fitted),
    )
    done = written(judged, pushed, rows, options, endpoint)
    if options.push:
        done = replace(done, pushed=push(judged, pushed, endpoint))
    return done


def _check(pushed: Pushed, endpoint: Endpoint, options: EvaluateOptions) -> None:
    """What can be refused before any row is scored.

    Raises:
        UserError: A threshold that the model cannot have; results that cannot be pushed.
    """
    if options.threshold_for is not None:
        pushed.task.check_aim(options.threshold_for)
        if pushed.choice is not None:
            raise UserError(
                f"--threshold-for {options.threshold_for}: a profile has a threshold for every "
                "aggregation, chosen for the best F1 when it was trained"
            )
    if options.push:
        check_pushable(pushed, options, endpoint)


def _said(
    pushed: Pushed, dataset: Dataset, place: str, quiet: bool
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Scores of rows, not calibrated, and what else the model tells of them."""
    from hfpipe.inputs.encoding import encode_rows
    from hfpipe.training.predict import named_extras, predict_outputs

    wanted = pushed.wanted
    encoded = encode_rows(pushed.processor, dataset, pushed.collator.tools, place, quiet=quiet)
    outputs = predict_outputs(
        pushed.model,
        pushed.collator,
        encoded,
        pushed.task,
        wanted.batch_size,
        quiet=quiet,
        bf16=wanted.bf16,
        max_tokens=wanted.max_tokens,
    )
    return pushed.task.scores(outputs.logits), named_extras(pushed.model, outputs)


def _scored(pushed: Pushed, rows: Rows, options: EvaluateOptions) -> Scored:
    """Run the model over the rows."""
    from hfpipe.evaluation.gathering import (
        check_group_slices,
        check_slices,
        groups_of,
        scored_rows,
    )

    task, wanted = pushed.task, pushed.wanted
    check_slices(list(wanted.slices), rows.dataset, rows.place)
    if wanted.group_by:
        groups_of(rows.dataset, wanted.group_by, rows.place)
    if wanted.group_by and pushed.choice:
        check_group_slices(list(wanted.slices), rows.dataset, wanted.group_by, rows.place)
    blank = task.unknown(len(rows.dataset))
    truth = pushed.processor.target.encode(rows.dataset, rows.place) if rows.labelled else blank
    scores, extras = _said(pushed, rows.dataset, rows.place, options.quiet)
    return scored_rows(
        pushed.processor, rows.dataset, truth, scores, extras, wanted, rows.place, rows.owner
    )


def _with_leaks(scored: Scored, pushed: Pushed, rows: Rows, home: Source | None) -> Scored:
    """The rows, told apart by whether train has a near-duplicate."""
    from hfpipe.evaluation.leaks import near_duplicates_in_train

    labelled = pushed.task.labelled(scored.truth).any()
    its_own = rows.source is home and rows.split == "train"
    if home is None or "train" not in home.splits or its_own or not labelled:
        return scored
    fitted, train = pushed.fitted, home.splits["train"]
    if not fitted.columns:
        return scored
    try:
        fitted.check_columns(train, home.place, need_label=False)
    except UserError:  # not what the model was trained for
        return scored
    found = near_duplicates_in_train(pushed.processor, train, rows.dataset, train_processor=fitted)
    return replace(scored, slices={**scored.slices, LEAKS: found.column})


def _fitted_anew(pushed: Pushed, home: Source | None, options: EvaluateOptions) -> Decision:
    """Calibration and threshold for another aim: fitted on validation, never on scored rows.

    Raises:
        UserError: The dataset of training is not there, or has no validation split.
    """
    from hfpipe.evaluation.choosing import fit_choices
    from hfpipe.evaluation.gathering import scored_rows

    aim = str(options.threshold_for)
    if home is None or "validation" not in home.splits:
        what = "is not known or not there" if home is None else "has no validation split"
        raise UserError(
            f"--threshold-for {aim}: a threshold is chosen on validation, and the dataset of "
            f"training {what}"
        )
    place, rows = f"{home.place}, split 'validation'", home.split("validation")
    trained = replace(pushed, processor=pushed.fitted)
    plain = replace(pushed.wanted, slices=[], automatic_slices=False)
    truth = trained.processor.target.encode(rows, place)
    scores, extras = _said(trained, rows, place, options.quiet)
    owner = home.owner if home.has_owner(rows) else None
    found = scored_rows(trained.processor, rows, truth, scores, extras, plain, place, owner)
    decision, _ = fit_choices(pushed.task, found, plain)
    if decision.threshold is None and pushed.task.default_threshold is not None:
        reason = next(iter(decision.undecided.values()), "it gives no choice")
        raise UserError(f"--threshold-for {aim}: {place}: {reason}")
    return decision


def _guesses(
    pushed: Pushed, rows: Rows, scored: Scored, source: Source | None, decision: Decision
) -> dict[str, Guess] | None:
    """What simple models say, fitted on the train split of the same dataset.

    They are calibrated where somebody tried to calibrate the model.
    """
    from hfpipe.evaluation.baselines import baseline_guesses
    from hfpipe.evaluation.gathering import check_slices
    from hfpipe.evaluation.group_baselines import group_guesses

    asked = pushed.processor
    # The caller's columns are those of the dataset that is scored.
    named = source is rows.source or not pushed.fitted.columns
    fitted = asked if named else replace(pushed.fitted, label=pushed.fitted.label or asked.label)
    labelled = pushed.task.labelled(scored.truth).any()
    if source is None or "train" not in source.splits or not labelled:
        return None
    train, held_out = source.splits["train"], source.splits.get("validation")
    try:
        fitted.check_columns(train, source.place)
        if pushed.choice is not None:
            check_slices([pushed.choice.group_by], train, source.place)
        truth = fitted.target.encode(train, f"{source.place}, split 'train'")
        validation = (held_out, fitted.target.encode(held_out, source.place)) if held_out else None
    except UserError:  # not what the model was trained for: it is scored without baselines
        return None
    given = (pushed.task, asked, train, truth, rows.dataset, scored.truth)
    beside: dict[str, Any] = {"validation": validation, "train_processor": fitted}
    if pushed.choice is not None:
        return group_guesses(*given, group_by=pushed.choice.group_by, **beside)
    calibrate = decision.calibration is not None
    return baseline_guesses(*given, aim=pushed.wanted.threshold_for, calibrate=calibrate, **beside)
