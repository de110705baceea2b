"""Optimizer steps, as ``StepSampler`` plans them, from a dataset's rows to tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from hfpipe.inputs.collator import EPOCH
from hfpipe.inputs.encoding import LABELS
from hfpipe.training.batches import Step

if TYPE_CHECKING:
    import datasets

IGNORED = -100


class StepRows(Dataset):
    """Rows of a dataset, read a whole optimizer step at a time.

    Args:
        rows: Encoded rows.
    """

    def __init__(self, rows: datasets.Dataset) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, step: Sequence[Sequence[int]]) -> list[list[dict[str, Any]]]:
        """The rows of each micro-batch, by one read; ``-1 - p`` is row p with an ignored label.

        Those of a ``Step`` say of which epoch it is: what is changed at random depends on it.
        """
        told = {EPOCH: step.epoch} if isinstance(step, Step) else {}
        places = [place for micro in step for place in micro]
        found = self.rows.__getitems__([p if p >= 0 else -1 - p for p in places])
        made = iter(
            {**(row if place >= 0 else _unlabelled(row)), **told}
            for row, place in zip(found, places, strict=True)
        )
        return [[next(made) for _ in micro] for micro in step]


def _unlabelled(row: dict[str, Any]) -> dict[str, Any]:
    """The row with a label that no loss counts: -100 for a class, NaN for numbers."""
    if LABELS not in row:
        return row
    label = np.asarray(row[LABELS])
    whole = label.ndim == 0 and label.dtype.kind in "biu"
    return {**row, LABELS: IGNORED if whole else np.full(label.shape, np.nan).tolist()}


@dataclass(frozen=True)
class StepCollator:
    """The tensors of an optimizer step, micro-batch by micro-batch.

    Attributes:
        collate: Rows of one micro-batch → its tensors.
    """

    collate: Callable[[list[dict[str, Any]]], Mapping[str, Any]]

    def __call__(self, step: Sequence[list[dict[str, Any]]]) -> dict[str, Any]:
        """``{"micro": batches}``, and ``labels`` of all their rows where they have some."""
        micro = [self.collate(rows) for rows in step]
        made: dict[str, Any] = {"micro": micro}
        if all(LABELS in batch for batch in micro):
            made[LABELS] = torch.cat([batch[LABELS] for batch in micro])
        return made
