"""Fine-tune: a dataset repo and a recipe to a pushed model."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.provenance import provenance
from hfpipe.hub.publish import Published, check_writable
from hfpipe.hub.repos import resolve
from hfpipe.inputs.processor import FILE_NAME as PROCESSOR
from hfpipe.inputs.splits import row_ids
from hfpipe.recipe import Recipe, as_yaml, validate_training
from hfpipe.rows.paths import writable_parent

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

    from hfpipe.evaluation.record import EvaluationRecord
    from hfpipe.inputs.training_data import TrainingData


@dataclass(frozen=True)
class FinetuneOptions:
    """What a run needs beside its recipe.

    Attributes:
        target: Model repo to push to; by default the recipe's name in the token's namespace.
        out: Run folder; by default ``runs/<recipe>/<time>``.
        rows: Train on at most so many rows (``--downsample``).
        public: Whether a new model repo is public.
        wandb: Whether to track the run with W&B.
        wandb_key: W&B API key, where it is not in the environment.
        wandb_output: Folder for the run's HTML report; by default the run folder.
        quiet: No progress bars.
    """

    target: str | None = None
    out: Path | None = None
    rows: int | None = None
    public: bool = False
    wandb: bool = True
    wandb_key: str | None = field(default=None, repr=False)
    wandb_output: Path | None = None
    quiet: bool = False


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
        seconds: Time spent in ``Trainer.train``.
    """

    model: Published
    folder: Path
    record: EvaluationRecord
    report: Path
    train_rows: int
    counts: dict[str, dict[str, Any]]
    seconds: float


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
    from transformers import set_seed

    from hfpipe.inputs.training_data import load_training_data
    from hfpipe.models.pushing import push_model
    from hfpipe.models.stock import load_tokenizer, max_tokens, new_classifier
    from hfpipe.training.fit import Reporting, build_trainer, check_best_metric, training_arguments

    validate_training(recipe)
    folder = options.out or Path("runs") / recipe.name / time.strftime("%Y%m%d-%H%M%S")
    for each in (folder, options.wandb_output):
        if each is not None:
            writable_parent(each)
    target = check_writable(endpoint, options.target or recipe.name.replace("_", "-"), "model")
    seed = int(recipe.training.get("seed", 42))
    data = load_training_data(endpoint, _dataset(recipe), recipe.data, options.rows, seed)
    labels = data.processor.labels
    check_best_metric(recipe, len(labels))
    base, revision = _base(recipe, endpoint)
    tokenizer = load_tokenizer(endpoint, base, revision)
    set_seed(seed)  # the new head is drawn here
    model = new_classifier(endpoint, base, revision, labels, recipe.model.dropout)
    data = data.cut_to(max_tokens(model, tokenizer))

    with _tracked(recipe, folder, target, options) as (run, report_to):
        reporting = Reporting(report_to, run_name=target, quiet=options.quiet)
        arguments = training_arguments(recipe, _empty(folder / "checkpoints"), reporting)
        train, validation = data.encoded(tokenizer, options.quiet)
        trainer = build_trainer(model, tokenizer, arguments, train, validation)
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
        record, report = _judge(recipe, data, trainer, validation, folder, target, run)
    story = _story(recipe, data, base, revision, record)
    _keep(folder, recipe, trainer, record, report, options.wandb_output)
    extra = {
        PROCESSOR: data.processor.to_json(),
        "README.md": _card(target, story, record).encode(),
    }
    published = push_model(
        endpoint, target, trainer.model, tokenizer, story, extra, private=not options.public
    )
    return Finetuned(published, folder, record, report, len(data.train), data.counts, seconds)


def _empty(folder: Path) -> Path:
    """Without an earlier run's checkpoints, which Trainer would count as this one's."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _dataset(recipe: Recipe) -> str:
    if not recipe.data.dataset:
        raise UserError("which dataset? give --dataset NS/NAME, as 'hfpipe prepare' pushed it")
    return recipe.data.dataset


def _base(recipe: Recipe, endpoint: Endpoint) -> tuple[str, str]:
    """The base model's repo and commit."""
    if not recipe.model.base:
        raise UserError("which base model? give --base-model ID, or model.base in the recipe")
    return recipe.model.base, resolve(endpoint, recipe.model.base, "model", recipe.model.revision)


@contextmanager
def _tracked(
    recipe: Recipe, folder: Path, target: str, options: FinetuneOptions
) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """The W&B run, and the names for ``TrainingArguments.report_to``."""
    from hfpipe.tracking import tracking

    with tracking(
        folder,
        name=target,
        group=recipe.name,
        config={"recipe": asdict(recipe)},
        enabled=options.wandb,
        key=options.wandb_key,
    ) as run:
        yield run, ("wandb",) if run else ()


def _judge(
    recipe: Recipe,
    data: TrainingData,
    trainer: Trainer,
    validation: Dataset,
    folder: Path,
    target: str,
    run: Any,
) -> tuple[EvaluationRecord, Path]:
    """Score the best checkpoint on validation and write the run's report."""
    import numpy as np

    from hfpipe.evaluation.baselines import baseline_metrics
    from hfpipe.evaluation.predictions import prediction_rows
    from hfpipe.evaluation.record import classification_record
    from hfpipe.reports.report import write_report
    from hfpipe.tracking import log_evaluation
    from hfpipe.training.fit import softmax
    from hfpipe.training.predict import predict_logits

    truth, labels = np.asarray(validation["labels"]), data.processor.labels
    logits = predict_logits(
        trainer.model,
        trainer.processing_class,
        validation,
        recipe.evaluation.batch_size,
        quiet=trainer.args.disable_tqdm,
        bf16=recipe.evaluation.bf16,
    )
    probabilities = softmax(logits)
    record = classification_record(
        truth,
        probabilities,
        labels,
        model=target,
        dataset=data.source.repo_id,
        dataset_revision=data.source.revision,
        split="validation",
        baselines=baseline_metrics(
            data.processor.texts(data.train),
            [labels[index] for index in trainer.train_dataset["labels"]],
            data.processor.texts(data.validation),
            truth,
            labels,
        )
        if recipe.evaluation.baselines
        else None,
    )
    rows = prediction_rows(
        row_ids(data.validation),
        data.processor.shown(data.validation),
        [labels[index] for index in truth],
        probabilities,
        labels,
    )
    report = write_report(
        folder / "report.html",
        record,
        list(rows),
        curves=trainer.state.log_history,
        provenance=provenance(),
    )
    log_evaluation(
        run, truth.tolist(), logits.argmax(axis=1).tolist(), labels, record.metrics, report
    )
    return record, report


def _story(
    recipe: Recipe, data: TrainingData, base: str, revision: str, record: EvaluationRecord
) -> dict[str, Any]:
    """``hfpipe/run.json``: all that is needed to evaluate, explain or repeat this run."""
    return {
        "recipe": recipe.name,
        "config": asdict(recipe),
        "dataset": {"repo_id": data.source.repo_id, "revision": data.source.revision},
        "base_model": {"repo_id": base, "revision": revision},
        "inputs": {name: asdict(each) for name, each in data.processor.inputs.items()},
        "label": data.processor.label,
        "labels": data.processor.labels,
        "seed": recipe.training.get("seed", 42),
        "train_rows": len(data.train),
        "validation_rows": len(data.validation),
        "rows": data.counts,
        "metrics": {"validation": record.metrics},
        "provenance": provenance(),
    }


def _card(target: str, story: dict[str, Any], record: EvaluationRecord) -> str:
    from hfpipe.reports.cards import model_card

    return model_card(
        repo_id=target,
        run=story,
        metrics=record.to_dict(),
        dataset_id=story["dataset"]["repo_id"],
        base_model=story["base_model"]["repo_id"],
        labels=story["labels"],
    )


def _keep(
    folder: Path,
    recipe: Recipe,
    trainer: Trainer,
    record: EvaluationRecord,
    report: Path,
    wandb_output: Path | None,
) -> None:
    """The run folder's files, and the report where the user wants it."""
    from hfpipe.files import write_text

    write_text(folder / "config.yaml", as_yaml(recipe))
    record.write(folder / "metrics.json")
    write_text(folder / "curves.json", json.dumps(trainer.state.log_history, indent=2))
    if wandb_output:
        write_text(wandb_output / f"{recipe.name}.html", report.read_text(encoding="utf-8"))
