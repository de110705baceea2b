"""Sequences of vectors that a caller holds in memory, as rows for the encoder and the collator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfpipe.errors import UserError, nearest
from hfpipe.inputs.encoding import encode_rows
from hfpipe.inputs.kinds.vector_sequence import VectorSequenceInput
from hfpipe.inputs.processor import Processor

if TYPE_CHECKING:
    from datasets import Dataset

Data = Sequence[tuple[Any, ...]] | Mapping[str, Sequence[Any]]
"""Rows ``(vectors, label)`` or ``(vectors, label, group)``; or a mapping of ``FIELDS`` to lists.

``vectors`` is ``(steps, dim)``: an array, a tensor or a list of lists. ``label`` is 0 or 1,
``group`` names whose sequence it is.
"""
FIELDS = ("sequences", "labels", "groups")


@dataclass(frozen=True)
class SequenceRows:
    """Rows whose shapes and labels are as they must be; the numbers are the encoder's to check.

    Attributes:
        sequences: ``(steps, dim)`` float32 each.
        labels: ``(rows,)`` float32, 0 or 1.
        groups: ``(rows,)`` whose each is, where that was told.
        place: What to call the rows in a message.
    """

    sequences: list[npt.NDArray[np.float32]]
    labels: npt.NDArray[np.float32]
    groups: npt.NDArray[Any] | None
    place: str

    @classmethod
    def read(cls, data: Data, place: str) -> Self:
        """Take rows as a caller gives them.

        >>> rows = SequenceRows.read([([[0.5, 1.0]], 1, "ada")], "train")
        >>> rows.sequences[0].shape, rows.labels.tolist(), rows.groups.tolist()
        ((1, 2), [1.0], ['ada'])

        Raises:
            UserError: No rows, one that is no pair, vectors that are not ``(steps, dim)``, a label
                that is neither 0 nor 1, a missing or unknown field, another number of labels.
        """
        fields = _fields(data, place)
        sequences = [_array(each, at, place) for at, each in enumerate(fields["sequences"])]
        labels = [_label(each, at, place) for at, each in enumerate(fields["labels"])]
        groups = fields.get("groups")
        if not sequences:
            raise UserError(f"{place}: no sequence")
        for name, count in (("labels", len(labels)), ("groups", len(groups or sequences))):
            if count != len(sequences):
                raise UserError(f"{place}: {len(sequences)} sequences but {count} {name}")
        names = None if groups is None else np.asarray([str(each) for each in groups])
        return cls(sequences, np.asarray(labels, np.float32), names, place)

    def check_both_classes(self) -> None:
        """Refuse rows of one class only: there is nothing to learn, and no threshold to choose.

        Raises:
            UserError: See above.
        """
        for label in (0, 1):
            if not (self.labels == label).any():
                raise UserError(f"{self.place}: no sequence has label {label}; it needs both")

    def owners(self) -> npt.NDArray[Any]:
        """The group of each row.

        Raises:
            UserError: They were not told.
        """
        if self.groups is None:
            raise UserError(
                f"{self.place}: whose is each sequence? Give 'groups', or (vectors, label, group)"
            )
        return self.groups

    def encode(self, processor: Processor) -> Dataset:
        """Rows for the ``Collator``, with labels.

        Args:
            processor: Of one ``vector_sequence``.

        Raises:
            UserError: A sequence is empty, of another dimension than the processor's, or has a
                number that is none; its row is named.
        """
        from datasets import Dataset

        (column,) = processor.columns
        table = pa.table({column: _column(self.sequences)})
        return encode_rows(
            processor, Dataset(table), {}, self.place, labels=self.labels, quiet=True
        )


def sequence_processor(inputs: Mapping[str, Mapping[str, Any]]) -> Processor:
    """What encodes such rows, by the ``inputs`` of a sequence model's config.

    >>> sequence_processor({"sequence": {"kind": "vector_sequence", "dim": 4}}).schema()
    {'sequence': {'kind': 'vector_sequence', 'dim': 4}}
    """
    ((name, spec),) = inputs.items()
    kept = {name: VectorSequenceInput([name], spec["dim"])}
    return Processor(kept, "label", ["0", "1"], "binary")


def _fields(data: Data, place: str) -> Mapping[str, Sequence[Any]]:
    if isinstance(data, Mapping):
        for name in data:
            if name not in FIELDS:
                raise UserError(f"{place}: no field '{name}'{nearest(str(name), FIELDS)}")
        for name in FIELDS[:2]:
            if name not in data:
                raise UserError(f"{place}: no '{name}'")
        return {name: list(each) for name, each in data.items() if each is not None}
    rows = list(data)
    size = len(rows[0]) if rows and isinstance(rows[0], tuple | list) else 2
    for at, row in enumerate(rows):
        if not isinstance(row, tuple | list) or len(row) != size or size not in (2, 3):
            raise UserError(
                f"{place}: row '{at}': give (vectors, label) in every row, or in every row "
                "(vectors, label, group)"
            )
    return dict(zip(FIELDS, map(list, zip(*rows, strict=True)), strict=False)) or {
        name: [] for name in FIELDS[:2]
    }


def _array(vectors: Any, at: int, place: str) -> npt.NDArray[np.float32]:
    if hasattr(vectors, "detach"):
        vectors = vectors.detach().float().cpu().numpy()
    try:
        # What is too large for float32 becomes infinite, which the encoder refuses.
        with np.errstate(over="ignore"):
            found = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError):
        raise UserError(
            f"{place}: row '{at}': its vectors are not numbers, or not of one dimension"
        ) from None
    if found.ndim != 2 and found.size:
        raise UserError(f"{place}: row '{at}': its vectors are {found.shape}, not (steps, dim)")
    return found.reshape(0, 0) if not found.size else found


def _label(label: Any, at: int, place: str) -> float:
    if np.ndim(label) == 0 and label in (0, 1):
        return float(label)
    raise UserError(f"{place}: row '{at}': label {label!r} is neither 0 nor 1")


def _column(sequences: Sequence[npt.NDArray[np.float32]]) -> pa.Array:
    """The sequences as an Arrow column of lists of lists, without a Python number."""
    steps = np.cumsum([0, *(len(each) for each in sequences)])
    lengths = np.repeat([each.shape[1] for each in sequences], [len(each) for each in sequences])
    numbers = np.concatenate([each.ravel() for each in sequences])
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    vectors = pa.LargeListArray.from_arrays(pa.array(bounds), pa.array(numbers))
    return pa.LargeListArray.from_arrays(pa.array(steps), vectors)
