"""Fine-tune: a dataset repo and a recipe to a pushed model."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.provenance import provenance
from hfpipe.hub.publish import Published
from hfpipe.processes import all_alive, is_main, on_main
from hfpipe.recipe import Recipe, as_yaml
from hfpipe.runs import FinetuneOptions, Run, plan_run

__all__ = ["FinetuneOptions", "Finetuned", "finetune"]

if TYPE_CHECKING:
    from datasets import Dataset

    from hfpipe.evaluation.judging import Judged
    from hfpipe.evaluation.profiles import ProfileChoice
    from hfpipe.evaluation.record import EvaluationRecord
    from hfpipe.training.engines import Learned
    from hfpipe.training.journal import Done, Journal


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
            judged, choice = _judge(run, learned, validation, options.quiet)
        report = on_main(lambda: _report(run, learned, judged, tracked))
    threshold = choice.vote if choice else judged.record.threshold
    model = family.finish(learned.model, recipe, threshold)
    story = _story(run, learned, judged.record, choice)
    on_main(lambda: _keep(run, learned, judged.record, report, options.wandb_output))
    extra = {**data.processor.files(), "README.md": _card(run.target, story, judged.record)}
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

    Checkpoints without a journal, as they come from a Hub, are taken for this run's own.

    Raises:
        UserError: ``--resume``, and what is there is another run's.
    """
    from hfpipe.training.journal import Journal

    folder, identity = run.learning.folder, run.identity()
    found = Journal.read(folder) if options.resume else None
    if found is not None:
        found.check(identity)
        found.writes = is_main()
        return found
    brought = options.resume and any(folder.rglob("checkpoint-*"))
    return Journal(folder, identity, secrets.token_hex(4), writes=is_main(), new=not brought)


@contextmanager
def _tracked(run: Run, options: FinetuneOptions) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """The W&B run, and the names for ``TrainingArguments.report_to``."""
    from hfpipe.tracking import tracking

    journal = run.learning.journal
    with tracking(
        run.folder,
        name=run.target,
        group=run.recipe.name,
        config={"recipe": asdict(run.recipe)},
        enabled=options.wandb and is_main(),
        key=options.wandb_key,
        run_id=journal.tracker if journal else None,
    ) as tracked:
        yield tracked, ("wandb",) if tracked else ()


def _judge(
    run: Run, learned: Learned, validation: Dataset, quiet: bool
) -> tuple[Judged, ProfileChoice | None]:
    """Score the best checkpoint on validation, and choose thresholds there."""
    import numpy as np

    from hfpipe.evaluation.judging import (
        fit_choices,
        hub_task,
        judge,
        scored_rows,
        validation_baselines,
    )
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
    )
    own = run.recipe.model.config
    profile = run.recipe.model.kind == "profile"
    threshold, choice = fit_choices(
        run.task,
        scored,
        wanted.group_by if profile else None,
        own.get("aggregation", "mean") if profile else None,
        own.get("threshold"),
    )
    beside = wanted.baselines and choice is None
    judged = judge(
        run.task,
        scored,
        threshold=threshold,
        choice=choice,
        baselines=validation_baselines(run.task, data) if beside else None,
        model=run.target,
        dataset=data.source.repo_id,
        dataset_revision=data.source.revision,
        split="validation",
        hub_task=hub_task(data.processor),
    )
    return judged, choice


def _report(run: Run, learned: Learned, judged: Judged, tracked: Any) -> Path:
    """The run's page, here and on W&B."""
    from hfpipe.reports.report import write_report
    from hfpipe.tracking import log_evaluation

    report = write_report(
        run.folder / "report.html",
        judged.record,
        judged.rows,
        curves=learned.history,
        stages=[each.name for each in learned.stages if each.name],
        provenance=provenance(),
    )
    log_evaluation(tracked, judged.rows, run.task.labels, judged.record.metrics, report)
    return report


def _told(done: Done) -> dict[str, Any]:
    """A stage without its curves."""
    return {
        name: value for name, value in asdict(done).items() if name not in ("history", "warnings")
    }


def _story(
    run: Run, learned: Learned, record: EvaluationRecord, choice: ProfileChoice | None
) -> dict[str, Any]:
    """``hfpipe/run.json``: all that is needed to evaluate, explain or repeat this run."""
    from hfpipe.models.families import family_of

    recipe, data = run.recipe, run.data
    origins = {name: asdict(each) for name, each in run.opened.origins.items()}
    return {
        "recipe": recipe.name,
        "config": asdict(recipe),
        "family": family_of(recipe.model.kind).card_of(recipe.model),
        "dataset": {"repo_id": data.source.repo_id, "revision": data.source.revision},
        "base_model": origins.get("base"),
        "origins": origins,
        "inputs": {name: each.state() for name, each in data.processor.inputs.items()},
        "label": data.processor.label,
        "labels": data.processor.labels,
        "loss": run.loss,
        "threshold": record.threshold,
        "profile": choice.to_dict() if choice else None,
        "seed": recipe.training.get("seed", 42),
        "train_rows": len(data.train),
        "validation_rows": len(data.validation),
        "rows": data.counts,
        "stages": [_told(each) for each in learned.stages],
        "warnings": learned.warnings,
        "metrics": {"validation": record.metrics},
        "notes": run.opened.doubts(data.source.repo_id, data.source.revision),
        "provenance": provenance(),
    }


def _card(target: str, story: dict[str, Any], record: EvaluationRecord) -> bytes:
    from hfpipe.reports.cards import model_card

    return model_card(
        repo_id=target,
        run=story,
        metrics=record.to_dict(),
        dataset_id=story["dataset"]["repo_id"],
        base_model=(story["base_model"] or {}).get("repo_id"),
        labels=story["labels"],
    ).encode()


def _keep(
    run: Run,
    learned: Learned,
    record: EvaluationRecord,
    report: Path,
    wandb_output: Path | None,
) -> None:
    """The run folder's files, and the report where the user wants it."""
    from hfpipe.files import write_text

    write_text(run.folder / "config.yaml", as_yaml(run.recipe))
    record.write(run.folder / "metrics.json")
    write_text(run.folder / "curves.json", json.dumps(learned.history, indent=2))
    if wandb_output:
        page = report.read_text(encoding="utf-8")
        write_text(wandb_output / f"{run.recipe.name}.html", page)
