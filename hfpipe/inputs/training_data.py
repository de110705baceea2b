"""The rows that a run trains and selects on, with the fitted state that makes tensors of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.inputs.encoding import encode_rows
from hfpipe.inputs.fitting import check_recipe, fit_inputs, fit_processor
from hfpipe.inputs.kinds import Kind
from hfpipe.inputs.labels import label_values
from hfpipe.inputs.processor import Processor, TextInput
from hfpipe.inputs.splits import Source, open_dataset
from hfpipe.inputs.targets import LabelSpec
from hfpipe.recipe import Data

if TYPE_CHECKING:
    from datasets import Dataset

HELD_OUT = 0.1
"""The share of train that becomes validation where a dataset has no validation split."""


@dataclass(frozen=True)
class TrainingData:
    """Train and validation rows. The test split is never among them.

    Attributes:
        source: The dataset repo.
        processor: Fitted on the train split.
        train: Rows to train on.
        validation: Rows to choose the best checkpoint on.
        counts: Split to rows in, kept, and dropped by reason; they add up.
    """

    source: Source
    processor: Processor
    train: Dataset
    validation: Dataset
    counts: dict[str, dict[str, Any]]

    def cut_to(self, max_tokens: int) -> TrainingData:
        """The same with no text longer than ``max_tokens``."""
        inputs = {
            name: replace(each, max_length=min(each.max_length, max_tokens))
            if isinstance(each, TextInput)
            else each
            for name, each in self.processor.inputs.items()
        }
        return replace(self, processor=replace(self.processor, inputs=inputs))

    def encoded_rows(
        self, tools: Mapping[str, Any], quiet: bool = False
    ) -> tuple[Dataset, Dataset]:
        """Both splits with every input encoded and labels, for the ``Collator``.

        Args:
            tools: Input name → tokenizer or image processor of the base model.
            quiet: No progress bar.

        Raises:
            UserError: A row holds what train did not; it is named.
        """

        def encode(rows: Dataset, split: str) -> Dataset:
            place = f"{self.source.place}, split '{split}'"
            labels = self.processor.target.encode(rows, place)
            return encode_rows(self.processor, rows, tools, place, labels=labels, quiet=quiet)

        return encode(self.train, "train"), encode(self.validation, "validation")


def load_training_data(
    endpoint: Endpoint,
    name: str,
    data: Data,
    rows: int | None,
    seed: int,
    *,
    fitted: Mapping[str, Kind] | None = None,
) -> TrainingData:
    """Load a dataset repo, fit the processor on train, take the rows to train and select on.

    Args:
        endpoint: The Hub.
        name: ``NAMESPACE/NAME[@REVISION]``.
        data: The recipe's ``data:`` block.
        rows: At most so many rows a split, drawn with ``seed``; None for all.
        seed: Of every draw here.
        fitted: Inputs that a model which is used again was fitted with: they stay as they are.

    Raises:
        UserError: The dataset, a split or a column is not there, or there is nothing to learn.
    """
    source = open_dataset(
        endpoint, name, check=lambda prepared, place: check_recipe(data, prepared, place)
    )
    whole = source.split("train")
    processor = fit_processor(whole, data, source.prepared, source.place, fitted=fitted)
    target = processor.target
    if "validation" in source.splits:
        splits = {"train": whole, "validation": source.split("validation")}
    else:
        splits = dict(zip(("train", "validation"), _hold_out(whole, target, seed), strict=True))
        # Again, because what is held out must not tell the inputs anything.
        inputs = fit_inputs(splits["train"], data, source.prepared, source.place, fitted)
        processor = replace(processor, inputs=inputs)
    processor.check_columns(splits["validation"], f"{source.place}, split 'validation'")
    kept, counts = {}, {}
    for split, found in splits.items():
        labelled = _with_labels(found, target, f"{source.place}, split '{split}'")
        if not len(labelled):
            raise UserError(
                f"{source.place}, split '{split}': no row has a label in '{target.column}': there "
                "is nothing to learn or to choose by"
            )
        kept[split] = downsample(labelled, rows, seed)
        counts[split] = {
            "in": len(found),
            "kept": len(kept[split]),
            "dropped": {
                "no_label": len(found) - len(labelled),
                "downsampled": len(labelled) - len(kept[split]),
            },
        }
    return TrainingData(source, processor, kept["train"], kept["validation"], counts)


def downsample(dataset: Dataset, rows: int | None, seed: int) -> Dataset:
    """At most ``rows`` rows, drawn with a seed, in their old order."""
    if rows is None or rows >= len(dataset):
        return dataset
    drawn = np.random.default_rng(seed).permutation(len(dataset))[:rows]
    return dataset.select(np.sort(drawn))


def _with_labels(dataset: Dataset, target: LabelSpec, place: str) -> Dataset:
    """The rows that have a label."""
    if target.task in ("classification", "binary"):
        values = label_values(dataset, str(target.column))
        there = np.array([value is not None for value in values], bool)
    else:
        found = target.encode(dataset, place).reshape(len(dataset), -1)
        there = np.logical_not(np.isnan(found).any(axis=1))
    return dataset if there.all() else dataset.select(np.flatnonzero(there))


def _hold_out(train: Dataset, target: LabelSpec, seed: int) -> tuple[Dataset, Dataset]:
    """Take validation rows out of train, by class where every class is large enough for it."""
    from sklearn.model_selection import train_test_split

    by_class = None
    if target.task in ("classification", "binary"):
        labels = [str(value) for value in label_values(train, str(target.column))]
        sizes = Counter(labels)
        if min(sizes.values()) > 1 and len(train) * HELD_OUT >= len(sizes):
            by_class = labels
    kept, held_out = train_test_split(
        range(len(train)), test_size=HELD_OUT, random_state=seed, stratify=by_class
    )
    return train.select(sorted(kept)), train.select(sorted(held_out))
