"""What is known of all rows at once: little of each, so that the texts can stay on disk."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_matrix

from data_prep.spool import Spool
from hfpipe.rows.identity import ROW_ID
from hfpipe.rows.records import BadRow
from hfpipe.rows.values import whole_numbers


class Counted(Protocol):
    """The terms of all rows: a :class:`data_prep.terms.TermCounter`, or what a cluster counts."""

    @property
    def most_rows(self) -> float:
        """With more rows than this, ``counts`` is not to be asked for."""

    def counts(self) -> csr_matrix:
        """``(rows, terms)``, int32."""


@dataclass
class Corpus:
    """All rows.

    Attributes:
        spool: The user's columns, on disk, without ``row_id``.
        row_ids: One id a row.
        reasons: Why a row was dropped already; None where it was not. ``(rows,)``
        keys: Hash of each text, ``(rows, 2)``.
        lengths: Characters of each text.
        labels: Label of each row as a place in ``label_names``; -1 where there is none.
        label_names: The labels.
        targets: Labels as numbers, for regression.
        notes: Noted columns, by what they are for.
        counter: The terms of each text.
        text: The text columns.
        label: The label column; None without one.
        bad: The first lines that are not rows.
        bad_ids: Ids of all of them.
        id_column: The column that the ids come from; None where they are made of the content.
        inputs: File name, hash and number of rows of each input.
        units: The account of other units that these rows were made of.
        rewritten: Rows that each cleaning step changed.
        pinned: Split of each row that an earlier version of the dataset has, or -1.
    """

    spool: Spool
    row_ids: pa.ChunkedArray
    reasons: np.ndarray
    keys: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    label_names: list[str]
    targets: np.ndarray | None
    notes: dict[str, pa.ChunkedArray]
    counter: Counted
    text: list[str]
    label: str | None
    bad: list[BadRow] = field(default_factory=list)
    bad_ids: list[str] = field(default_factory=list)
    id_column: str | None = None
    inputs: list[dict[str, Any]] = field(default_factory=list)
    units: list[dict[str, Any]] = field(default_factory=list)
    rewritten: Counter[str] = field(default_factory=Counter)
    pinned: np.ndarray | None = None
    derived: Spool | None = None
    derived_place: np.ndarray | None = None

    def take(self, positions: np.ndarray) -> pa.Table:
        """Whole rows: ``row_id``, the user's columns with the final labels, derived columns."""
        table = self.spool.take(positions)
        if self.label is not None and self.targets is None:
            names = pa.array([*self.label_names, None], pa.string())
            labels = names.take(pa.array(self.labels[positions] % len(names)))
            place = table.schema.get_field_index(self.label)
            table = table.set_column(place, self.label, labels)
        if self.derived is not None and self.derived_place is not None:
            table = _with_derived(table, self.derived, self.derived_place[positions])
        return table.add_column(0, ROW_ID, self.row_ids.take(pa.array(positions)))

    def texts(self, positions: np.ndarray) -> list[str]:
        """The text columns of rows, joined by line breaks."""
        if not self.text:
            return [""] * len(positions)
        columns = [
            [_said(value) for value in column.to_pylist()]
            for column in self.spool.take(positions).select(self.text).columns
        ]
        return ["\n".join(part for part in parts if part) for parts in zip(*columns, strict=True)]

    def codes(self, use: str) -> np.ndarray:
        """A noted column as numbers, equal for equal texts; -1 where a row has none."""
        encoded = self.notes[use].combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        return pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)


def _with_derived(table: pa.Table, derived: Spool, places: np.ndarray) -> pa.Table:
    """Add derived columns; a row without a place among them has them in its own."""
    fresh = derived.take(places[places >= 0])
    own = np.flatnonzero(places < 0)
    back = np.empty(len(places), dtype=np.int64)
    back[np.concatenate([np.flatnonzero(places >= 0), own])] = np.arange(len(places))
    for name, column in zip(fresh.column_names, fresh.columns, strict=True):
        there = table.schema.get_field_index(name)
        if there < 0:
            old = pa.chunked_array([pa.nulls(len(own), column.type)])
        else:
            old = _as_list(table.column(there).take(pa.array(own)), column.type)
            table = table.remove_column(there)
        whole = pa.chunked_array([*column.chunks, *old.chunks], column.type)
        table = table.append_column(name, whole.take(pa.array(back)))
    return table


def _as_list(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column of vectors in their type; CSV has them as JSON."""
    if not pa.types.is_string(column.type):
        return column.cast(kind)
    values = [json.loads(text) if text else None for text in column.to_pylist()]
    return pa.chunked_array([pa.array(values, kind)])


def _said(value: str | list[str | None] | None) -> str:
    """A text, or the texts of a list, joined."""
    if isinstance(value, list):
        return "\n".join(text for text in value if text)
    return value or ""


class LabelCodes:
    """Labels as numbers, given out chunk by chunk and settled file by file.

    Labels of a file that are all whole numbers are written as such (``3.0`` is ``3``), which is
    known only at its end.

    >>> labels = LabelCodes()
    >>> labels.add(pa.array(["3.0", None, "4.0"]))
    >>> labels.end_file()
    >>> labels.add(pa.array(["x", "4"]))
    >>> labels.end_file()
    >>> codes, names = labels.settled()
    >>> [names[code] if code >= 0 else None for code in codes]
    ['3', None, '4', 'x', '4']
    """

    def __init__(self) -> None:
        """Start empty."""
        self._names: dict[str, int] = {}
        self._file: dict[str, int] = {}
        self._parts: list[np.ndarray] = []
        self._done: list[np.ndarray] = []

    def add(self, labels: pa.Array) -> None:
        """Take a chunk of the present file."""
        encoded = labels.dictionary_encode()
        places = [
            self._file.setdefault(name, len(self._file)) for name in encoded.dictionary.to_pylist()
        ]
        indices = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        self._parts.append(np.array([*places, -1], dtype=np.int32)[indices])

    def end_file(self) -> None:
        """Settle the labels of the present file."""
        settled = whole_numbers(list(self._file))
        places = [self._names.setdefault(name or "", len(self._names)) for name in settled]
        final = np.array([*places, -1], dtype=np.int32)
        self._done += [final[part] for part in self._parts]
        self._file, self._parts = {}, []

    def settled(self) -> tuple[np.ndarray, list[str]]:
        """All codes, and the names they stand for, sorted."""
        names = sorted(self._names)
        place = {name: index for index, name in enumerate(names)}
        final = np.array([*(place[name] for name in self._names), -1], dtype=np.int32)
        parts = [final[part] for part in self._done]
        return (np.concatenate(parts) if parts else np.empty(0, np.int32)), names


def mapped_labels(
    codes: np.ndarray,
    names: Sequence[str],
    mapping: Mapping[str, str],
    fixed: np.ndarray | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Labels renamed; several may become one. ``*`` stands for all that are not named.

    Args:
        codes: Places in ``names``, or -1.
        names: The labels.
        mapping: New names.
        fixed: Rows whose labels have been renamed before, and stay.

    Raises:
        UserError: A label that is named does not exist.

    >>> codes, names = mapped_labels(np.array([0, 1, 2]), ["a", "b", "c"], {"b": "yes", "*": "no"})
    >>> [names[code] for code in codes]
    ['no', 'yes', 'no']
    """
    from data_prep.balancing import label_map

    again = fixed is not None  # a few rows more need not have every label
    fixed = np.zeros(len(codes), dtype=bool) if fixed is None else fixed
    present = np.unique(codes[~fixed & (codes >= 0)])
    known = [names[code] for code in present]
    if again:
        mapping = {old: new for old, new in mapping.items() if old == "*" or old in known}
    renamed = list(names)
    for code, name in zip(present, label_map(known, mapping), strict=True):
        renamed[code] = name
    settled = {names[code] for code in np.unique(codes[fixed & (codes >= 0)])}
    fresh = sorted({renamed[code] for code in present} | settled)
    place = {name: index for index, name in enumerate(fresh)}
    moved = np.array([*(place.get(name, -1) for name in renamed), -1], dtype=np.int32)
    stays = np.array([*(place.get(name, -1) for name in names), -1], dtype=np.int32)
    return np.where(fixed, stays[codes], moved[codes]), fresh
