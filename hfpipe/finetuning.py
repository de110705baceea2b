"""Fine-tune: a dataset repo and a recipe to a pushed model."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.provenance import provenance
from hfpipe.hub.publish import Published
from hfpipe.hub.repos import CURVES
from hfpipe.processes import all_alive, is_main, on_main
from hfpipe.recipe import Recipe
from hfpipe.runs import FinetuneOptions, Run, plan_run
from hfpipe.stories import card_of, curves_of, keep, story_of

__all__ = ["FinetuneOptions", "Finetuned", "finetune"]

if TYPE_CHECKING:
    from datasets import Dataset

    from hfpipe.evaluation.decisions import Decision
    from hfpipe.evaluation.judging import Judged
    from hfpipe.evaluation.profiles import ProfileChoice
    from hfpipe.evaluation.record import EvaluationRecord
    from hfpipe.training.engines import Learned
    from hfpipe.training.journal import Journal


@dataclass(frozen=True)
class Finetuned:
    """What a run left.

    Attributes:
        model: The pushed model.
        folder: The run folder.
        record: How the best checkpoint did on validation.
        report: The run's HTML page.
        train_rows: Rows trained on.
        counts: Split to rows in, kept, and dropped by reason.
        seconds: Time spent learning.
        notes: What the user should know.
    """

    model: Published
    folder: Path
    record: EvaluationRecord
    report: Path
    train_rows: int
    counts: dict[str, dict[str, Any]]
    seconds: float
    notes: list[str] = field(default_factory=list)


def finetune(recipe: Recipe, endpoint: Endpoint, options: FinetuneOptions) -> Finetuned:
    """Fine-tune as ``recipe`` says, choose the best epoch on validation, push, report.

    Args:
        recipe: Composed and typed; ``data.dataset`` names the dataset repo.
        endpoint: The Hub that holds dataset and base model and gets the new model.
        options: Where things go.

    Returns:
        The pushed model, the run folder and the validation record.

    Raises:
        UserError: What was given cannot work; found before training wherever possible.
    """
    from hfpipe.models.families import family_of
    from hfpipe.models.pushing import push_model
    from hfpipe.training.engines import engine_of

    options = replace(options, quiet=options.quiet or not is_main())
    run = plan_run(recipe, endpoint, options)
    recipe, data, learning = run.recipe, run.data, run.learning
    family = family_of(recipe.model.kind)
    learning.journal = _opened(run, options)
    train, validation = data.encoded_rows(learning.collator.tools, options.quiet)
    with _tracked(run, options) as (tracked, report_to):
        learning.reporting = replace(learning.reporting, report_to=report_to)
        learned = engine_of(learning.model).learn(learning, train, validation)
        with all_alive():
            judged, decision, choice = _judge(run, learned, validation, options.quiet)
        told = Told(tracked, report_to, options.tracking or run.folder)
        report = on_main(lambda: _report(run, learned, judged, told))
        model = family.finish(learned.model, recipe, choice.vote if choice else None)
        story = story_of(run, learned, judged.record, decision, choice)
        on_main(lambda: keep(run, learned, judged, report, options.wandb_output))
        extra = {
            **data.processor.files(),
            "README.md": card_of(run.target, story, judged.record),
            # Pushed even if empty: that of an earlier model in the repo must not stay.
            CURVES: curves_of(learned).encode(),
        }
        published = on_main(
            lambda: push_model(
                endpoint,
                run.target,
                lambda place: family.save(model, learning.collator.tools, place),
                story,
                extra,
                private=not options.public,
            )
        )
        on_main(lambda: _lineage(run, published, told, endpoint))
    return Finetuned(
        published,
        run.folder,
        judged.record,
        report,
        len(data.train),
        data.counts,
        learned.seconds,
        story["notes"],
    )


def _opened(run: Run, options: FinetuneOptions) -> Journal:
    """The journal of the run: of one that goes on as it is there, else a new one.

    Checkpoints without a journal, as they come from a Hub, say themselves which run they are of.

    Raises:
        UserError: ``--resume``, and what is there is another run's, or may be.
    """
    from hfpipe.training.journal import Journal
    from hfpipe.training.signed import check_brought

    folder, identity = run.learning.folder, run.identity()
    found = Journal.read(folder) if options.resume else None
    if found is not None:
        found.check(identity)
        found.writes = is_main()
        return found
    brought = options.resume and check_brought(folder, identity)
    return Journal(folder, identity, secrets.token_hex(4), writes=is_main(), new=not brought)


@contextmanager
def _tracked(run: Run, options: FinetuneOptions) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """The W&B run, and the names for ``TrainingArguments.report_to``."""
    from hfpipe.tracking import tracking

    journal, names = run.learning.journal, run.learning.reporting.report_to
    with tracking(
        options.tracking or run.folder,
        name=run.target,
        group=options.group or run.recipe.name,
        config=asdict(run.recipe),
        tags=[run.task.name, run.recipe.model.kind],
        enabled="wandb" in names and is_main(),
        key=options.wandb_key,
        run_id=journal.tracker if journal else None,
    ) as tracked:
        yield tracked, tuple(name for name in names if tracked or name != "wandb")


def _judge(
    run: Run, learned: Learned, validation: Dataset, quiet: bool
) -> tuple[Judged, Decision, ProfileChoice | None]:
    """Score the best checkpoint on validation; calibrate and choose thresholds there."""
    import numpy as np

    from hfpipe.evaluation.choosing import fit_choices, validation_guesses
    from hfpipe.evaluation.gathering import scored_rows
    from hfpipe.evaluation.judging import hub_task, judge
    from hfpipe.training.feature_cache import cached
    from hfpipe.training.predict import named_extras, predict_outputs

    wanted, data = run.recipe.evaluation, run.data
    plain = run.learning.collator
    kept = cached(learned.model, plain, [validation], quiet)
    as_they_are = nullcontext((plain, [validation]))
    with kept if run.recipe.batches.cache else as_they_are as (collator, (rows,)):
        outputs = predict_outputs(
            learned.model,
            collator,
            rows,
            run.task,
            wanted.batch_size,
            quiet=quiet,
            bf16=wanted.bf16,
            max_tokens=wanted.max_tokens,
        )
    scored = scored_rows(
        data.processor,
        data.validation,
        np.asarray(validation["labels"]),
        run.task.scores(outputs.logits),
        named_extras(learned.model, outputs),
        wanted,
        f"{data.source.place}, split 'validation'",
        data.source.owner if data.source.has_owner(data.validation) else None,
    )
    own = run.recipe.model.config
    profile = run.recipe.model.kind == "profile"
    aggregation = own.get("aggregation", "mean") if profile else None
    decision, choice = fit_choices(run.task, scored, wanted, aggregation, own.get("threshold"))
    guesses = validation_guesses(run.task, data, wanted, choice) if wanted.baselines else None
    judged = judge(
        run.task,
        scored,
        decision=decision,
        choice=choice,
        guesses=guesses,
        wanted=wanted,
        fitted_here=True,
        model=run.target,
        dataset=data.source.repo_id,
        dataset_revision=data.source.revision,
        split="validation",
        hub_task=hub_task(data.processor),
    )
    return judged, decision, choice


@dataclass(frozen=True)
class Told:
    """Where a run is told: its W&B run, the trackers by name, and the folder of their files."""

    run: Any
    names: Sequence[str]
    folder: Path


def _report(run: Run, learned: Learned, judged: Judged, told: Told) -> Path:
    """The run's page, here and with every tracker."""
    from hfpipe.evaluation.pictures import thumbnails
    from hfpipe.reports.report import write_report
    from hfpipe.reports.rows import error_ids
    from hfpipe.tracking import log_curves, log_evaluation, log_to

    record, rows, labels = judged.record, judged.rows, run.task.labels
    stages = [each.name for each in learned.stages if each.name]
    profile = run.recipe.model.kind == "profile"  # its rows are groups, which have no picture
    wrong = [] if profile else error_ids(record.to_dict(), rows)
    pictures = thumbnails(run.data.processor, run.data.validation, wrong)
    report = write_report(
        run.folder / "report.html",
        record,
        rows,
        curves=learned.history,
        stages=stages,
        provenance=provenance(),
        pictures=pictures,
    )
    log_evaluation(told.run, record, rows, report=report, labels=labels, images=pictures)
    log_curves(told.run, learned.history, stages)
    log_to(
        told.names,
        told.folder,
        record,
        rows,
        labels=labels,
        run_name=run.target,
        project=str(run.recipe.training.get("project") or "huggingface"),
        step=max((int(each.get("step") or 0) for each in learned.history), default=0),
    )
    return report


def _lineage(run: Run, published: Published, told: Told, endpoint: Endpoint) -> None:
    """What the run used and what it made, as the tracker's artifacts.

    Files are named by their places, so they only go along where they stay: not in a suite.
    """
    from hfpipe.tracking import Repo, log_lineage

    source = run.data.source
    used = [Repo(source.repo_id, source.revision, "dataset")]
    used += [Repo(each.repo_id, each.revision) for each in run.opened.origins.values()]
    made = Repo(published.repo_id, published.revision)
    stays = told.folder == run.folder
    files = [run.folder / name for name in ("metrics.json", "report.html") if stays]
    log_lineage(told.run, endpoint.url, used=used, made=made, files=files)
