"""A sequence of vectors of one dimension, as many as a row has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hfpipe.errors import UserError
from hfpipe.inputs.kinds._base import Encoded, Kind, one_column
from hfpipe.inputs.kinds._numbers import finite_floats, is_list, packed_runs, vectors
from hfpipe.inputs.reading import Rows, batches
from hfpipe.recipe import Input

if TYPE_CHECKING:
    import torch
    from datasets import Dataset


@dataclass(frozen=True)
class VectorSequenceInput(Kind):
    """A column of lists of vectors.

    Attributes:
        columns: The one column.
        dim: Numbers a vector.
        max_steps: Only the first so many vectors of a row are used, as ``hfpipe prepare --encode``
            encodes the first so many messages; None for all.
    """

    options: ClassVar[tuple[str, ...]] = ("max_steps",)
    readable: ClassVar[bool] = False
    batch_rows: ClassVar[int] = 100
    has_tokens: ClassVar[bool] = True

    dim: int
    max_steps: int | None = None
    kind: str = "vector_sequence"

    @classmethod
    def fit(cls, train: Dataset, spec: Input, name: str, place: str) -> Self:
        """Lock the dimension, by the first vector."""
        column = one_column(spec, name)
        if spec.max_steps is not None and spec.max_steps < 1:
            raise UserError(f"data.inputs.{name}.max_steps: {spec.max_steps}: give 1 or more")
        for rows in batches(train, [column], place, cls.batch_rows):
            lengths = np.diff(_steps(rows, column, None)[1])
            if lengths.any():
                return cls([column], int(lengths[lengths > 0][0]), spec.max_steps)
        raise UserError(f"{place}: column '{column}' has no vector in train: leave it out")

    def encode(self, rows: Rows, tool: Any = None) -> Encoded:
        """``values``: the bytes of ``(steps, dim)`` float32 a row.

        Raises:
            UserError: A sequence is empty, or has a vector of another dimension or with numbers
                that are none; its row is named.
        """
        column = self.columns[0]
        steps, bounds, items = _steps(rows, column, self.max_steps)
        counts = np.diff(steps)
        if not counts.all():
            raise rows.error(counts.argmin(), f"'{column}' is empty: leave such rows out")
        owners = np.repeat(np.arange(len(rows)), counts)
        lengths = np.diff(bounds)
        other = lengths != self.dim
        if other.any():
            at = int(other.argmax())
            row = owners[at]
            raise rows.error(
                row,
                f"'{column}' has {lengths[at]} numbers in vector {at - steps[row] + 1}, and "
                f"{self.dim} at training",
            )
        values = finite_floats(items, owners, rows, column)
        runs = packed_runs(values, steps * self.dim * values.itemsize)
        return Encoded({"values": runs}, np.ones(len(rows), bool), counts)

    def collate(
        self,
        features: Sequence[Mapping[str, Any]],
        tool: Any = None,
        seeds: Sequence[int] | None = None,
    ) -> dict[str, torch.Tensor]:
        """``values`` ``(batch, steps, dim)`` float32, zeros behind the last vector, and ``mask``.

        ``mask`` is ``(batch, steps)`` bool, true where there is a vector.
        """
        import torch

        flat = [np.frombuffer(each["values"], np.float32) for each in features]
        found = [each.reshape(-1, self.dim) for each in flat]
        longest = max(map(len, found))
        values = np.zeros((len(found), longest, self.dim), np.float32)
        mask = np.zeros((len(found), longest), bool)
        for row, each in enumerate(found):
            values[row, : len(each)] = each
            mask[row, : len(each)] = True
        return {"values": torch.from_numpy(values), "mask": torch.from_numpy(mask)}

    def schema(self) -> dict[str, Any]:
        """The dimension.

        >>> VectorSequenceInput(["messages"], 384).schema()
        {'kind': 'vector_sequence', 'dim': 384}
        """
        return {"kind": "vector_sequence", "dim": self.dim}


_Bounds = npt.NDArray[np.int64]


def _steps(rows: Rows, column: str, most: int | None) -> tuple[_Bounds, _Bounds, pa.Array]:
    """``(rows + 1,)`` bounds of each row's vectors, ``(vectors + 1,)`` of their numbers, these."""
    values = rows.column(column)
    if pa.types.is_null(values.type):
        return np.zeros(len(rows) + 1, np.int64), np.zeros(1, np.int64), pa.array([], pa.float32())
    if not is_list(values.type) or not _holds_vectors(values.type):
        raise UserError(
            f"{rows.place}: column '{column}' holds {values.type}, not lists of vectors"
        )
    if most is not None:
        values = pc.list_slice(values, 0, most, return_fixed_size_list=False)
    steps, inner = vectors(values, rows, column)
    if isinstance(inner, pa.ExtensionArray):
        inner = inner.storage
    bounds, items = vectors(inner, rows, column)
    return steps, bounds, items


def _holds_vectors(kind: pa.DataType) -> bool:
    inner = kind.value_type
    return is_list(inner) or pa.types.is_null(inner)
