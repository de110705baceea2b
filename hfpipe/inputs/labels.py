"""Labels: a column's values as text, and their place in the model's list of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError, nearest
from hfpipe.rows.values import text_of, whole_numbers

if TYPE_CHECKING:
    from datasets import Dataset


def label_values(dataset: Dataset, column: str, known: Sequence[str] = ()) -> list[str | None]:
    """The labels of a column as text; the names of a ``ClassLabel``, None where there is none.

    Numbers and booleans become the text that ``hfpipe prepare`` makes of them, and blank text is
    no label there either.

    Args:
        dataset: The rows.
        column: Their label.
        known: The model's labels, if there are any yet: ``1.0`` is meant as ``1`` where only that
            is one of them.

    >>> from datasets import ClassLabel, Dataset, Features
    >>> rows = Dataset.from_dict({"y": [1, 0]}, features=Features({"y": ClassLabel(names="ab")}))
    >>> label_values(rows, "y")
    ['b', 'a']
    >>> label_values(Dataset.from_dict({"y": [1.0, 2.0, None]}), "y")
    ['1', '2', None]
    >>> label_values(Dataset.from_dict({"y": ["1.0", " "]}), "y", ["1", "2"])
    ['1', None]
    """
    feature = dataset.features[column]
    names = getattr(feature, "names", None)
    values = list(dataset[column])
    if names:
        return [None if value is None or value < 0 else names[value] for value in values]
    found = [text_of(value) for value in values]
    texts = [text if text and text.strip() else None for text in found]
    return whole_numbers(texts) if known and not {*known, None}.issuperset(texts) else texts


def label_indices(
    truth: Sequence[str | None],
    labels: Sequence[str],
    what: str = "data",
    ids: Sequence[str] = (),
) -> npt.NDArray[np.int64]:
    """Class indices of true labels in the model's order, -1 where a row has none.

    Args:
        truth: True label or None a row.
        labels: The model's labels.
        what: Name of the data, for the message.
        ids: The rows' ids, if the message shall name the first row that is wrong.

    >>> label_indices(["b", None, "a"], ["a", "b"]).tolist()
    [1, -1, 0]

    Raises:
        UserError: A label that the model does not have.
    """
    index = {label: position for position, label in enumerate(labels)}
    unknown = sorted({true for true in truth if true is not None and true not in index})
    if unknown:
        more = f" (and {len(unknown) - 1} more labels)" if len(unknown) > 1 else ""
        row = f"row '{ids[list(truth).index(unknown[0])]}': " if len(ids) else ""
        raise UserError(
            f"{what}: {row}label '{unknown[0]}'{more} is not one of the model's {len(labels)}"
            f"{nearest(unknown[0], labels)}"
        )
    found = [-1 if true is None else index[true] for true in truth]
    return np.array(found, dtype=np.int64)
