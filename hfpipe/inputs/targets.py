"""What is to be predicted: a column's values to the numbers a loss takes, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hfpipe.errors import UserError, nearest
from hfpipe.inputs.kinds._numbers import is_list, numbers
from hfpipe.inputs.labels import label_indices, label_values
from hfpipe.inputs.reading import Rows, batches
from hfpipe.rows.values import text_of

if TYPE_CHECKING:
    from datasets import Dataset

#: Task to the name that a model's config has for it.
PROBLEM_TYPES = {
    "classification": "single_label_classification",
    "binary": "binary",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}
# What a positive class is called, where it is called so.
_POSITIVE = ("1", "true", "yes", "positive")


@dataclass(frozen=True)
class LabelSpec:
    """The label of a model.

    Attributes:
        column: The column to predict.
        task: A key of ``PROBLEM_TYPES``.
        labels: The classes in the order of the logits; of a binary model, the negative one first.
        log1p: Regression: whether the model predicts ``log(1 + y)``.
    """

    column: str | None
    task: str = "classification"
    labels: list[str] = field(default_factory=list)
    log1p: bool = False

    @property
    def outputs(self) -> int:
        """How many logits a model has.

        >>> LabelSpec("y", "binary", ["no", "yes"]).outputs
        1
        """
        return 1 if self.task in ("binary", "regression") else len(self.labels)

    @property
    def problem_type(self) -> str:
        """The task as a model's config names it."""
        return PROBLEM_TYPES[self.task]

    def encode(self, dataset: Dataset, place: str) -> np.ndarray:
        """The labels of rows, as a loss takes them.

        Args:
            dataset: Rows with the column.
            place: What to call them in a message.

        Returns:
            Classification: ``(rows,)`` int64, -1 where a row has no label. Binary and regression:
            ``(rows,)`` float32; multi-label: ``(rows, classes)`` float32; NaN without a label.

        Raises:
            UserError: A label that the model does not have, or no number; its row is named.
        """
        if self.task == "regression":
            return _targets(dataset, str(self.column), self.log1p, place).astype(np.float32)
        if self.task == "multi_label":
            return self._marks(dataset, place)
        names = label_values(dataset, str(self.column), self.labels)
        found = label_indices(names, self.labels, place, ids_of(dataset))
        if self.task == "binary":
            return np.where(found < 0, np.nan, found).astype(np.float32)
        return found

    def _marks(self, dataset: Dataset, place: str) -> np.ndarray:
        sets = label_sets(dataset, str(self.column), place)
        given = [name for each in sets for name in each or []]
        owners = [at for at, each in enumerate(sets) for _ in each or []]
        ids = ids_of(dataset)
        codes = label_indices(given, self.labels, place, [ids[at] for at in owners])
        marks = np.zeros((len(sets), len(self.labels)), np.float32)
        marks[owners, codes] = 1
        marks[[each is None for each in sets]] = np.nan
        return marks

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Predictions of a regression in the unit of the column, float64.

        >>> LabelSpec("views", "regression", log1p=True).inverse(np.log1p([99.0])).round(9).tolist()
        [99.0]
        """
        found = np.asarray(values, np.float64)
        return np.expm1(found) if self.log1p else found

    def decode(self, choices: np.ndarray) -> list[str] | list[list[str]]:
        """Choices as names of classes.

        Args:
            choices: ``(rows,)`` class indices; multi-label: ``(rows, classes)`` of 0 and 1.

        >>> LabelSpec("y", "binary", ["no", "yes"]).decode(np.array([1, 0]))
        ['yes', 'no']
        >>> LabelSpec("y", "multi_label", ["a", "b"]).decode(np.array([[1, 1], [0, 0]]))
        [['a', 'b'], []]
        """
        if self.task == "multi_label":
            return [[self.labels[at] for at in np.flatnonzero(row)] for row in choices]
        return [self.labels[int(choice)] for choice in choices]


def fit_label(
    train: Dataset,
    column: str,
    place: str,
    task: str = "classification",
    *,
    positive: str | None = None,
    log1p: bool = False,
) -> LabelSpec:
    """Learn the classes from the train split.

    Args:
        train: The train split.
        column: The column to predict.
        place: What to call the data in a message.
        task: A key of ``PROBLEM_TYPES``.
        positive: Binary: which class is the positive one; else the one called ``1``, ``true``,
            ``yes`` or ``positive``, else the rarer, else the last.
        log1p: Regression: whether to predict ``log(1 + y)``.

    Raises:
        UserError: No such task; too few classes, or for a binary model too many; no numbers.
    """
    if task not in PROBLEM_TYPES:
        raise UserError(f"no task '{task}'{nearest(task, PROBLEM_TYPES)}")
    if task == "regression":
        found = _targets(train, column, log1p, place)
        there = found[~np.isnan(found)]
        if len(np.unique(there)) < 2:
            raise UserError(f"{place}: column '{column}' has fewer than two numbers in train")
        return LabelSpec(column, task, [], log1p)
    if task == "multi_label":
        sets = label_sets(train, column, place)
        names = [name for each in sets for name in each or []]
        needed = 1
    else:
        names = [name for name in label_values(train, column) if name is not None]
        needed = 2
    labels = sorted(set(names))
    if len(labels) < needed:
        few = "two" if needed == 2 else "one"
        raise UserError(
            f"{place}: column '{column}' has {len(labels)} class(es) in train; need {few}"
        )
    if task == "binary":
        labels = _negative_first(labels, names, positive, column, place)
    return LabelSpec(column, task, labels)


def _negative_first(
    labels: list[str], names: Sequence[str], positive: str | None, column: str, place: str
) -> list[str]:
    if len(labels) > 2:
        raise UserError(
            f"{place}: column '{column}' has {len(labels)} classes in train, and a binary model "
            "has two: use the task 'classification'"
        )
    if positive is not None and positive not in labels:
        raise UserError(
            f"{place}: column '{column}' has no class '{positive}'{nearest(positive, labels)}"
        )
    called = [label for label in labels if label.lower() in _POSITIVE]
    counts = [names.count(label) for label in labels]
    rarer = labels[0] if counts[0] < counts[1] else labels[1]
    chosen = positive or (called[0] if len(called) == 1 else rarer)
    return [next(label for label in labels if label != chosen), chosen]


def label_sets(dataset: Dataset, column: str, place: str) -> list[list[str] | None]:
    """The labels of a column of lists; None for a row without a list.

    Raises:
        UserError: It does not hold lists.
    """
    found: list[list[str] | None] = []
    for rows in batches(dataset, [column], place):
        values = rows.column(column)
        if not is_list(values.type) and not pa.types.is_null(values.type):
            raise UserError(
                f"{place}: column '{column}' holds {values.type}; a multi-label model needs lists "
                "of labels"
            )
        found += [None if each is None else _texts(each) for each in values.to_pylist()]
    return found


def _texts(values: Sequence[object]) -> list[str]:
    found = [text_of(value) for value in values]
    return [text for text in found if text and text.strip()]


def _targets(dataset: Dataset, column: str, log1p: bool, place: str) -> np.ndarray:
    blocks = [_block(rows, column, log1p) for rows in batches(dataset, [column], place)]
    return np.concatenate(blocks) if blocks else np.empty(0)


def _block(rows: Rows, column: str, log1p: bool) -> np.ndarray:
    values = numbers(rows, column)
    if not log1p:
        return values
    low = values <= -1
    if low.any():
        raise rows.error(
            low.argmax(), f"'{column}' is {values[low.argmax()]:g}, and log1p needs more than -1"
        )
    return np.log1p(values)


def ids_of(dataset: Dataset) -> list[str]:
    """The rows' ids, or their positions."""
    from hfpipe.inputs.splits import row_ids

    return row_ids(dataset)
