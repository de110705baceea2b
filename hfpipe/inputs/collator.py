"""Encoded rows to the tensors of a batch."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hfpipe.errors import UserError
from hfpipe.inputs.encoding import LABELS
from hfpipe.inputs.processor import Processor
from hfpipe.rows.identity import ROW_ID

EPOCH = "epoch"
"""What a row of training says beside its columns; an input's column has a dot in its name."""


@dataclass(frozen=True)
class Collator:
    """Pads each batch to what is longest in it, decodes its images, and stacks its labels.

    Attributes:
        processor: What encoded the rows.
        tools: Input name → tokenizer or image processor of the base model.
        seed: Of the random changes to the inputs of training; None, as for evaluation, for none.
            Those of a row depend on the seed, the epoch (the row's ``EPOCH``, as ``StepRows`` sets
            it) and the row alone: so they differ from epoch to epoch, however a step is cut into
            batches, and a run that was interrupted goes on with the same ones.
        flat: For a stock model: its one input's tensors beside the labels, without ``present``.
    """

    processor: Processor
    tools: Mapping[str, Any]
    seed: int | None = None
    flat: bool = False

    def __post_init__(self) -> None:
        if self.flat and len(self.processor.inputs) != 1:
            raise UserError(
                f"a stock model takes one input, and the recipe has {len(self.processor.inputs)}: "
                f"{', '.join(self.processor.inputs)}"
            )

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The batch.

        Args:
            rows: Of ``encode_rows``.

        Returns:
            ``{"inputs": {name: {tensor name: tensor}}, "labels": tensor}``; ``labels`` only where
            the rows have some: ``(batch,)`` int64 or float32, or ``(batch, classes)`` float32.

        Raises:
            UserError: An image cannot be decoded; its row is named.
        """
        import torch

        seeds = None if self.seed is None else [_row_seed(self.seed, row) for row in rows]
        inputs = self.inputs_of(rows, seeds)
        batch: dict[str, Any] = {"inputs": inputs}
        if self.flat:
            (batch,) = inputs.values()
            batch = {name: tensor for name, tensor in batch.items() if name != "present"}
        if rows and LABELS in rows[0]:
            labels = torch.tensor(np.asarray([row[LABELS] for row in rows]))
            batch[LABELS] = labels.float() if labels.is_floating_point() else labels.long()
        return batch

    @property
    def read(self) -> list[str]:
        """The inputs that are made tensors of."""
        return list(self.processor.inputs)

    @property
    def reads_tokens(self) -> bool:
        """Whether there are tokens or steps among them."""
        return any(self.processor.inputs[name].has_tokens for name in self.read)

    def inputs_of(
        self, rows: Sequence[Mapping[str, Any]], seeds: Sequence[int] | None
    ) -> dict[str, Any]:
        """Input name → its tensors; ``seeds`` as for ``Kind.collate``."""
        return {
            name: self.processor.inputs[name].collate(
                _features(name, rows), self.tools.get(name), seeds
            )
            for name in self.read
        }


def _features(name: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One input's features, and the row's id for messages."""
    start = f"{name}."
    own = {column: column.removeprefix(start) for column in rows[0] if column.startswith(start)}
    return [
        {ROW_ID: row[ROW_ID], **{feature: row[column] for column, feature in own.items()}}
        for row in rows
    ]


def _row_seed(seed: int, row: Mapping[str, Any]) -> int:
    """A seed of this very row in this epoch.

    >>> row = {"row_id": "a"}
    >>> _row_seed(1, row) == _row_seed(1, row | {EPOCH: 0})
    True
    >>> len({_row_seed(1, row), _row_seed(2, row), _row_seed(1, row | {EPOCH: 1})})
    3
    """
    return zlib.crc32(f"{seed}\0{row.get(EPOCH, 0)}\0{row[ROW_ID]}".encode())
