"""The fitted state between a dataset's columns and a model's batch, pushed with the model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError, nearest
from hfpipe.inputs.labels import label_values

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from hfpipe.recipe import Data

FILE_NAME = "processor.json"


@dataclass(frozen=True)
class TextInput:
    """A text made of one or several columns.

    Attributes:
        columns: Joined by a space, in this order; a missing value counts as empty.
        max_length: Longer texts are cut to so many tokens.
    """

    columns: list[str]
    max_length: int = 512
    kind: str = "text"

    def texts(self, rows: Mapping[str, Sequence[Any]]) -> list[str]:
        """The texts of a batch of rows, given by column.

        >>> TextInput(["title", "body"]).texts({"title": ["a", None], "body": ["b", "c"]})
        ['a b', 'c']
        """
        columns = [rows[column] for column in self.columns]
        return [
            " ".join(str(value) for value in values if value is not None)
            for values in zip(*columns, strict=True)
        ]


@dataclass(frozen=True)
class Processor:
    """What turns rows into model inputs and label ids.

    Attributes:
        inputs: Input name → its fitted state.
        label: The column to predict; None for a model that was not trained by hfpipe and whose
            caller named none.
        labels: The label of each class, in the order of the model's logits.
    """

    inputs: dict[str, TextInput]
    label: str | None
    labels: list[str] = field(default_factory=list)

    def to_json(self) -> bytes:
        """The state as JSON, for ``processor.json``."""
        return (json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Processor:
        """Read back what ``to_json`` wrote.

        >>> processor = Processor({"text": TextInput(["body"], 128)}, "topic", ["a", "b"])
        >>> Processor.from_dict(json.loads(processor.to_json())) == processor
        True
        """
        inputs = {name: TextInput(**each) for name, each in state["inputs"].items()}
        return cls(inputs, state.get("label"), list(state.get("labels", [])))

    @property
    def text(self) -> TextInput:
        """The text input of a model that has just one."""
        return next(iter(self.inputs.values()))

    @property
    def columns(self) -> list[str]:
        """Every column that an input is made of."""
        return [column for each in self.inputs.values() for column in each.columns]

    def texts(self, dataset: Dataset) -> list[str]:
        """The text of each row."""
        return self.text.texts(dataset.select_columns(self.text.columns)[:])

    def shown(self, dataset: Dataset) -> list[dict[str, Any]]:
        """What the model is shown of each row: column to value."""
        values = [dataset[column] for column in self.columns]
        return [dict(zip(self.columns, each, strict=True)) for each in zip(*values, strict=True)]

    def check_columns(self, dataset: Dataset, place: str, need_label: bool = True) -> None:
        """Make sure that ``dataset`` has every column that is needed.

        Raises:
            UserError: A column is missing; the nearest names are told.
        """
        wanted = self.columns + ([self.label] if need_label and self.label else [])
        for column in wanted:
            if column not in dataset.column_names:
                raise UserError(
                    f"{place} has no column '{column}'{nearest(column, dataset.column_names)}"
                )

    def encode(
        self,
        dataset: Dataset,
        tokenizer: PreTrainedTokenizerBase,
        labels: Iterable[int] | None = None,
        *,
        quiet: bool = False,
    ) -> Dataset:
        """Tokenize without padding; the collator pads each batch to its own longest row.

        Args:
            dataset: Rows with this processor's columns.
            tokenizer: The base model's.
            labels: Class indices, where they are known.
            quiet: No progress bar.

        Returns:
            ``input_ids``, ``attention_mask``, ``length`` (tokens) and, if given, ``labels``.
        """
        # Names of their own: a text column may be called "length" or "input_ids".
        names = {column: f"text {place}" for place, column in enumerate(self.text.columns)}
        text = replace(self.text, columns=list(names.values()))

        def tokenize(rows: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
            encoded = tokenizer(text.texts(rows), truncation=True, max_length=text.max_length)
            return {**encoded, "length": [len(ids) for ids in encoded["input_ids"]]}

        encoded = (
            dataset.select_columns(list(names))
            .rename_columns(names)
            .map(
                tokenize,
                batched=True,
                remove_columns=text.columns,
                desc=None if quiet else "Tokenizing",
                keep_in_memory=True,
            )
        )
        return encoded if labels is None else encoded.add_column("labels", list(labels))


def fit_processor(
    train: Dataset, data: Data, prepared: Mapping[str, Any] | None, place: str
) -> Processor:
    """Fit the processor on the train split.

    Args:
        train: The train split.
        data: The recipe's ``data:`` block.
        prepared: The dataset repo's ``hfpipe/prepare.json``, which names the columns that the
            recipe leaves open.
        place: How to call the dataset in a message.

    Raises:
        UserError: Columns unknown, an input kind unknown, or fewer than two classes.
    """
    recorded = prepared or {}
    label = str(data.label or recorded.get("label") or "")
    inputs = {}
    for name, spec in data.inputs.items():
        if spec.kind != "text":
            raise UserError(f"data.inputs.{name}.kind: '{spec.kind}'{nearest(spec.kind, ['text'])}")
        columns = list(spec.columns) or list(recorded.get("text") or [])
        if not columns or not label:
            key = "data.label" if columns else f"data.inputs.{name}.columns"
            raise UserError(
                f"{place} was not made by hfpipe prepare, so {key} must be given: e.g. {key}="
                f"{'COLUMN' if columns else '[COLUMN]'}{nearest('', train.column_names)}"
            )
        inputs[name] = TextInput(columns, spec.max_length)
    processor = Processor(inputs, label)
    processor.check_columns(train, place)
    labels = sorted({each for each in label_values(train, label) if each is not None})
    if len(labels) < 2:
        raise UserError(f"{place}: column '{label}' has {len(labels)} class(es) in train; need two")
    return Processor(inputs, label, labels)
