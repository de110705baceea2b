"""Load a pushed model with all that was pushed with it, and ask it about rows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.repos import find
from hfpipe.inputs.processor import Processor, TextInput

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

    from hfpipe.metrics.tasks import Task

STOCK = "sequence_classification"
"""The kind of a model that hfpipe did not make."""


@dataclass(frozen=True)
class LoadedModel:
    """A pushed model, ready to be asked.

    Attributes:
        repo_id: Where it is from.
        revision: The commit.
        model: The model itself: of torch, or of scikit-learn.
        tools: Input name → tokenizer or image processor.
        processor: What turns rows into its inputs.
        flat: Whether a batch is its one input's tensors.
        story: ``hfpipe/run.json``; empty for a model that hfpipe did not make.
    """

    repo_id: str
    revision: str
    model: Any
    tools: dict[str, Any]
    processor: Processor
    flat: bool = False
    story: dict[str, Any] = field(default_factory=dict)

    @property
    def scorer(self) -> Any:
        """What is asked about one row: of a profile, its sequence model."""
        return self.model.sequence if self.story.get("profile") else self.model

    @property
    def task(self) -> Task:
        """What it predicts."""
        from hfpipe.metrics.tasks import task_of

        spec = self.processor.target
        return task_of(spec.task, spec.labels, spec.log1p)

    def predict(
        self,
        rows: Dataset | pd.DataFrame | Sequence[Mapping[str, Any]] | Sequence[str],
        batch_size: int = 64,
    ) -> list[dict[str, Any]]:
        """What the model says of rows, in their order.

        Scores are calibrated and decisions made at the threshold, both as they were fitted on
        validation and pushed with the model.

        Args:
            rows: A dataset, a data frame, a list of dicts with the columns of training, or, for a
                model of one text, a list of texts.
            batch_size: Rows a batch.

        Returns:
            One dict a row, as in ``predictions.jsonl``; of a profile, one a group.

        Raises:
            UserError: A column is missing, or a row holds what the model cannot take.
        """
        from hfpipe.blocks import Evaluation
        from hfpipe.evaluation.decisions import Decision
        from hfpipe.evaluation.gathering import groups_of, scored_rows
        from hfpipe.evaluation.judging import judge
        from hfpipe.evaluation.profiles import ProfileChoice
        from hfpipe.inputs.collator import Collator
        from hfpipe.inputs.encoding import encode_rows
        from hfpipe.training.predict import named_extras, predict_outputs

        dataset = as_dataset(rows, self.processor)
        self.processor.check_columns(dataset, "rows", need_label=False)
        if not len(dataset):
            return []
        task, profile = self.task, self.story.get("profile")
        if profile:
            groups_of(dataset, profile["group_by"], "rows")
        encoded = encode_rows(self.processor, dataset, self.tools, "rows", quiet=True)
        collator = Collator(self.processor, self.tools, flat=self.flat)
        # As the rows were scored that calibration and threshold were fitted on.
        asked = self.story.get("config", {}).get("evaluation", {})
        outputs = predict_outputs(
            self.scorer,
            collator,
            encoded,
            task,
            batch_size,
            quiet=True,
            bf16=bool(asked.get("bf16")),
            max_tokens=asked.get("max_tokens"),
        )
        owner = profile["group_by"] if profile else None
        # Nothing is scored here, so there is nothing to slice or to draw anew.
        plain = Evaluation(group_by=owner, automatic_slices=False, resamples=0)
        scored = scored_rows(
            self.processor,
            dataset,
            task.unknown(len(dataset)),
            task.scores(outputs.logits),
            named_extras(self.scorer, outputs),
            plain,
            "rows",
        )
        return judge(
            task,
            scored,
            decision=Decision.of(self.story),
            choice=ProfileChoice(**profile) if profile else None,
            wanted=plain,
            model=self.repo_id,
        ).rows


def load_pushed(endpoint: Endpoint, name: str) -> LoadedModel:
    """Load a model repo.

    Args:
        endpoint: The Hub.
        name: ``NAMESPACE/NAME[@REVISION]``.

    Raises:
        UserError: No such repo or revision, or no model that can be loaded.
    """
    from hfpipe.models.families import family_of
    from hfpipe.models.families.fusion import pushed_processor, pushed_story

    repo_id, revision = find(endpoint, name, "model")
    story, kind = pushed_story(endpoint, repo_id, revision)
    processor = pushed_processor(endpoint, repo_id, revision)
    family = family_of(kind or STOCK)
    model, tools = family.load(endpoint, repo_id, revision, processor)
    if processor is None:
        processor = _of_config(model, tools)
    return LoadedModel(repo_id, revision, model, tools, processor, family.flat, story)


def _of_config(model: Any, tools: dict[str, Any]) -> Processor:
    """The processor of a model that hfpipe did not train: what its config says."""
    names = model.config.id2label
    longest = getattr(model.config, "max_position_embeddings", 512)
    text = TextInput([], min(512, longest))
    return Processor(
        dict.fromkeys(tools, text), None, [names[index] for index in range(len(names))]
    )


def as_dataset(rows: Any, processor: Processor) -> Dataset:
    """Rows in any of the forms that ``predict`` takes, as a dataset.

    Raises:
        UserError: Texts for a model that takes more than one text, or rows of another form.
    """
    import pandas as pd
    from datasets import Dataset

    if isinstance(rows, Dataset):
        return rows
    if isinstance(rows, pd.DataFrame):
        with _of_one_type(lambda: rows.to_dict("list")):
            return Dataset.from_pandas(rows, preserve_index=False)
    listed = list(rows)
    if all(isinstance(row, str) for row in listed):
        if len(processor.columns) != 1:
            raise UserError(
                f"the model needs {', '.join(processor.columns)}: give rows with these columns, "
                "not bare texts"
            )
        return Dataset.from_dict({processor.columns[0]: listed})
    if not all(isinstance(row, Mapping) for row in listed):
        raise UserError("rows: give a list of dicts, a data frame or a datasets.Dataset")
    # All keys of all rows: from_list knows those of the first only.
    keys = list(dict.fromkeys(key for row in listed for key in row))
    columns = {key: [row.get(key) for row in listed] for key in keys}
    with _of_one_type(lambda: columns):
        return Dataset.from_dict(columns)


@contextmanager
def _of_one_type(given: Callable[[], Mapping[str, Sequence[Any]]]) -> Iterator[None]:
    """Name the row and column whose value is of another type than those before it.

    Raises:
        UserError: Arrow cannot make a column of the values.
    """
    from datasets import Dataset
    from pyarrow import ArrowException

    refused = (ArrowException, TypeError, ValueError, OverflowError)
    try:
        yield
    except refused as error:
        columns = given()
        for column, values in columns.items():

            def fails(count: int, column: str = column, values: Sequence[Any] = values) -> bool:
                try:
                    Dataset.from_dict({column: values[:count]})
                except refused:
                    return True
                return False

            if fails(len(values)):
                at = bisect_left(range(len(values)), True, key=lambda row: fails(row + 1))
                name = columns["row_id"][at] if "row_id" in columns else at
                raise UserError(
                    f"rows: row '{name}': '{column}' is {str(values[at])[:60]!r}, and the rows "
                    "before it hold values of another type"
                ) from error
        raise UserError(f"rows: {' '.join(str(error).split())[:200]}") from error
