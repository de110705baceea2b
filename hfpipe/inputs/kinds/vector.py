"""A vector: a list of numbers, of the same length in every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from hfpipe.errors import UserError
from hfpipe.inputs.kinds._base import Encoded, Kind, lacking, one_column
from hfpipe.inputs.kinds._numbers import finite_floats, packed, tensor, vectors
from hfpipe.inputs.reading import Rows, batches
from hfpipe.recipe import Input

if TYPE_CHECKING:
    import torch
    from datasets import Dataset


@dataclass(frozen=True)
class VectorInput(Kind):
    """A column of vectors.

    Attributes:
        columns: The one column.
        dim: Numbers a vector.
        optional: Whether rows may have none: zeros stand in for it, and ``present`` says so.
    """

    options: ClassVar[tuple[str, ...]] = ("optional",)
    readable: ClassVar[bool] = False

    dim: int
    optional: bool = False
    kind: str = "vector"

    @classmethod
    def fit(cls, train: Dataset, spec: Input, name: str, place: str) -> Self:
        """Lock the dimension, by the first vector."""
        column = one_column(spec, name)
        for rows in batches(train, [column], place):
            bounds, _ = vectors(rows.column(column), rows, column)
            lengths = np.diff(bounds)
            if lengths.any():
                return cls([column], int(lengths[lengths > 0][0]), spec.optional)
        raise UserError(f"{place}: column '{column}' has no vector in train: leave it out")

    def encode(self, rows: Rows, tool: Any = None) -> Encoded:
        """``values``: the bytes of ``(dim,)`` float32 a row, zeros where there is none.

        Raises:
            UserError: A vector has another dimension or numbers that are none, or is missing where
                that was not allowed; its row is named.
        """
        column = self.columns[0]
        bounds, items = vectors(rows.column(column), rows, column)
        lengths = np.diff(bounds)
        present = lengths > 0
        other = present & (lengths != self.dim)
        if other.any():
            row = other.argmax()
            raise rows.error(
                row, f"'{column}' has {lengths[row]} numbers, and {self.dim} at training"
            )
        if not self.optional and not present.all():
            raise rows.error(present.argmin(), lacking(self.columns))
        values = np.zeros((len(rows), self.dim), np.float32)
        owners = np.flatnonzero(present)
        values[present] = finite_floats(items, owners, rows, column).reshape(-1, self.dim)
        return Encoded({"values": packed(values), "present": pa.array(present)}, present)

    def collate(
        self,
        features: Sequence[Mapping[str, Any]],
        tool: Any = None,
        seeds: Sequence[int] | None = None,
    ) -> dict[str, torch.Tensor]:
        """``values`` ``(batch, dim)`` float32 and ``present`` ``(batch,)`` bool."""
        import torch

        values = tensor([each["values"] for each in features], np.float32)
        return {"values": values, "present": torch.tensor([each["present"] for each in features])}

    def schema(self) -> dict[str, Any]:
        """The dimension.

        >>> VectorInput(["video"], 384).schema()
        {'kind': 'vector', 'dim': 384}
        """
        return {"kind": "vector", "dim": self.dim}
