"""Names for what is kept: a hash of all that it is made of, and which rows are alike."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from hfpipe.inputs.encoding import RAW
from hfpipe.inputs.kinds._pictures import read_bytes

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import nn

    from hfpipe.inputs.collator import Collator

FORMAT = 2
"""Of the files, and of how they are named."""
BATCH = 500
NULL, SOME = b"\0", b"\1"


@dataclass(frozen=True)
class Distinct:
    """Rows of which some are alike.

    Attributes:
        digests: ``(distinct,)`` of 16 bytes each, sorted: the same rows in any order have the same.
        first: ``(distinct,)``: a row that has it.
        owner: ``(rows,)``: which one each row has.
        sizes: ``(distinct,)``: tokens and steps.
    """

    digests: np.ndarray
    first: np.ndarray
    owner: np.ndarray
    sizes: np.ndarray

    @property
    def name(self) -> bytes:
        """A hash of which rows there are."""
        return blake2b(self.digests.tobytes()).digest()


def distinct(rows: Dataset, columns: Sequence[str]) -> Distinct:
    """Which rows are alike in some columns.

    Images are alike where their files' contents are, whatever their paths.

    Args:
        rows: Of ``encode_rows``.
        columns: Those that are looked at.
    """
    view = rows.select_columns(sorted(columns)).with_format("arrow")
    found: list[bytes] = []
    sizes = [np.zeros(0, np.int64)]
    for start in range(0, len(view), BATCH):
        table = view[start : start + BATCH]
        arrays = [table.column(name).combine_chunks() for name in sorted(columns)]
        read = [_images if name.endswith(RAW) else row_bytes for name in sorted(columns)]
        parts = [bytes_of(each) for bytes_of, each in zip(read, arrays, strict=True)]
        found += [_hash(row) for row in zip(*parts, strict=True)]
        sizes.append(sum((_lengths(each) for each in arrays), np.zeros(table.num_rows, np.int64)))
    digests, first, owner = np.unique(
        np.frombuffer(b"".join(found), "S16"), return_index=True, return_inverse=True
    )
    return Distinct(digests, first, owner, np.concatenate(sizes)[first])


def row_bytes(column: pa.Array) -> list[bytes]:
    """The content of each row of a column, however it is cut and laid out in memory.

    >>> whole = pa.array([[1], [2, 3], None])
    >>> row_bytes(whole)[1:] == row_bytes(whole[1:]) == row_bytes(pa.array([[2, 3], None]))
    True
    """
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    there = column.is_valid().to_numpy(zero_copy_only=False).tolist()
    values = _contents(column)
    return [
        SOME + value if is_there else NULL for value, is_there in zip(values, there, strict=True)
    ]


def _images(column: pa.Array) -> list[bytes]:
    """A hash of each image; of one held as a path, of what the file has now.

    Its path alone would bring back vectors of a file that has been replaced since.
    """
    found = (read_bytes(value.as_py()) for value in column)
    return [NULL if each is None else SOME + blake2b(each).digest() for each in found]


def _contents(column: pa.Array) -> list[bytes]:
    """As above; what stands for a null means nothing."""
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        column = column.cast(pa.list_(kind.value_type))
        kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _lists(column)
    if pa.types.is_struct(kind):
        fields = [row_bytes(each) for each in column.flatten()]
        return [_joined(row) for row in zip(*fields, strict=True)]
    if _is_flat(kind):
        return _cut(*_raw(column), np.arange(len(column) + 1))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [each or b"" for each in column.to_pylist()]
    return [repr(each).encode() for each in column.to_pylist()]


def _lists(column: pa.Array) -> list[bytes]:
    offsets = column.offsets.to_numpy()
    values = column.values[int(offsets[0]) : int(offsets[-1])]
    offsets = offsets - offsets[0]
    if _is_flat(values.type) and not values.null_count:
        return _cut(*_raw(values), offsets)
    items = row_bytes(values)
    return [_joined(items[start:end]) for start, end in pairwise(offsets.tolist())]


def _is_flat(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _raw(column: pa.Array) -> tuple[bytes, int]:
    """The values one behind the other, and the bytes of each."""
    filled = column.fill_null(False if pa.types.is_boolean(column.type) else 0)
    values = np.ascontiguousarray(filled.to_numpy(zero_copy_only=False))
    return values.tobytes(), values.itemsize


def _cut(whole: bytes, width: int, offsets: np.ndarray) -> list[bytes]:
    ends = (offsets * width).tolist()
    return [whole[start:end] for start, end in pairwise(ends)]


def _joined(parts: Iterable[bytes]) -> bytes:
    """In one, with the length of each, so that no two lists of parts give the same."""
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def _hash(parts: Iterable[bytes]) -> bytes:
    return blake2b(_joined(parts), digest_size=16).digest()


def _lengths(column: pa.Array) -> np.ndarray:
    """Tokens or steps of each row: how long its list is, 0 of what is no list."""
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return np.zeros(len(column), np.int64)
    return np.asarray(np.diff(column.offsets.to_numpy()), np.int64)


def maker_digest(
    module: nn.Module, described: str, collator: Collator, inputs: Iterable[str]
) -> bytes:
    """A hash of what makes vectors of rows: it changes with any weight, setting or tool.

    Args:
        module: The weights, adapters included.
        described: What else there is to say of it.
        collator: Makes its batches.
        inputs: Those that it reads.
    """
    import torch
    import transformers

    digest = blake2b(f"{FORMAT} {transformers.__version__} {described}".encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    for name, each in module.named_modules():
        if hasattr(each, "lora_A"):  # how much an adapter counts is not among the weights
            digest.update(f"{name} {each.scaling} {each.disable_adapters}".encode())
    for each in sorted(inputs):
        kind = collator.processor.inputs[each]
        digest.update(f"{each} {json.dumps(kind.state(), sort_keys=True, default=str)}".encode())
        for name, array in sorted(kind.arrays().items()):
            digest.update(name.encode() + array.tobytes())
        digest.update(_tool(collator.tools.get(each)).encode())
    return digest.digest()


def _tool(tool: Any) -> str:
    """A tokenizer or an image processor, wherever it was loaded from."""
    if tool is None:
        return ""
    if hasattr(tool, "get_vocab"):
        settings = [tool.padding_side, tool.pad_token_id, tool.special_tokens_map]
        return repr([type(tool).__name__, *settings, sorted(tool.get_vocab().items())])
    return json.dumps(tool.to_dict(), sort_keys=True, default=str)
