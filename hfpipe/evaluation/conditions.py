"""Slices that every evaluation has: by length, by what is missing, by the size of the group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hfpipe.evaluation.bins import Bin, quartiles
from hfpipe.inputs.kinds import Kind
from hfpipe.inputs.kinds._numbers import numbers, vectors
from hfpipe.inputs.kinds.categorical import CategoricalInput
from hfpipe.inputs.kinds.image import ImageInput
from hfpipe.inputs.kinds.numeric import NumericInput
from hfpipe.inputs.kinds.text import TextInput
from hfpipe.inputs.kinds.vector import VectorInput
from hfpipe.inputs.kinds.vector_sequence import VectorSequenceInput
from hfpipe.inputs.processor import Processor
from hfpipe.inputs.reading import Rows, batches

if TYPE_CHECKING:
    from datasets import Dataset

GROUP = "rows of the group"
GROUP_SIZES: Mapping[str, float] = MappingProxyType({"1": 1, "2-5": 5, "6-20": 20, "> 20": np.inf})
"""Name of a bin to the most rows that a group in it has."""
Counts = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]


def automatic_columns(
    processor: Processor, dataset: Dataset, groups: Sequence[str] | None = None
) -> dict[str, list[str | None]]:
    """What every row can be told apart by, whatever its columns hold.

    - ``length of INPUT``: words of a text (what white space parts), all its columns joined, or
      steps of a sequence of vectors, cut at the quartiles of these rows; None without a text.
    - ``missing: INPUT`` of an optional text, vector or image, and ``missing: COLUMN`` of each
      numeric and categorical column: ``missing`` or ``present``.
    - ``rows of the group``: how many of these rows are of the same group, as :data:`GROUP_SIZES`.

    A column with the same value in all rows is left out.

    Args:
        processor: Names the inputs.
        dataset: The rows.
        groups: Whose each row is, where that is known.

    Returns:
        Column to one value a row, in the order above. Lengths and sizes are
        :class:`hfpipe.evaluation.bins.Bin`, which keep their order.

    Raises:
        UserError: A row does not hold what train held; it is named.
    """
    found: dict[str, list[str | None]] = {}
    for name, kind in processor.inputs.items():
        if type(kind) in _LENGTHS:
            unit, measure = _LENGTHS[type(kind)]
            counts = _of_all_rows(partial(measure, kind), kind, dataset)
            found[f"length of {name}"] = _lengths(counts, unit)
    for name, kind in processor.inputs.items():
        for what, there in _presence(name, kind, dataset):
            found[f"missing: {what}"] = ["present" if each else "missing" for each in there]
    if groups is not None:
        found[GROUP] = group_sizes(groups)
    return {name: values for name, values in found.items() if len(set(values)) > 1}


def _lengths(counts: Counts, unit: str) -> list[str | None]:
    """Bins of lengths; None where there is nothing."""
    known = np.flatnonzero(counts)
    found: list[str | None] = [None] * len(counts)
    for at, name in zip(known, quartiles(counts[known], unit, f"{unit}s"), strict=True):
        found[at] = name
    return found


def group_sizes(groups: Sequence[str]) -> list[str | None]:
    """For every row the bin of its group's size.

    >>> group_sizes(["ada", "bob", "ada"])
    ['2-5', '1', '2-5']
    """
    rows = Counter(groups)
    bins = [Bin(name, at) for at, name in enumerate(GROUP_SIZES)]
    places = np.searchsorted(list(GROUP_SIZES.values()), [rows[each] for each in groups])
    return [bins[at] for at in places]


def _presence(name: str, kind: Kind, dataset: Dataset) -> Iterator[tuple[str, Marks]]:
    """What may be missing, and ``(rows,)`` whether it is there."""
    if isinstance(kind, (NumericInput, CategoricalInput)):
        there = _COLUMNS_PRESENT[type(kind)]
        for column in kind.columns:
            yield column, _of_all_rows(partial(there, column), kind, dataset)
    elif type(kind) in _PRESENT and getattr(kind, "optional", False):
        yield name, _of_all_rows(partial(_PRESENT[type(kind)], kind), kind, dataset)


def _of_all_rows(measure: Callable[[Rows], Any], kind: Kind, dataset: Dataset) -> Any:
    parts = [measure(rows) for rows in batches(dataset, kind.columns, "data", kind.batch_rows)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _words(kind: Any, rows: Rows) -> Counts:
    texts = kind.texts({column: rows.column(column).to_pylist() for column in kind.columns})
    return np.array([len(text.split()) for text in texts], np.int64)


def _steps(kind: Any, rows: Rows) -> Counts:
    bounds, _ = vectors(rows.column(kind.columns[0]), rows, kind.columns[0])
    counts: Counts = np.diff(bounds)
    return counts if kind.max_steps is None else np.minimum(counts, kind.max_steps)


def _images_there(kind: Any, rows: Rows) -> Marks:
    values = rows.column(kind.columns[0]).to_pylist()
    # A struct of bytes and path may be there with nothing in it.
    cells = [list(each.values()) if isinstance(each, dict) else [each] for each in values]
    return np.array([any(part is not None for part in cell) for cell in cells], bool)


def _vectors_there(kind: Any, rows: Rows) -> Marks:
    bounds, _ = vectors(rows.column(kind.columns[0]), rows, kind.columns[0])
    return np.diff(bounds) > 0


def _categories_there(column: str, rows: Rows) -> Marks:
    return CategoricalInput([column], [[]]).encode(rows).present


_LENGTHS: Mapping[type[Kind], tuple[str, Callable[[Any, Rows], Counts]]] = MappingProxyType(
    {TextInput: ("word", _words), VectorSequenceInput: ("step", _steps)}
)
_PRESENT: Mapping[type[Kind], Callable[[Any, Rows], Marks]] = MappingProxyType(
    {
        TextInput: lambda kind, rows: _words(kind, rows) > 0,
        VectorInput: _vectors_there,
        ImageInput: _images_there,
    }
)
_COLUMNS_PRESENT: Mapping[type[Kind], Callable[[str, Rows], Marks]] = MappingProxyType(
    {
        NumericInput: lambda column, rows: ~np.isnan(numbers(rows, column)),
        CategoricalInput: _categories_there,
    }
)
