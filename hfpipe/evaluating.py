"""Evaluate: a pushed model on a dataset's test split, or on a local file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.provenance import provenance, sha256
from hfpipe.hub.repos import read_json, resolve, split_revision
from hfpipe.inputs.labels import label_indices, label_values
from hfpipe.inputs.processor import FILE_NAME as PROCESSOR
from hfpipe.inputs.processor import Processor, TextInput
from hfpipe.inputs.splits import Source, open_dataset, row_ids
from hfpipe.rows.paths import writable_parent

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from hfpipe.evaluation.record import EvaluationRecord


@dataclass(frozen=True)
class EvaluateOptions:
    """What to score a model on.

    Attributes:
        dataset: Dataset repo; by default the one the model was trained on, at that commit.
        split: Its split.
        file: A local file instead.
        text: Columns of the text; by default those of training.
        label: Column of the label; by default that of training. A file may lack it: then rows
            are classified and nothing is scored.
        rows: Only the first so many rows.
        batch_size: Rows a batch; by default the recipe's.
        out: Folder for ``metrics.json``, ``predictions.jsonl`` and ``report.html``; by default
            ``runs/evaluate/<model>``.
        predictions: Where the predictions go instead.
        baselines: Whether to score the baselines too; by default as the recipe says.
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
    """

    record: EvaluationRecord
    rows: int
    metrics: Path
    predictions: Path
    report: Path


@dataclass(frozen=True)
class _Pushed:
    """A pushed model with everything that was pushed with it.

    ``fitted`` is the processor as pushed; ``processor`` the same with the columns that the
    caller named.
    """

    repo_id: str
    revision: str
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fitted: Processor
    processor: Processor
    story: dict[str, Any] = field(default_factory=dict)


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
    from hfpipe.evaluation.predictions import prediction_rows, write_jsonl
    from hfpipe.evaluation.record import classification_record
    from hfpipe.reports.report import write_report
    from hfpipe.training.fit import softmax
    from hfpipe.training.predict import predict_logits

    for folder in (options.out, options.predictions and options.predictions.parent):
        if folder is not None:
            writable_parent(folder)
    pushed = _load(model, endpoint, options)
    rows = _rows(pushed, endpoint, options)
    processor, labels = pushed.processor, pushed.processor.labels
    names = (
        label_values(rows.dataset, str(processor.label), labels)
        if rows.labelled
        else [None] * len(rows.dataset)
    )
    truth = label_indices(names, labels, rows.place)

    encoded = processor.encode(rows.dataset, pushed.tokenizer, quiet=options.quiet)
    wanted = pushed.story.get("config", {}).get("evaluation", {})
    batch_size = options.batch_size or int(wanted.get("batch_size", 64))
    beside = wanted.get("baselines", True) if options.baselines is None else options.baselines
    logits = predict_logits(
        pushed.network,
        pushed.tokenizer,
        encoded,
        batch_size,
        quiet=options.quiet,
        bf16=bool(wanted.get("bf16")),
    )
    probabilities = softmax(logits)
    record = classification_record(
        truth,
        probabilities,
        labels,
        model=pushed.repo_id,
        model_revision=pushed.revision,
        dataset=rows.name,
        dataset_revision=rows.revision,
        split=rows.split,
        baselines=_baselines(pushed, rows, truth, endpoint) if beside else None,
    )
    predictions = list(
        prediction_rows(
            row_ids(rows.dataset), processor.shown(rows.dataset), names, probabilities, labels
        )
    )
    out = options.out or Path("runs") / "evaluate" / pushed.repo_id.replace("/", "--")
    place = options.predictions or out / "predictions.jsonl"
    write_jsonl(place, predictions)
    metrics = record.write(out / "metrics.json")
    report = write_report(out / "report.html", record, predictions, provenance=provenance())
    return Evaluated(record, len(predictions), metrics, place, report)


def _load(model: str, endpoint: Endpoint, options: EvaluateOptions) -> _Pushed:
    """The model, its tokenizer, and the processor that was fitted with it."""
    from hfpipe.models.stock import load_classifier, load_tokenizer

    name, named = split_revision(model)
    repo_id = endpoint.repo_id(name)
    revision = resolve(endpoint, repo_id, "model", named)
    state = read_json(endpoint, repo_id, "model", PROCESSOR, revision)
    story = read_json(endpoint, repo_id, "model", "hfpipe/run.json", revision)
    network = load_classifier(endpoint, repo_id, revision)
    tokenizer = load_tokenizer(endpoint, repo_id, revision)
    fitted = Processor.from_dict(state) if state and "inputs" in state else _stock(network)
    columns = list(options.text) or fitted.text.columns
    if not columns:
        raise UserError(
            f"model repo '{repo_id}' was not made by hfpipe, so it does not say which column holds "
            "the text: give --text COLUMN and --label COLUMN"
        )
    inputs = {"text": replace(fitted.text, columns=columns)}
    processor = replace(fitted, inputs=inputs, label=options.label or fitted.label)
    return _Pushed(repo_id, revision, network, tokenizer, fitted, processor, story or {})


def _stock(network: PreTrainedModel) -> Processor:
    """The processor of a model that hfpipe did not train: what its config says."""
    names = network.config.id2label
    longest = getattr(network.config, "max_position_embeddings", 512)
    text = TextInput([], min(512, longest))
    return Processor({"text": text}, None, [names[index] for index in range(len(names))])


def _rows(pushed: _Pushed, endpoint: Endpoint, options: EvaluateOptions) -> _Rows:
    """The local file, the named dataset, or the very dataset that the model was trained on."""
    if options.file is not None:
        found = _file_rows(options.file, pushed.processor, bool(options.label))
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


def _file_rows(file: Path, processor: Processor, need_label: bool) -> _Rows:
    """The rows of a file; only a label column that the caller named must be there."""
    from datasets import Dataset

    from hfpipe.rows.reading import read_whole

    wanted = processor.columns + ([processor.label] if processor.label else [])
    dataset = Dataset(read_whole(file, wanted).table)
    labelled = processor.label is not None and processor.label in dataset.column_names
    processor.check_columns(dataset, str(file), need_label)
    return _Rows(dataset, str(file), f"sha256:{sha256(file)}", None, str(file), labelled)


def _baselines(
    pushed: _Pushed, rows: _Rows, truth: np.ndarray, endpoint: Endpoint
) -> dict[str, dict[str, float | None]] | None:
    """Majority and TF-IDF + logistic regression, fitted on the model's own train split."""
    from hfpipe.evaluation.baselines import baseline_metrics

    fitted = pushed.fitted if pushed.fitted.columns else pushed.processor
    train = _train_split(pushed, rows, endpoint)
    columns = {*fitted.columns, str(fitted.label)}
    if train is None or (truth < 0).all() or not columns.issubset(train.column_names):
        return None
    return baseline_metrics(
        fitted.texts(train),
        [name or "" for name in label_values(train, str(fitted.label), fitted.labels)],
        pushed.processor.texts(rows.dataset),
        truth,
        fitted.labels,
    )


def _train_split(pushed: _Pushed, rows: _Rows, endpoint: Endpoint) -> Dataset | None:
    """The train split of the dataset that is scored; for a local file, that of the model."""
    if rows.source is not None:
        return rows.source.splits.get("train")
    trained_on = pushed.story.get("dataset")
    if not trained_on:
        return None
    try:
        source = open_dataset(endpoint, trained_on["repo_id"], trained_on["revision"])
    except UserError:  # gone or forbidden by now: the file can be scored all the same
        return None
    return source.splits.get("train")
