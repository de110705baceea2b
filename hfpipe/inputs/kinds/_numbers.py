"""Arrow columns as numbers, and tensors as the bytes that are kept of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hfpipe.errors import UserError
from hfpipe.inputs.reading import Rows

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float64]


def numbers(rows: Rows, column: str) -> Floats:
    """A column as ``(rows,)`` float64: booleans as 0 and 1, NaN where a value is missing.

    Text counts as the number that it spells, and as missing where it is blank.

    Raises:
        UserError: A value is infinite or no number; its row is named.

    >>> numbers(Rows(pa.table({"n": ["1.5", " ", None]}), ["a", "b", "c"]), "n").tolist()
    [1.5, nan, nan]
    """
    values = rows.column(column)
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        found = _spelt(values, rows, column)
    elif _is_number(kind):
        found = _cast(values, pa.float64()).to_numpy(zero_copy_only=False)
    else:
        raise UserError(
            f"{rows.place}: column '{column}' holds {kind}; a numeric input needs numbers"
        )
    endless = np.isinf(found)
    if endless.any():
        raise rows.error(endless.argmax(), f"'{column}' is infinite: repair it, or leave it empty")
    return found


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    return pa.types.is_null(kind) or any(test(kind) for test in tests)


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    # Not safe: integers beyond 2**53 are rounded.
    return values.cast(kind, safe=False)


def _spelt(values: pa.Array, rows: Rows, column: str) -> Floats:
    bare = pc.utf8_trim_whitespace(values)
    filled = pc.if_else(pc.equal(bare, ""), None, bare)
    found = np.full(len(rows), np.nan)
    for position, text in enumerate(filled.to_pylist()):
        if text is None:
            continue
        try:
            found[position] = float(text)
        except ValueError:
            complaint = f"'{column}' is '{text[:60]}', which is no number"
            raise rows.error(position, complaint) from None
    return found


def vectors(values: pa.Array, rows: Rows, column: str) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """A column of lists, without looking into them.

    Returns:
        ``(rows + 1,)`` bounds of each row's items (an empty range where it has no list), and the
        items, in one piece.

    Raises:
        UserError: It does not hold lists.
    """
    kind = values.type
    if pa.types.is_null(kind):
        return np.zeros(len(values) + 1, np.int64), pa.array([], pa.float32())
    if not is_list(kind):
        raise UserError(
            f"{rows.place}: column '{column}' holds {kind}, not lists of numbers"
            + (": datasets prepared as CSV cannot hold them" if pa.types.is_string(kind) else "")
        )
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    # flatten leaves out what null rows may have below them; a fixed-size list's would else stay.
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), values.flatten()


def is_list(kind: pa.DataType) -> bool:
    """Whether an Arrow type is one of lists.

    >>> is_list(pa.list_(pa.int8())), is_list(pa.list_(pa.int8(), 2)), is_list(pa.int8())
    (True, True, False)
    """
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests)


def finite_floats(
    items: pa.Array, owners: npt.NDArray[np.int64], rows: Rows, column: str
) -> npt.NDArray[np.float32]:
    """The numbers of vectors as float32.

    Args:
        items: All numbers of all vectors.
        owners: ``(numbers,)``: the row of each, or, where vectors have one length, ``(vectors,)``.
        rows: For messages.
        column: For messages.

    Raises:
        UserError: They are no numbers, or one is missing, NaN or too large; its row is named.
    """
    if not _is_number(items.type):
        raise UserError(f"{rows.place}: column '{column}' holds {items.type}; vectors need numbers")
    with np.errstate(over="ignore"):
        found = _cast(items, pa.float64() if pa.types.is_decimal(items.type) else items.type)
        found = np.asarray(_cast(found, pa.float32()).to_numpy(zero_copy_only=False), np.float32)
    bad = ~np.isfinite(found)
    if bad.any():
        row = owners[bad.argmax() * len(owners) // len(found)]
        raise rows.error(row, f"'{column}' has a number that is missing, NaN or infinite")
    return found


def packed(values: npt.NDArray[np.generic]) -> pa.Array:
    """The rows of a matrix as the bytes of each.

    >>> unpacked([row.as_py() for row in packed(np.array([[1, 2]], np.float32))], np.float32)
    array([[1., 2.]], dtype=float32)
    """
    values = np.ascontiguousarray(values)
    width = values.itemsize * values.shape[1]
    return packed_runs(values, np.arange(len(values) + 1, dtype=np.int64) * width)


def packed_runs(values: npt.NDArray[np.generic], bounds: npt.NDArray[np.int64]) -> pa.Array:
    """Runs of an array's bytes, from bound to bound, one a row."""
    buffers = [None, pa.py_buffer(bounds.tobytes()), pa.py_buffer(values.tobytes())]
    return pa.Array.from_buffers(pa.large_binary(), len(bounds) - 1, buffers)


def unpacked(rows: Sequence[bytes], dtype: type[np.generic]) -> np.ndarray:
    """What ``packed`` packed: ``(rows, numbers)``."""
    return np.frombuffer(b"".join(rows), dtype).reshape(len(rows), -1).copy()


def tensor(rows: Sequence[bytes], dtype: type[np.generic]) -> torch.Tensor:
    """What ``packed`` packed, as a tensor ``(rows, numbers)``."""
    import torch

    return torch.from_numpy(unpacked(rows, dtype))
