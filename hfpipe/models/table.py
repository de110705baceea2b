"""Rows as arrays, one for each kind of column, and the numbers that a regression learns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """The columns of some rows, each kind in one array.

    Attributes:
        numeric: (rows, n) floats, missing ones filled in.
        categories: (rows, n) codes from 0, 0 for an unknown one.
        vectors: (rows, dim) the fused vector.
    """

    numeric: Floats
    categories: npt.NDArray[np.int64]
    vectors: Floats

    @classmethod
    def of(cls, vectors: npt.ArrayLike, numeric: Any = None, categories: Any = None) -> Table:
        """Take what there is; a kind without columns may be left out.

        >>> table = Table.of([[0.5, 1.0]], categories=[[3]])
        >>> table.widths()
        {'numeric': 0, 'categories': 1, 'vectors': 2}

        Raises:
            UserError: Other numbers of rows, or a number that is not finite.
        """
        fused = np.asarray(vectors, dtype=np.float64)
        none = np.empty((len(fused), 0))
        table = cls(
            np.asarray(none if numeric is None else numeric, dtype=np.float64),
            np.asarray(none if categories is None else categories).astype(np.int64),
            fused,
        )
        table._check()
        return table

    def widths(self) -> dict[str, int]:
        """Columns of each kind."""
        return {item.name: getattr(self, item.name).shape[1] for item in fields(self)}

    def rows(self, chosen: npt.NDArray[Any]) -> Table:
        """Some of the rows."""
        return Table(*(getattr(self, item.name)[chosen] for item in fields(self)))

    def __len__(self) -> int:
        return len(self.vectors)

    def _check(self) -> None:
        for item in fields(self):
            values = getattr(self, item.name)
            if values.ndim != 2 or len(values) != len(self):
                raise UserError(
                    f"{item.name} have shape {values.shape}, but there are {len(self)} rows of "
                    "vectors: they must be (rows, columns)"
                )
            broken = np.argwhere(~np.isfinite(values))
            if len(broken):
                row, column = broken[0]
                raise UserError(
                    f"row {row + 1}: column {column + 1} of {item.name} is not a finite number "
                    f"({len(broken)} such values)"
                )


def as_goals(table: Table, targets: npt.ArrayLike, fewest: int) -> Floats:
    """Targets as (rows,) float64, checked against their rows.

    Raises:
        UserError: Another number than rows, not finite, or fewer than the model needs.
    """
    goals = np.asarray(targets, dtype=np.float64).reshape(-1)
    if len(goals) != len(table):
        raise UserError(f"{len(goals)} targets for {len(table)} rows")
    if not np.isfinite(goals).all():
        row = np.flatnonzero(~np.isfinite(goals))[0] + 1
        raise UserError(f"row {row}: its target is not a finite number")
    if len(goals) < fewest:
        raise UserError(f"{len(goals)} train rows are too few for this model: it needs {fewest}")
    return goals
