"""Evaluate: a pushed model on a dataset's test split, or on a local file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.blocks import Evaluation
from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.provenance import provenance, sha256
from hfpipe.inputs.processor import Processor, TextInput
from hfpipe.inputs.splits import Source, open_dataset
from hfpipe.rows.paths import writable_parent

if TYPE_CHECKING:
    from datasets import Dataset

    from hfpipe.evaluation.profiles import ProfileChoice, Scored
    from hfpipe.evaluation.record import EvaluationRecord
    from hfpipe.inputs.collator import Collator
    from hfpipe.metrics.tasks import Metrics, Task


@dataclass(frozen=True)
class EvaluateOptions:
    """What to score a model on.

    Attributes:
        dataset: Dataset repo; by default the one the model was trained on, at that commit.
        split: Its split.
        file: A local file instead.
        text: Columns of the one text input; by default those of training.
        label: Column of the label; by default that of training. A file may lack it: then rows
            are classified and nothing is scored.
        rows: Only the first so many rows.
        batch_size: Rows a batch; by default the recipe's.
        out: Folder for ``metrics.json``, ``predictions.jsonl`` and ``report.html``; by default
            ``runs/evaluate/<model>``.
        predictions: Where the predictions go instead.
        baselines: Whether to score the baselines too; by default as the recipe says.
        slices: Columns whose values are scored apart; by default those of the recipe.
        quiet: No progress bars.
    """

    dataset: str | None = None
    split: str = "test"
    file: Path | None = None
    text: Sequence[str] = ()
    label: str | None = None
    rows: int | None = None
    batch_size: int | None = None
    out: Path | None = None
    predictions: Path | None = None
    baselines: bool | None = None
    slices: Sequence[str] | None = None
    quiet: bool = False


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


@dataclass(frozen=True)
class _Pushed:
    """A pushed model with everything that was pushed with it.

    ``fitted`` is the processor as pushed; ``processor`` the same with the columns that the
    caller named.
    """

    repo_id: str
    revision: str
    model: Any
    collator: Collator
    fitted: Processor
    processor: Processor
    wanted: Evaluation
    story: dict[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """What it predicts."""
        from hfpipe.metrics.tasks import task_of

        spec = self.fitted.target
        return task_of(spec.task, spec.labels, spec.log1p)

    @property
    def choice(self) -> ProfileChoice | None:
        """Of a profile."""
        from hfpipe.evaluation.profiles import ProfileChoice

        found = self.story.get("profile")
        return ProfileChoice(**found) if found else None


@dataclass(frozen=True)
class _Rows:
    """The rows to score, and how to call them."""

    dataset: Dataset
    name: str
    revision: str | None
    split: str | None
    place: str
    labelled: bool
    source: Source | None = None


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
    pushed = _load(model, endpoint, options)
    rows = _rows(pushed, endpoint, options)
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


def _unseen(processor: Processor, rows: _Rows) -> list[str]:
    """What to tell of categories that train did not have: the model takes them for unknown."""
    from hfpipe.inputs.encoding import unseen_categories

    found = unseen_categories(processor, rows.dataset, rows.place)
    return [
        f"'{column}': {count:,} of {len(rows.dataset):,} rows have a category that train did not "
        "have; it counts as unknown"
        for column, count in found.items()
        if count
    ]


def _load(model: str, endpoint: Endpoint, options: EvaluateOptions) -> _Pushed:
    """The model, its tools, and the processor that was fitted with it."""
    from hfpipe.inputs.collator import Collator
    from hfpipe.loading import load_pushed

    loaded = load_pushed(endpoint, model)
    fitted = loaded.processor
    processor = replace(
        with_text_columns(fitted, options.text), label=options.label or fitted.label
    )
    if not processor.columns:
        raise UserError(
            f"model repo '{loaded.repo_id}' was not made by hfpipe, so it does not say which "
            "column holds the text: give --text COLUMN and --label COLUMN"
        )
    asked = loaded.story.get("config", {}).get("evaluation", {})
    known = {each.name for each in fields(Evaluation)}
    wanted = Evaluation(**{key: each for key, each in asked.items() if key in known})
    if options.slices is not None:
        wanted = replace(wanted, slices=list(options.slices))
    if options.batch_size:
        wanted = replace(wanted, batch_size=options.batch_size)
    collator = Collator(processor, loaded.tools, flat=loaded.flat)
    return _Pushed(
        loaded.repo_id,
        loaded.revision,
        loaded.scorer,
        collator,
        fitted,
        processor,
        wanted,
        loaded.story,
    )


def with_text_columns(fitted: Processor, columns: Sequence[str]) -> Processor:
    """The processor with its one text input made of other columns.

    Raises:
        UserError: It has no text input, or several.
    """
    if not columns:
        return fitted
    texts = [name for name, each in fitted.inputs.items() if isinstance(each, TextInput)]
    if len(texts) != 1:
        found = ", ".join(fitted.inputs)
        raise UserError(
            f"--text: the model has {len(texts)} text inputs (its inputs: {found}); rename the "
            "columns of the data instead"
        )
    inputs = {**fitted.inputs, texts[0]: fitted.inputs[texts[0]].with_columns(list(columns))}
    return replace(fitted, inputs=inputs)


def _scored(pushed: _Pushed, rows: _Rows, options: EvaluateOptions) -> Scored:
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


def _rows(pushed: _Pushed, endpoint: Endpoint, options: EvaluateOptions) -> _Rows:
    """The local file, the named dataset, or the very dataset that the model was trained on."""
    if options.file is not None:
        found = _file_rows(options.file, pushed, bool(options.label))
    else:
        found = _split_rows(pushed, endpoint, options)
    if options.rows is not None and options.rows < len(found.dataset):
        found = replace(found, dataset=found.dataset.select(range(options.rows)))
    return found


def _split_rows(pushed: _Pushed, endpoint: Endpoint, options: EvaluateOptions) -> _Rows:
    trained_on = pushed.story.get("dataset") or {}
    name = options.dataset or trained_on.get("repo_id")
    if not name:
        raise UserError(
            f"model repo '{pushed.repo_id}' does not say what it was trained on: give --dataset "
            "NS/NAME or --file FILE"
        )
    source = open_dataset(endpoint, name, None if options.dataset else trained_on.get("revision"))
    dataset = source.split(options.split)
    place = f"{source.place}, split '{options.split}'"
    pushed.processor.check_columns(dataset, place)
    if pushed.processor.label is None:
        raise UserError(f"{place}: which column is the label? give --label COLUMN")
    return _Rows(
        dataset, source.repo_id, source.revision, options.split, place, labelled=True, source=source
    )


def _file_rows(file: Path, pushed: _Pushed, need_label: bool) -> _Rows:
    """The rows of a file; only a label column that the caller named must be there."""
    from datasets import Dataset

    from hfpipe.rows.reading import read_whole

    processor = pushed.processor
    beside = [processor.label, *pushed.wanted.slices, pushed.wanted.group_by]
    wanted = processor.columns + [column for column in beside if column]
    dataset = Dataset(read_whole(file, wanted).table)
    labelled = processor.label is not None and processor.label in dataset.column_names
    processor.check_columns(dataset, str(file), need_label)
    return _Rows(dataset, str(file), f"sha256:{sha256(file)}", None, str(file), labelled)


def _baselines(
    pushed: _Pushed, rows: _Rows, scored: Scored, endpoint: Endpoint
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


def _renamed(pushed: _Pushed) -> dict[str, str]:
    """The caller's columns → those of training."""
    pairs = zip(pushed.processor.columns, pushed.fitted.columns, strict=False)
    return {new: old for new, old in pairs if new != old}


def _trained_on(pushed: _Pushed, endpoint: Endpoint) -> Source | None:
    """The dataset of training, for a local file; None where it is gone or forbidden by now."""
    trained_on = pushed.story.get("dataset")
    if not trained_on:
        return None
    try:
        return open_dataset(endpoint, trained_on["repo_id"], trained_on["revision"])
    except UserError:  # the file can be scored all the same
        return None
