"""What an evaluation leaves: files, a W&B run, results in the model's repo."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.errors import HfpipeError, UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.provenance import provenance
from hfpipe.hub.publish import Published, check_writable
from hfpipe.hub.repos import CURVES, STORY, find, read_json
from hfpipe.inputs.processor import Processor
from hfpipe.trials import EvaluateOptions, Pushed, Rows

if TYPE_CHECKING:
    from hfpipe.evaluation.judging import Judged
    from hfpipe.evaluation.record import EvaluationRecord


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
        pushed: The commit that holds the results, where they were pushed.
    """

    record: EvaluationRecord
    rows: int
    metrics: Path
    predictions: Path
    report: Path
    notes: list[str] = field(default_factory=list)
    pushed: Published | None = None


def written(
    judged: Judged, pushed: Pushed, rows: Rows, options: EvaluateOptions, endpoint: Endpoint
) -> Evaluated:
    """All files of the evaluation, and its W&B run where one is asked for."""
    from hfpipe.evaluation.pictures import thumbnails
    from hfpipe.evaluation.predictions import write_jsonl
    from hfpipe.reports.report import write_report
    from hfpipe.reports.rows import error_ids

    out = options.out or Path("runs") / "evaluate" / pushed.repo_id.replace("/", "--")
    place = options.predictions or out / "predictions.jsonl"
    write_jsonl(place, judged.rows)
    metrics = judged.record.write(out / "metrics.json")
    wrong = error_ids(judged.record.to_dict(), judged.rows)
    pictures = {} if pushed.choice else thumbnails(pushed.processor, rows.dataset, wrong)
    learning = _learning(pushed, endpoint)
    report = write_report(
        out / "report.html",
        judged.record,
        judged.rows,
        curves=learning.curves,
        stages=learning.stages,
        provenance=provenance(),
        pictures=pictures,
    )
    if options.wandb:
        _track(judged, pushed, rows, options, endpoint, report, pictures)
    notes = [
        *_absent(pushed.processor, rows),
        *_unseen(pushed.processor, rows),
        *learning.notes,
    ]
    return Evaluated(judged.record, len(judged.rows), metrics, place, report, notes)


@dataclass(frozen=True)
class _Learning:
    """How the pushed model learned: its curves, its stages, and what the user should know."""

    curves: list[dict[str, Any]] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _learning(pushed: Pushed, endpoint: Endpoint) -> _Learning:
    """What was pushed of the training of this very commit; nothing of an earlier hfpipe.

    Scores are there already when this is read, so a page without curves is better than none.
    """
    if not pushed.story:
        return _Learning()
    try:
        found: Any = read_json(endpoint, pushed.repo_id, "model", CURVES, pushed.revision)
    except HfpipeError as error:
        return _Learning(notes=[f"the page has no learning curves: {error}"])
    if found is None:
        return _Learning()
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        return _Learning(
            notes=[
                f"the page has no learning curves: model {pushed.repo_id}: {CURVES} is not a list "
                "of objects"
            ]
        )
    told = pushed.story.get("stages") or []
    return _Learning(found, [str(each["name"]) for each in told if each.get("name")])


def _track(
    judged: Judged,
    pushed: Pushed,
    rows: Rows,
    options: EvaluateOptions,
    endpoint: Endpoint,
    report: Path,
    pictures: dict[str, bytes],
) -> None:
    """The evaluation as a W&B run of its own, beside the run that made the model."""
    from hfpipe.tracking import Repo, log_evaluation, log_lineage, tracking

    with tracking(
        report.parent,
        name=pushed.repo_id,
        group=str(pushed.story.get("recipe") or pushed.repo_id),
        config=pushed.story.get("config") or {},
        key=options.wandb_key,
        job_type="evaluate",
        tags=[pushed.task.name],
    ) as run:
        log_evaluation(
            run,
            judged.record,
            judged.rows,
            report=report,
            split=rows.split or "file",
            labels=pushed.task.labels,
            images=pictures,
        )
        used = [Repo(pushed.repo_id, pushed.revision)]
        used += [Repo(rows.name, rows.revision, "dataset")] if rows.split else []
        log_lineage(run, endpoint.url, used=used, files=[report, report.parent / "metrics.json"])


def check_pushable(pushed: Pushed, options: EvaluateOptions, endpoint: Endpoint) -> None:
    """What is pushed is what the newest model of the repo, as it was pushed, does on a whole split.

    Raises:
        UserError: The results would be of something else, or the repo is not ours to write.
    """
    if not pushed.story:
        raise UserError(
            f"--push: model repo '{pushed.repo_id}' was not made by hfpipe, so its card is not "
            "ours to write"
        )
    if options.file is not None:
        raise UserError("--push: only results on a dataset repo can be pushed, not on a file")
    if options.rows is not None:
        raise UserError(
            f"--push: only results on a whole split can be pushed, not on its first {options.rows} "
            "rows: leave --examples out"
        )
    if options.threshold_for:
        raise UserError(
            f"--push: the pushed model does not decide by --threshold-for {options.threshold_for}, "
            "so its card cannot say so: leave one of the two out, or train it with "
            "evaluation.threshold_for"
        )
    check_writable(endpoint, pushed.repo_id, "model")
    _check_newest(pushed, endpoint)


def check_home(pushed: Pushed, rows: Rows) -> None:
    """The card and ``hfpipe/evaluation`` are of the dataset that the model was trained on.

    Raises:
        UserError: The rows are of another.
    """
    home = (pushed.story.get("dataset") or {}).get("repo_id")
    if rows.name != home:
        raise UserError(
            f"--push: the card of '{pushed.repo_id}' is of its own dataset, '{home}', and results "
            f"on '{rows.name}' would take the place of those: leave --push out"
        )


def _check_newest(pushed: Pushed, endpoint: Endpoint) -> None:
    """Each run has its own story, and a commit of results leaves it as it is."""
    _, newest = find(endpoint, pushed.repo_id, "model")
    if read_json(endpoint, pushed.repo_id, "model", STORY, newest) != pushed.story:
        raise UserError(
            f"--push: model repo '{pushed.repo_id}' holds another model by now than the one of "
            f"commit {pushed.revision[:12]}, and its card is of that: evaluate "
            f"{pushed.repo_id} without a revision"
        )


def push(judged: Judged, pushed: Pushed, endpoint: Endpoint) -> Published:
    """Put the results into the model's repo, in one commit.

    Raises:
        UserError: The model was trained anew meanwhile; see also ``hfpipe.hub.repos.hub_errors``.
        RunError: The Hub failed; the repo is as it was.
    """
    from hfpipe.evaluation.pushing import push_results, today
    from hfpipe.reports.cards import model_card
    from hfpipe.reports.eval_results import eval_results_files

    _check_newest(pushed, endpoint)  # scoring may have taken long
    told, story = judged.record.to_dict(), pushed.story
    card = model_card(
        repo_id=pushed.repo_id,
        run=story,
        metrics=told,
        dataset_id=story["dataset"]["repo_id"],
        base_model=(story["base_model"] or {}).get("repo_id"),
        labels=story["labels"],
    )
    files = {"README.md": card.encode(), **eval_results_files(told, date=today())}
    return push_results(endpoint, judged.record, judged.rows, files)


def _absent(processor: Processor, rows: Rows) -> list[str]:
    """What to tell of columns without a value.

    ``datasets`` reads a column so that this split lacks and another has.
    """
    table = rows.dataset.data
    return [
        f"'{column}': nothing in any row of {rows.place}; the model takes it for missing"
        for column in processor.columns
        if column in table.column_names and table.column(column).null_count == table.num_rows
    ]


def _unseen(processor: Processor, rows: Rows) -> list[str]:
    """What to tell of categories that train did not have: the model takes them for unknown."""
    from hfpipe.inputs.encoding import unseen_categories, unseen_notes

    found = unseen_categories(processor, rows.dataset, rows.place)
    return unseen_notes(found, len(rows.dataset))
