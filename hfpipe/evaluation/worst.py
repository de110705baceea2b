"""The slices that a model does worst on, found by itself and told only where it is certain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from hfpipe.metrics.tasks import Task


def worst_slices(
    task: Task,
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    columns: Mapping[str, Sequence[Any]],
    threshold: Any = None,
    *,
    metric: str | None = None,
    support: int | None = None,
    most: int = 5,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Slices that are clearly worse than the other rows, worst first, in the record's form."""
    raise NotImplementedError
