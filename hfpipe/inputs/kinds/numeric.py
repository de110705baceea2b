"""Numbers: standardised, with the train split's median where one is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from hfpipe.errors import UserError, nearest
from hfpipe.inputs.kinds._base import Encoded, Kind
from hfpipe.inputs.kinds._numbers import Floats, numbers, packed, tensor
from hfpipe.inputs.reading import Rows, batches
from hfpipe.recipe import Input

if TYPE_CHECKING:
    import torch
    from datasets import Dataset


@dataclass(frozen=True)
class NumericInput(Kind):
    """Columns of numbers, each minus its mean, divided by its standard deviation.

    Attributes:
        columns: One number each.
        log1p: Those of them of which ``log(1 + x)`` is taken first.
        medians: ``(n,)``: what stands in for a missing number.
        means: ``(n,)``, of the numbers that are there.
        stds: ``(n,)``, of the same (population); 1 for a column that has one value only.
    """

    options: ClassVar[tuple[str, ...]] = ("log1p",)
    array_fields: ClassVar[tuple[str, ...]] = ("medians", "means", "stds")

    log1p: list[str]
    medians: list[float]
    means: list[float]
    stds: list[float]
    kind: str = "numeric"

    @classmethod
    def fit(cls, train: Dataset, spec: Input, name: str, place: str) -> Self:
        """Median, mean and standard deviation of each column."""
        logged = _logged(spec, name)
        found = cls(list(spec.columns), logged, [], [], [])
        blocks = [found._values(rows) for rows in batches(train, spec.columns, place)]
        figures = [
            _figures(np.concatenate([block[:, at] for block in blocks]), column, place)
            for at, column in enumerate(spec.columns)
        ]
        medians, means, stds = (list(each) for each in zip(*figures, strict=True))
        return cls(list(spec.columns), logged, medians, means, stds)

    def _values(self, rows: Rows) -> Floats:
        """``(rows, n)``, with logarithms where they are wanted, NaN where there is nothing."""
        values = np.empty((len(rows), len(self.columns)))
        for at, column in enumerate(self.columns):
            values[:, at] = numbers(rows, column)
            if column in self.log1p:
                low = values[:, at] <= -1
                if low.any():
                    worst = values[low.argmax(), at]
                    raise rows.error(
                        low.argmax(), f"'{column}' is {worst:g}, and log1p needs more than -1"
                    )
                values[:, at] = np.log1p(values[:, at])
        return values

    def encode(self, rows: Rows, tool: Any = None) -> Encoded:
        """``values`` and ``missing``: the bytes of ``(n,)`` float32 a row each.

        Raises:
            UserError: Text, infinity or a number too large for float32; its row is named.
        """
        values = self._values(rows)
        missing = np.isnan(values)
        filled = np.where(missing, self.medians, values)
        with np.errstate(over="ignore"):
            scaled = ((filled - self.means) / self.stds).astype(np.float32)
        large = ~np.isfinite(scaled)
        if large.any():
            row, at = np.argwhere(large)[0]
            raise rows.error(row, f"'{self.columns[at]}' is {values[row, at]:g}: too large")
        columns = {"values": packed(scaled), "missing": packed(missing.astype(np.float32))}
        present: np.ndarray = np.logical_not(missing.all(axis=1))
        return Encoded(columns, present)

    def collate(
        self,
        features: Sequence[Mapping[str, Any]],
        tool: Any = None,
        seeds: Sequence[int] | None = None,
    ) -> dict[str, torch.Tensor]:
        """``values`` and ``missing`` (1 where a number is missing), ``(batch, n)`` float32."""
        return {
            name: tensor([each[name] for each in features], np.float32)
            for name in ("values", "missing")
        }

    def schema(self) -> dict[str, Any]:
        """How many numbers there are."""
        return {"kind": "numeric", "n": len(self.columns)}


def _logged(spec: Input, name: str) -> list[str]:
    """The columns of which the logarithm is taken."""
    if isinstance(spec.log1p, bool):
        return list(spec.columns) if spec.log1p else []
    wanted = [spec.log1p] if isinstance(spec.log1p, str) else spec.log1p
    if not isinstance(wanted, list):
        raise UserError(f"data.inputs.{name}.log1p: '{wanted}': give true, false or column names")
    for column in wanted:
        if column not in spec.columns:
            raise UserError(
                f"data.inputs.{name}.log1p: no column '{column}' in its columns"
                f"{nearest(str(column), spec.columns)}"
            )
    return [str(column) for column in wanted]


def _figures(values: Floats, column: str, place: str) -> tuple[float, float, float]:
    """Median, mean and standard deviation of what is there."""
    what = f"{place}: column '{column}'"
    there = values[~np.isnan(values)]
    if not len(there):
        raise UserError(f"{what} has no number in train: leave it out")
    with np.errstate(over="ignore", invalid="ignore"):
        median, mean, std = float(np.median(there)), float(there.mean()), float(there.std())
    if not np.isfinite([median, mean, std]).all():
        raise UserError(f"{what} has numbers too large to be standardised: use log1p")
    # Rounding leaves a tiny spread where all are the same, and dividing by it would blow up others.
    constant = there.min() == there.max() or std == 0
    return median, float(there[0]) if constant else mean, 1.0 if constant else std
