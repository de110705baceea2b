"""Arrays in the cells of a table: how pieces of work lie in Ray's object store.

A piece of work is one row. So Ray moves, sorts and groups few rows, whatever they stand for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import pyarrow as pa

Content: TypeAlias = int | bytes | pa.Buffer | np.ndarray


def record(**content: Content) -> pa.Table:
    """A table of one row; everything but a number becomes bytes, and is not copied.

    >>> row = record(place=3, marks=np.array([1, 2], np.int32))
    >>> row.column("place").to_pylist(), arrays(row, "marks", np.int32)[0].tolist()
    ([3], [1, 2])
    """
    return pa.table({name: _cell(value) for name, value in content.items()})


def _cell(value: Content) -> pa.Array:
    if isinstance(value, int):
        return pa.array([value], pa.int64())
    data = pa.py_buffer(np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value)
    ends = pa.py_buffer(np.array([0, data.size], dtype=np.int64))
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, data])


def records(rows: Iterable[Mapping[str, Content]]) -> pa.Table:
    """A table of some such rows, at least one."""
    return pa.concat_tables([record(**row) for row in rows]).combine_chunks()


def buffers(table: pa.Table, name: str) -> list[pa.Buffer]:
    """The bytes of a column's cells, not copied."""
    found = []
    for chunk in table.column(name).chunks:
        _, ends, data = chunk.buffers()
        bounds = np.frombuffer(ends, dtype=np.int64)[chunk.offset :][: len(chunk) + 1].tolist()
        found += [data.slice(start, stop - start) for start, stop in pairwise(bounds)]
    return found


def arrays(table: pa.Table, name: str, kind: type, width: int = 0) -> list[np.ndarray]:
    """The arrays of a column's cells, not copied.

    Args:
        table: The table.
        name: The column.
        kind: Type of the numbers.
        width: Columns of each array; 0 where it has one dimension.
    """
    found: list[np.ndarray] = [
        np.frombuffer(cell, dtype=kind) if cell.size else np.empty(0, dtype=kind)
        for cell in buffers(table, name)
    ]
    return [array.reshape(-1, width) for array in found] if width else found


def numbers(table: pa.Table, name: str) -> list[int]:
    """The numbers of a column."""
    return table.column(name).to_pylist()  # type: ignore[no-any-return]


def written(table: pa.Table) -> pa.Buffer:
    """A table with its types as bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    sink.write(bytes(-sink.tell() % 64))  # so that the next cell is aligned in memory, too
    return sink.getvalue()


def read(content: pa.Buffer) -> pa.Table:
    """What :func:`written` wrote; its columns lie in those bytes.

    >>> read(written(pa.table({"a": [1, 2]}))).to_pydict()
    {'a': [1, 2]}
    """
    return pa.ipc.open_stream(content).read_all()


def slices(array: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Cut an array into parts of these lengths.

    >>> [part.tolist() for part in slices(np.arange(5), np.array([2, 0, 3]))]
    [[0, 1], [], [2, 3, 4]]
    """
    ends = np.cumsum(lengths)
    return (array[end - length : end] for end, length in zip(ends, lengths, strict=True))
