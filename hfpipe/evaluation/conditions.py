"""Slices that every evaluation has: by length, by what is missing, by the size of the group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hfpipe.inputs.processor import Processor

if TYPE_CHECKING:
    from datasets import Dataset


def automatic_columns(
    processor: Processor, dataset: Dataset, groups: Sequence[str] | None = None
) -> dict[str, list[str | None]]:
    """Column to one value a row: ``length of INPUT``, ``missing: INPUT``, ``rows of the group``.

    Args:
        processor: Names the inputs.
        dataset: The rows.
        groups: Whose each row is, where that is known.
    """
    raise NotImplementedError
