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


@dataclass(frozen=True)
class Collator:
    """Pads each batch to what is longest in it, decodes its images, and stacks its labels.

    Attributes:
        processor: What encoded the rows.
        tools: Input name → tokenizer or image processor of the base model.
        seed: Of the random changes to the inputs of training; None, as for evaluation, for none.
            They depend on the seed and on which rows are in the batch, in which order: so they
            differ from epoch to epoch, and a run that was interrupted goes on with the same ones,
            whatever the number of workers.
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

        seed = None if self.seed is None else _batch_seed(self.seed, rows)
        inputs = self.inputs_of(rows, seed)
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

    def inputs_of(self, rows: Sequence[Mapping[str, Any]], seed: int | None) -> dict[str, Any]:
        """Input name → its tensors."""
        return {
            name: self.processor.inputs[name].collate(
                _features(name, rows), self.tools.get(name), seed
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


def _batch_seed(seed: int, rows: Sequence[Mapping[str, Any]]) -> int:
    """A seed of this very batch.

    >>> rows = [{"row_id": "a"}, {"row_id": "b"}]
    >>> _batch_seed(1, rows) == _batch_seed(1, rows), _batch_seed(1, rows) == _batch_seed(2, rows)
    (True, False)
    """
    named = "\0".join([str(seed), *(str(row[ROW_ID]) for row in rows)])
    return zlib.crc32(named.encode())
