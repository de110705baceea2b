"""The leak slice: which scored rows have a near-duplicate in train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hfpipe.inputs.processor import Processor

if TYPE_CHECKING:
    from datasets import Dataset

LEAKED, CLEAN = "leaked", "clean"


@dataclass(frozen=True)
class Leaks:
    """What was found of each scored row.

    Attributes:
        column: ``leaked`` or ``clean``.
        similarity: ``(rows,)`` to the nearest train row, 0 to 1; NaN where there is nothing to
            compare.
        nearest: The row id of that train row; None where there is nothing to compare.
        how: What was compared, in words.
    """

    column: list[str]
    similarity: npt.NDArray[np.float64]
    nearest: list[str | None]
    how: str


def near_duplicates_in_train(
    processor: Processor,
    train: Dataset,
    rows: Dataset,
    threshold: float = 0.9,
    *,
    train_processor: Processor | None = None,
) -> Leaks:
    """Find the scored rows that a train row resembles in every input."""
    raise NotImplementedError
