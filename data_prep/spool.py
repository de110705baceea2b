"""Rows on disk, in the order of the input: what lets a corpus be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from hfpipe.rows.columns import agreed_schema, cast_table


class Batches(Protocol):
    """Where batches of rows lie: on this machine's disk, or in a cluster's memory."""

    def append(self, table: pa.Table) -> None:
        """Add a batch behind the others."""

    def table(self, index: int) -> pa.Table:
        """One batch, as it was added."""

    @property
    def sizes(self) -> list[int]:
        """Rows of each batch."""

    @property
    def schemas(self) -> list[pa.Schema]:
        """The schema of each batch."""


class DiskBatches:
    """Batches as Arrow files of a folder, read back by mapping them into memory.

    >>> import tempfile
    >>> batches = DiskBatches(Path(tempfile.mkdtemp()))
    >>> batches.append(pa.table({"a": [1, 2]}))
    >>> batches.table(0).to_pydict(), batches.sizes
    ({'a': [1, 2]}, [2])
    """

    def __init__(self, folder: Path) -> None:
        """Start empty.

        Args:
            folder: An existing folder; the caller removes it.
        """
        self.folder = folder
        self.sizes: list[int] = []
        self.schemas: list[pa.Schema] = []

    def append(self, table: pa.Table) -> None:
        """Write a batch."""
        path = str(self._file(len(self.sizes)))
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        self.sizes.append(table.num_rows)
        self.schemas.append(table.schema)

    def table(self, index: int) -> pa.Table:
        """Map a batch into memory: only what is looked at is read."""
        with pa.memory_map(str(self._file(index)), "rb") as source:
            return pa.ipc.open_file(source).read_all()

    def _file(self, index: int) -> Path:
        return self.folder / f"{index:06d}.arrow"


class Spool:
    """All rows of a corpus, by position.

    >>> import tempfile
    >>> spool = Spool(DiskBatches(Path(tempfile.mkdtemp())))
    >>> for part in ([1, 2], ["x"]):
    ...     spool.batches.append(pa.table({"a": part}))
    >>> spool.take(np.array([2, 0])).to_pydict()
    {'a': ['x', '1']}
    """

    def __init__(self, batches: Batches) -> None:
        """Rows that lie in ``batches``."""
        self.batches = batches
        self._schema: pa.Schema | None = None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(self.batches.sizes)

    @property
    def schema(self) -> pa.Schema:
        """The types on which all batches agree. To be asked for when all have been added."""
        if self._schema is None:
            self._schema = agreed_schema(self.batches.schemas)
        return self._schema

    def tables(self) -> Iterator[pa.Table]:
        """All batches, one after the other, in the agreed types."""
        for index in range(len(self.batches.sizes)):
            yield cast_table(self.batches.table(index), self.schema)

    def take(self, positions: np.ndarray) -> pa.Table:
        """Rows by position, in the order asked for."""
        if not len(positions):
            return self.schema.empty_table()
        bounds = np.concatenate([[0], np.cumsum(self.batches.sizes)])
        order = np.argsort(positions, kind="stable")
        ascending = positions[order]
        owners = np.searchsorted(bounds, ascending, side="right") - 1
        parts = []
        for index in np.unique(owners):
            held = ascending[owners == index] - bounds[index]
            parts.append(cast_table(self.batches.table(int(index)).take(held), self.schema))
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_tables(parts).combine_chunks().take(back)
