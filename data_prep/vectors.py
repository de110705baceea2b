"""Vectors that a manifest points to, as columns: one a modality, and all of them fused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_prep.blocks import read_block
from data_prep.fusion import FUSIONS
from data_prep.shards import ShardFolder
from hfpipe.errors import UserError, nearest

_SUFFIXES = ("_emb_key", "_key")


@dataclass(frozen=True)
class VectorOptions:
    """What to read vectors from, and what to make of them.

    Attributes:
        columns: The columns that name a file each, as ``video_emb_key``.
        index: The column with the place of the row's vectors in each of its files, from 0.
        array: The array (npz) or column (Parquet) in a file.
        root: What the names are relative to, a folder or an fsspec URL; None for the manifest's
            folder.
        fusion: How the vectors of a row become one.
        name: The column of the fused vectors.
    """

    columns: list[str]
    index: str = "shard_idx"
    array: str = "vectors"
    root: str | None = None
    fusion: Literal["none", "concat", "sum_pool", "max_pool"] = "none"
    name: str = "fused"


def vector_options(block: Mapping[str, Any]) -> VectorOptions:
    """The options that a recipe's ``prepare.vectors`` block says.

    Raises:
        UserError: A key or value that cannot be meant.

    >>> vector_options({"columns": "video_emb_key,text_emb_key", "fusion": "concat"}).columns
    ['video_emb_key', 'text_emb_key']
    """
    options = read_block(VectorOptions, block, "prepare.vectors")
    names = [modality(column) for column in options.columns]
    for name in names:
        if names.count(name) > 1 or (options.fusion != "none" and name == options.name):
            raise UserError(
                f"prepare.vectors: two columns would be called '{name}': name every key column "
                "once, and the fused one otherwise (prepare.vectors.name)"
            )
    return options


def modality(column: str) -> str:
    """What a key column is about.

    >>> modality("video_emb_key"), modality("audio_key"), modality("file")
    ('video', 'audio', 'file_vector')
    """
    for suffix in _SUFFIXES:
        if column.endswith(suffix) and column != suffix:
            return column.removesuffix(suffix)
    return f"{column}_vector"


class VectorReader:
    """Reads vectors for rows, chunk after chunk, and sees to it that all have one shape."""

    def __init__(
        self,
        options: VectorOptions,
        root: str | Path,
        lock: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Get ready; nothing is opened yet.

        Args:
            options: What to read.
            root: The manifest's folder or URL; counts where the options name none.
            lock: The ``schema_lock`` of an earlier version of the dataset, to be held to.
        """
        self.options = options
        self._shards = ShardFolder(str(options.root or root), options.array)
        self._lock = {name: dict(each) for name, each in (lock or {}).items()}
        self._named: Sequence[Any] = ()

    @property
    def schema_lock(self) -> dict[str, dict[str, Any]]:
        """Dimension and float type of each modality that has been read, for ``prepare.json``."""
        return {name: dict(each) for name, each in self._lock.items()}

    def prime(self, table: pa.Table) -> None:
        """Settle the shape of every modality, by the first file that each key column names.

        With the whole manifest, all chunks get the same columns, also one that lacks a modality.

        Raises:
            UserError: As for ``read``.
        """
        unknown = [name for name in self.options.columns if modality(name) not in self._lock]
        for column in unknown:
            first = pc.drop_null(self._keys(table, column)).slice(0, 1)
            for key in first.to_pylist():
                self._vectors(modality(column), key)

    def read(
        self, table: pa.Table, row_ids: Sequence[str] | None = None
    ) -> tuple[pa.Table, dict[str, np.ndarray]]:
        """Add the vectors that rows point to.

        Args:
            table: Rows with the key columns and the index column.
            row_ids: Their ids, to name a row by in complaints; else it is named by its place.

        Returns:
            The table with a ``fixed_size_list<float32>[dim]`` column a modality, null where the
            row has no key, and the fused one; and, by reason, the positions (int64) of rows to be
            dropped: ``no_vector`` where no column names a file.

        Raises:
            UserError: A file, an index or a vector is not as it must be, named.
        """
        self.prime(table)
        self._named = row_ids if row_ids is not None else range(1, table.num_rows + 1)
        indices = self._indices(table)
        found: list[np.ndarray] = []
        present: list[np.ndarray] = []
        for column in self.options.columns:
            vectors, there = self._read_column(table, column, indices)
            found.append(vectors)
            present.append(there)
            table = _with_column(table, modality(column), _vector_array(vectors, there))
        mask = np.stack(present, axis=1)
        if self.options.fusion != "none":
            fused = FUSIONS[self.options.fusion](found, mask)
            everywhere = np.ones(len(fused), dtype=bool)
            table = _with_column(table, self.options.name, _vector_array(fused, everywhere))
        return table, {"no_vector": np.flatnonzero(~mask.any(axis=1))}

    def _read_column(
        self, table: pa.Table, column: str, indices: pa.Array
    ) -> tuple[np.ndarray, np.ndarray]:
        """(rows, dim) float32 with zeros where there is none, and (rows,) whether there is one."""
        name = modality(column)
        keys = self._keys(table, column).dictionary_encode()
        there = keys.is_valid().to_numpy(zero_copy_only=False)
        unplaced = np.flatnonzero(there & indices.is_null().to_numpy(zero_copy_only=False))
        if len(unplaced):
            raise UserError(
                f"{self._row(unplaced[0])} names a file in '{column}' but has no "
                f"'{self.options.index}': fill it in"
            )
        rows = np.zeros((len(there), self._dimension(column)), dtype=np.float32)
        places = indices.fill_null(-1).to_numpy(zero_copy_only=False)
        codes = keys.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(keys.dictionary) + 1))
        for code, key in enumerate(keys.dictionary.to_pylist()):
            chosen = order[bounds[code] : bounds[code + 1]]
            rows[chosen] = self._taken(name, key, chosen, places[chosen])
        return rows, there

    def _taken(self, name: str, key: str, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
        vectors = self._vectors(name, key)
        outside = np.flatnonzero((places < 0) | (places >= len(vectors)))
        if len(outside):
            raise UserError(
                f"{key}: {self._row(rows[outside[0]])} asks for vector {places[outside[0]]} "
                f"('{self.options.index}'), but it holds {len(vectors):,}, counted from 0"
            )
        with np.errstate(over="ignore"):  # what is too large for float32 is caught as infinite
            taken = vectors[places].astype(np.float32)
        broken = np.flatnonzero(~np.isfinite(taken).all(axis=1))
        if len(broken):
            raise UserError(
                f"{key}: vector {places[broken[0]]}, of {self._row(rows[broken[0]])}, holds NaN "
                "or infinity: mend it, or leave its key empty"
            )
        return taken

    def _row(self, place: Any) -> str:
        return f"row '{self._named[int(place)]}'"

    def _vectors(self, name: str, key: str) -> np.ndarray:
        """A shard's vectors, held to what the first shard of its modality looked like."""
        vectors = self._shards.vectors(key)
        seen = {"dim": vectors.shape[1], "dtype": str(vectors.dtype)}
        locked = self._lock.setdefault(name, seen)
        if locked["dim"] != seen["dim"]:
            raise UserError(
                f"{key}: vectors of dimension {seen['dim']}, where '{name}' has "
                f"{locked['dim']}: make all its shards with one model"
            )
        if locked["dtype"] != seen["dtype"]:
            raise UserError(
                f"{key}: vectors of type {seen['dtype']}, where '{name}' has "
                f"{locked['dtype']}: make all its shards in one way"
            )
        return vectors

    def _dimension(self, column: str) -> int:
        if modality(column) not in self._lock:
            raise UserError(
                f"no row names a file in '{column}', so that its dimension is unknown: leave it "
                "out of prepare.vectors.columns"
            )
        return int(self._lock[modality(column)]["dim"])

    def _keys(self, table: pa.Table, column: str) -> pa.Array:
        """A key column as text; what is blank is missing."""
        if column not in table.column_names:
            near = nearest(column, table.column_names)
            raise UserError(f"no column '{column}' (prepare.vectors.columns){near}")
        values = table.column(column).combine_chunks()
        if pa.types.is_nested(values.type) or pa.types.is_binary(values.type):
            raise UserError(f"column '{column}' holds {values.type}, not names of files")
        bare = pc.utf8_trim_whitespace(values.cast(pa.large_string()))
        return pc.if_else(pc.equal(bare, ""), None, bare)

    def _indices(self, table: pa.Table) -> pa.Array:
        name = self.options.index
        if name not in table.column_names:
            near = nearest(name, table.column_names)
            raise UserError(f"no column '{name}' (prepare.vectors.index){near}")
        try:
            return table.column(name).combine_chunks().cast(pa.int64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise UserError(
                f"column '{name}' (prepare.vectors.index) holds something else than whole "
                f"numbers: {str(error).splitlines()[0]}"
            ) from error


def _with_column(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    if name in table.column_names:
        raise UserError(
            f"there is a column '{name}' already, which the vectors would replace: rename it"
        )
    return table.append_column(name, column)


def _vector_array(vectors: np.ndarray, there: np.ndarray) -> pa.FixedSizeListArray:
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1], mask=pa.array(~there))
