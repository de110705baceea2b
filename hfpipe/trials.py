"""An evaluation before it scores: a pushed model and the rows it is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.blocks import Evaluation
from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.provenance import sha256
from hfpipe.inputs.processor import Processor, TextInput
from hfpipe.inputs.splits import Source, open_dataset

if TYPE_CHECKING:
    from datasets import Dataset

    from hfpipe.evaluation.decisions import Decision
    from hfpipe.evaluation.profiles import ProfileChoice
    from hfpipe.inputs.collator import Collator
    from hfpipe.metrics.tasks import Task


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
        threshold_for: Choose the decision threshold anew for this, on the validation split of the
            dataset that the model was trained on; by default the pushed one is used.
        resamples: Of the bootstrap; by default the recipe's, and 0 for no intervals.
        push: Whether the results go into the model's repo: card, ``.eval_results``, and record and
            predictions under ``hfpipe/evaluation``.
        wandb: Whether to log the evaluation to W&B.
        wandb_key: W&B API key, where it is not in the environment.
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
    threshold_for: str | None = None
    resamples: int | None = None
    push: bool = False
    wandb: bool = False
    wandb_key: str | None = field(default=None, repr=False)
    quiet: bool = False


@dataclass(frozen=True)
class Pushed:
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
    def decision(self) -> Decision:
        """As it was fitted on validation."""
        from hfpipe.evaluation.decisions import Decision

        return Decision.of(self.story)

    @property
    def choice(self) -> ProfileChoice | None:
        """Of a profile."""
        from hfpipe.evaluation.profiles import ProfileChoice

        found = self.story.get("profile")
        return ProfileChoice(**found) if found else None


@dataclass(frozen=True)
class Rows:
    """The rows to score, and how to call them."""

    dataset: Dataset
    name: str
    revision: str | None
    split: str | None
    place: str
    labelled: bool
    source: Source | None = None
    home: Source | None = None

    @property
    def owner(self) -> str | None:
        """The column by which their split, or that of training, kept rows together, if any."""
        known = self.source or self.home
        return known.owner if known and known.has_owner(self.dataset) else None


def load_subject(model: str, endpoint: Endpoint, options: EvaluateOptions) -> Pushed:
    """The model, its tools, and the processor that was fitted with it.

    Args:
        model: ``NAMESPACE/NAME[@REVISION]``.
        endpoint: The Hub.
        options: May name other columns, slices and a batch size.

    Raises:
        UserError: No such model, or one that does not say what it reads.
    """
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
    changed = {
        name: value
        for name in ("batch_size", "threshold_for", "resamples")
        if (value := getattr(options, name)) is not None
    }
    wanted = replace(wanted, **changed)
    collator = Collator(processor, loaded.tools, flat=loaded.flat)
    return Pushed(
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


def choose_rows(pushed: Pushed, endpoint: Endpoint, options: EvaluateOptions) -> Rows:
    """The local file, the named dataset, or the very dataset that the model was trained on.

    Raises:
        UserError: There are no such rows, or they lack a column.
    """
    if options.file is not None:
        found = _file_rows(options.file, pushed, bool(options.label))
    else:
        found = _split_rows(pushed, endpoint, options)
    if options.rows is not None and options.rows < len(found.dataset):
        found = replace(found, dataset=found.dataset.select(range(options.rows)))
    return found


def _split_rows(pushed: Pushed, endpoint: Endpoint, options: EvaluateOptions) -> Rows:
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
    return Rows(
        dataset, source.repo_id, source.revision, options.split, place, labelled=True, source=source
    )


def home_of(pushed: Pushed, rows: Rows, endpoint: Endpoint) -> Source | None:
    """The dataset of training; None where nobody knows it, or it is gone or forbidden by now."""
    trained_on = pushed.story.get("dataset")
    if not trained_on:
        return None
    known = rows.source
    if known and (known.repo_id, known.revision) == (trained_on["repo_id"], trained_on["revision"]):
        return known
    try:
        return open_dataset(endpoint, trained_on["repo_id"], trained_on["revision"])
    except UserError:  # the rows can be scored all the same
        return None


def _file_rows(file: Path, pushed: Pushed, need_label: bool) -> Rows:
    """The rows of a file; only a label column that the caller named must be there."""
    from datasets import Dataset

    from hfpipe.inputs.given import flat_columns, with_known_categories
    from hfpipe.rows.reading import read_whole

    processor = pushed.processor
    beside = [processor.label, *pushed.wanted.slices, pushed.wanted.group_by]
    wanted = flat_columns(processor) + [column for column in beside if column]
    table = read_whole(file, wanted).table
    processor.check_columns(Dataset(table), str(file), need_label)
    dataset = Dataset(with_known_categories(table, processor))
    labelled = processor.label is not None and processor.label in dataset.column_names
    return Rows(dataset, str(file), f"sha256:{sha256(file)}", None, str(file), labelled)
