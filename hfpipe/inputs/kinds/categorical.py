"""Categories: each column's values of the train split, numbered from 1; 0 for all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfpipe.errors import UserError
from hfpipe.inputs.kinds._base import Encoded, Kind
from hfpipe.inputs.kinds._numbers import packed, tensor
from hfpipe.inputs.reading import Rows, batches
from hfpipe.recipe import Input
from hfpipe.rows.values import text_of

if TYPE_CHECKING:
    import torch
    from datasets import Dataset

UNKNOWN = 0


@dataclass(frozen=True)
class CategoricalInput(Kind):
    """Columns of categories.

    Attributes:
        columns: One category each.
        vocabularies: Column by column, its categories in order: the first has the code 1. What is
            missing, and what train did not have, has the code 0.
    """

    options: ClassVar[tuple[str, ...]] = ("max_categories",)

    vocabularies: list[list[str]]
    kind: str = "categorical"

    @classmethod
    def fit(cls, train: Dataset, spec: Input, name: str, place: str) -> Self:
        """The categories of each column.

        Raises:
            UserError: A column has more of them than allowed, or none.
        """
        seen: list[set[str]] = [set() for _ in spec.columns]
        for rows in batches(train, spec.columns, place):
            for categories, column in zip(seen, spec.columns, strict=True):
                categories.update(text for text in _categories(rows, column)[0] if text is not None)
        for categories, column in zip(seen, spec.columns, strict=True):
            _check_count(len(categories), column, spec.max_categories, name, place)
        return cls(list(spec.columns), [sorted(categories) for categories in seen])

    def codes(self, rows: Rows) -> npt.NDArray[np.int64]:
        """``(rows, n)`` codes."""
        codes = np.empty((len(rows), len(self.columns)), np.int64)
        for at, (column, vocabulary) in enumerate(
            zip(self.columns, self.vocabularies, strict=True)
        ):
            index = {category: code for code, category in enumerate(vocabulary, start=1)}
            texts, places = _categories(rows, column)
            known = [UNKNOWN if text is None else index.get(text, UNKNOWN) for text in texts]
            codes[:, at] = np.array([*known, UNKNOWN], np.int64)[places]
        return codes

    def unseen(self, rows: Rows) -> dict[str, int]:
        """Column to its rows with a category that train did not have."""
        codes = self.codes(rows)
        found = {}
        for at, column in enumerate(self.columns):
            texts, places = _categories(rows, column)
            there = np.array([*(text is not None for text in texts), False])[places]
            found[column] = int((there & (codes[:, at] == UNKNOWN)).sum())
        return found

    def encode(self, rows: Rows, tool: Any = None) -> Encoded:
        """``codes``: the bytes of ``(n,)`` int64 a row."""
        present = np.zeros(len(rows), bool)
        for column in self.columns:
            texts, places = _categories(rows, column)
            present |= np.array([*(text is not None for text in texts), False])[places]
        return Encoded({"codes": packed(self.codes(rows))}, present)

    def collate(
        self,
        features: Sequence[Mapping[str, Any]],
        tool: Any = None,
        seeds: Sequence[int] | None = None,
    ) -> dict[str, torch.Tensor]:
        """``codes``, ``(batch, n)`` long."""
        return {"codes": tensor([each["codes"] for each in features], np.int64)}

    def schema(self) -> dict[str, Any]:
        """How many codes each column has, the one for unknown among them.

        >>> CategoricalInput(["a"], [["x", "y"]]).schema()
        {'kind': 'categorical', 'sizes': [3]}
        """
        return {"kind": "categorical", "sizes": [len(each) + 1 for each in self.vocabularies]}


def _categories(rows: Rows, column: str) -> tuple[list[str | None], npt.NDArray[np.int64]]:
    """The distinct values as text, None for blank ones, and ``(rows,)`` which each row has.

    A missing value has the place behind the last.
    """
    values = rows.column(column)
    if pa.types.is_nested(values.type) or pa.types.is_binary(values.type):
        raise UserError(
            f"{rows.place}: column '{column}' holds {values.type}; a category is one value a row"
        )
    if pa.types.is_null(values.type):
        return [], np.zeros(len(values), np.int64)
    encoded = values.dictionary_encode()
    texts = [text_of(each) for each in encoded.dictionary.to_pylist()]
    places = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    return [text if text and text.strip() else None for text in texts], places.astype(np.int64)


def _check_count(count: int, column: str, limit: int, name: str, place: str) -> None:
    if not count:
        raise UserError(f"{place}: column '{column}' has no category in train: leave it out")
    if count > limit:
        raise UserError(
            f"{place}: column '{column}' has {count:,} categories in train, and at most {limit:,} "
            f"are allowed: leave it out, or raise data.inputs.{name}.max_categories"
        )
