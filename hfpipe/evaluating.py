"""Evaluate: a pushed model on a dataset's test split, or on a local file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.provenance import provenance
from hfpipe.inputs.processor import Processor
from hfpipe.inputs.splits import Source, open_dataset
from hfpipe.rows.paths import writable_parent
from hfpipe.trials import EvaluateOptions, Pushed, Rows, choose_rows, load_subject

__all__ = ["EvaluateOptions", "Evaluated", "evaluate"]

if TYPE_CHECKING:
    from hfpipe.evaluation.profiles import Scored
    from hfpipe.evaluation.record import EvaluationRecord
    from hfpipe.metrics.tasks import Metrics


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation left.

    Attributes:
        record: The scores; ``n`` is 0 where no row has a label.
        rows: Rows classified.
        metrics: The path of ``metrics.json``.
        predictions: The path of ``predictions.jsonl``.
        report: The path of ``report.html``.
        notes: What the user should know.
    """

    record: EvaluationRecord
    rows: int
    metrics: Path
    predictions: Path
    report: Path
    notes: list[str] = field(default_factory=list)


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
    from hfpipe.evaluation.predictions import write_jsonl
    from hfpipe.reports.report import write_report

    for folder in (options.out, options.predictions and options.predictions.parent):
        if folder is not None:
            writable_parent(folder)
    pushed = load_subject(model, endpoint, options)
    rows = choose_rows(pushed, endpoint, options)
    scored = _scored(pushed, rows, options)
    choice = pushed.choice
    beside = pushed.wanted.baselines if options.baselines is None else options.baselines
    judged = judge(
        pushed.task,
        scored,
        threshold=pushed.story.get("threshold"),
        choice=choice,
        baselines=_baselines(pushed, rows, scored, endpoint) if beside and not choice else None,
        model=pushed.repo_id,
        model_revision=pushed.revision,
        dataset=rows.name,
        dataset_revision=rows.revision,
        split=rows.split,
        hub_task=hub_task(pushed.fitted),
    )
    out = options.out or Path("runs") / "evaluate" / pushed.repo_id.replace("/", "--")
    place = options.predictions or out / "predictions.jsonl"
    write_jsonl(place, judged.rows)
    metrics = judged.record.write(out / "metrics.json")
    report = write_report(out / "report.html", judged.record, judged.rows, provenance=provenance())
    notes = _unseen(pushed.processor, rows)
    return Evaluated(judged.record, len(judged.rows), metrics, place, report, notes)


def _unseen(processor: Processor, rows: Rows) -> list[str]:
    """What to tell of categories that train did not have: the model takes them for unknown."""
    from hfpipe.inputs.encoding import unseen_categories

    found = unseen_categories(processor, rows.dataset, rows.place)
    return [
        f"'{column}': {count:,} of {len(rows.dataset):,} rows have a category that train did not "
        "have; it counts as unknown"
        for column, count in found.items()
        if count
    ]


def _scored(pushed: Pushed, rows: Rows, options: EvaluateOptions) -> Scored:
    """Run the model over the rows."""
    from hfpipe.evaluation.judging import check_slices, groups_of, scored_rows
    from hfpipe.inputs.encoding import encode_rows
    from hfpipe.training.predict import named_extras, predict_outputs

    task, wanted = pushed.task, pushed.wanted
    check_slices(list(wanted.slices), rows.dataset, rows.place)
    if wanted.group_by:
        groups_of(rows.dataset, wanted.group_by, rows.place)
    blank = task.unknown(len(rows.dataset))
    labelled = rows.labelled
    truth = pushed.processor.target.encode(rows.dataset, rows.place) if labelled else blank
    encoded = encode_rows(
        pushed.processor, rows.dataset, pushed.collator.tools, rows.place, quiet=options.quiet
    )
    outputs = predict_outputs(
        pushed.model,
        pushed.collator,
        encoded,
        task,
        wanted.batch_size,
        quiet=options.quiet,
        bf16=wanted.bf16,
    )
    scores = task.scores(outputs.logits)
    extras = named_extras(pushed.model, outputs)
    return scored_rows(pushed.processor, rows.dataset, truth, scores, extras, wanted, rows.place)


def _baselines(
    pushed: Pushed, rows: Rows, scored: Scored, endpoint: Endpoint
) -> dict[str, Metrics] | None:
    """Simple models, fitted on the model's own train split."""
    from hfpipe.evaluation.baselines import task_baselines

    fitted = pushed.fitted if pushed.fitted.columns else pushed.processor
    if fitted.label is None:
        fitted = replace(fitted, label=pushed.processor.label)
    source = rows.source or _trained_on(pushed, endpoint)
    if (
        source is None
        or "train" not in source.splits
        or not pushed.task.labelled(scored.truth).any()
    ):
        return None
    train, held_out = source.splits["train"], source.splits.get("validation")
    try:
        fitted.check_columns(train, source.place)
        truth = fitted.target.encode(train, f"{source.place}, split 'train'")
        validation = (held_out, fitted.target.encode(held_out, source.place)) if held_out else None
    except UserError:  # not what the model was trained for: it is scored without baselines
        return None
    return task_baselines(
        pushed.task,
        fitted,
        train,
        truth,
        rows.dataset.rename_columns(_renamed(pushed)),
        scored.truth,
        validation=validation,
    )


def _renamed(pushed: Pushed) -> dict[str, str]:
    """The caller's columns → those of training."""
    pairs = zip(pushed.processor.columns, pushed.fitted.columns, strict=False)
    return {new: old for new, old in pairs if new != old}


def _trained_on(pushed: Pushed, endpoint: Endpoint) -> Source | None:
    """The dataset of training, for a local file; None where it is gone or forbidden by now."""
    trained_on = pushed.story.get("dataset")
    if not trained_on:
        return None
    try:
        return open_dataset(endpoint, trained_on["repo_id"], trained_on["revision"])
    except UserError:  # the file can be scored all the same
        return None
