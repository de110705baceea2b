"""Find the columns that were named: by name, by a path, or within lists of messages."""

from __future__ import annotations

import pyarrow as pa

from hfpipe.errors import UserError
from hfpipe.rows.columns import column_at, text_column


def text_array(file: str, table: pa.Table, name: str) -> pa.Array:
    """A column as text; null where a row has none.

    Args:
        file: Named in the error.
        table: The rows.
        name: The column.

    Raises:
        UserError: It holds what is no text.
    """
    column = found_column(table, name)
    if pa.types.is_null(column.type):
        return pa.nulls(table.num_rows, pa.string())
    if pa.types.is_string(column.type):
        return combined(column)
    values = text_column(pa.table({name: column}), name, file)
    return pa.array(values, pa.string())


def found_column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column; empty where these rows lack it, which others of the file may not."""
    name = name if has_column(table, name) else flat_name(name)
    if not has_column(table, name):
        return pa.chunked_array([pa.nulls(table.num_rows, pa.string())])
    messages = _messages(table, name)
    if messages is not None:
        said = [[text for text in texts or [] if text] for texts in messages]
        return pa.chunked_array([pa.array(["\n".join(texts) for texts in said], pa.string())])
    return column_at(table, name)


def _messages(table: pa.Table, name: str) -> list[list[str | None]] | None:
    """The texts of a list of texts, or, as ``messages.text``, of one of objects; else None."""
    column, _, field = name.rpartition(".") if name not in table.column_names else (name, "", "")
    if column not in table.column_names or not is_list(table.column(column).type):
        return None
    inner = table.column(column).type.value_type
    if field and pa.types.is_struct(inner) and inner.get_field_index(field) >= 0:
        kind = inner.field(field).type
        rows = table.column(column).to_pylist()
        if pa.types.is_string(kind):
            return [[each[field] for each in row or [] if each] for row in rows]
    if not field and pa.types.is_string(inner):
        return table.column(column).to_pylist()
    return None


def is_list(kind: pa.DataType) -> bool:
    """Whether a column holds lists."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def has_column(table: pa.Table, name: str) -> bool:
    """Whether there is such a column, or such a place within a nested one."""
    try:
        column_at(table, name)
    except UserError:
        return _messages(table, name) is not None
    return True


def combined(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def flat_name(name: str) -> str:
    """The column that a nested one becomes.

    >>> flat_name("labels.living")
    'labels_living'
    """
    return name.replace(".", "_")
