"""Arrow columns out of Python values, and tables that agree on their types."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from hfpipe.errors import UserError
from hfpipe.rows.values import is_scalar, json_text, text_of

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
# No leading zeros and no more digits than a float has: codes and long ids stay text.
_FLOAT = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,17})?([eE][+-]?\d{1,3})?")
_ARROW_REFUSES = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError)


def arrow_table(columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """A table of Python values; a column that Arrow has no one type for becomes JSON text."""
    return pa.table({name: arrow_column(values) for name, values in columns.items()})


def arrow_column(values: Sequence[Any]) -> pa.ChunkedArray:
    """A column of Python values.

    >>> arrow_column([1, None, 2]).type, arrow_column([1, "a"]).to_pylist()
    (DataType(int64), ['1', 'a'])
    >>> arrow_column([{"a": 1}, {"b": [2]}]).to_pylist()
    [{'a': 1, 'b': None}, {'a': None, 'b': [2]}]
    """
    if {bool} < {type(value) for value in values if value is not None}:
        return _as_json(values)  # Arrow would make 1 of true among numbers
    try:
        array = pa.array(values)
    except _ARROW_REFUSES:
        return _as_json(values)
    column = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    if pa.types.is_null(column.type):
        return column.cast(pa.string())
    return column if _storable(column.type) else _as_json(values)


def inferred_column(values: Sequence[str | None]) -> pa.ChunkedArray:
    """A CSV column: whole numbers, numbers, or text as it stands.

    >>> inferred_column(["1", None]).type, inferred_column(["1", "2.5"]).type
    (DataType(int64), DataType(double))
    >>> inferred_column(["007", "1"]).type
    DataType(string)
    """
    said = [value for value in values if value is not None]
    if said and all(_INTEGER.fullmatch(value) for value in said):
        return pa.chunked_array([pa.array([None if v is None else int(v) for v in values])])
    if said and all(_FLOAT.fullmatch(value) for value in said):
        return pa.chunked_array([pa.array([None if v is None else float(v) for v in values])])
    return pa.chunked_array([pa.array(values, pa.string())])


def text_column(table: pa.Table, name: str, file: str) -> list[str | None]:
    """A text, label or id column as Python strings.

    Raises:
        UserError: It holds lists, objects or bytes.
    """
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        raise UserError(
            f"{file}: column '{name}' holds {column.type}, not text: name another column"
        )
    return [text_of(value) for value in column.to_pylist()]


def stack(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables above each other; columns whose types do not agree become text in all of them."""
    names = list(dict.fromkeys(name for table in tables for name in table.column_names))
    agreed: dict[str, pa.DataType | None] = {name: _common_type(tables, name) for name in names}
    columns = {}
    for name in names:
        wanted = agreed[name]
        chunks: list[pa.Array] = []
        for table in tables:
            chunks += _typed_chunks(table, name, wanted)
        columns[name] = pa.chunked_array(chunks, wanted or pa.string())
    return pa.table(columns)


def _common_type(tables: Sequence[pa.Table], name: str) -> pa.DataType | None:
    schemas = [
        pa.schema([pa.field(name, table.schema.field(name).type)])
        for table in tables
        if name in table.column_names
    ]
    try:
        agreed = pa.unify_schemas(schemas, promote_options="permissive").field(name).type
    except _ARROW_REFUSES:
        return None
    if pa.types.is_null(agreed):
        return pa.string()
    return agreed if _storable(agreed) else None


def _typed_chunks(table: pa.Table, name: str, wanted: pa.DataType | None) -> list[pa.Array]:
    if name not in table.column_names:
        return [pa.nulls(table.num_rows, wanted or pa.string())]
    column = table.column(name)
    if wanted is None:
        return list(_as_json(column.to_pylist()).chunks)
    return list(column.cast(wanted).chunks)


def _as_json(values: Sequence[Any]) -> pa.ChunkedArray:
    texts = [text_of(value) if is_scalar(value) else json_text(value) for value in values]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _storable(kind: pa.DataType) -> bool:
    """Whether Parquet and every reader of it can hold a type: no empty struct, no nested null."""
    if pa.types.is_null(kind):
        return False
    if pa.types.is_struct(kind):
        return kind.num_fields > 0 and all(
            _storable(kind.field(i).type) for i in range(kind.num_fields)
        )
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _storable(kind.value_type)
    return True
