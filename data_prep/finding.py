"""Find the columns that were named: by name, by a path, or within lists of messages."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

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


def message_paths(schema: pa.Schema) -> list[str]:
    """What lists of objects hold, as ``list[].field``; ``name[].`` where these rows do not tell.

    >>> lists = pa.list_(pa.struct([("b", pa.string())]))
    >>> message_paths(pa.schema([("a", lists), ("c", pa.list_(pa.null())), ("d", pa.null())]))
    ['a[].b', 'c[].', 'd[].']
    """
    paths = []
    for field in schema:
        kind = field.type.value_type if is_list(field.type) else field.type
        if pa.types.is_null(kind):
            paths.append(f"{field.name}[].")
        elif is_list(field.type) and pa.types.is_struct(kind):
            paths += [f"{field.name}[].{each.name}" for each in kind.fields]
    return paths


def without_columns(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The table without columns; of a path, without that field of the nested column.

    >>> rows = pa.table({"a": [{"b": 1, "c": 2}, None], "d": [3, 4]})
    >>> without_columns(rows, ["a.b", "d", "e"]).to_pylist()
    [{'a': {'c': 2}}, {'a': None}]
    """
    for name in names:
        if name in table.column_names:
            table = table.drop_columns([name])
            continue
        parts = name.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            place = table.schema.get_field_index(".".join(parts[:cut]))
            if place >= 0 and _is_column(table, name):
                left = _without_field(combined(table.column(place)), parts[cut:])
                top = table.column_names[place]
                table = (
                    table.remove_column(place)
                    if left is None
                    else table.set_column(place, top, left)
                )
                break
    return table


def without_key(table: pa.Table, id_column: str) -> pa.Table:
    """Rows of shards without the shards' key, which a column of the user's may be called too.

    >>> rows = pa.table({"key": ["r1", "r2"], "json.key": ["mine", None], "n": [1, 2]})
    >>> without_key(rows, "-").to_pylist()
    [{'key': 'mine', 'n': 1}, {'key': 'r2', 'n': 2}]
    >>> without_key(rows.select(["key", "n"]), "-").column_names
    ['n']
    """
    if "json.key" in table.column_names:
        own = table.column("json.key")
        own = pc.coalesce(own, table.column("key").cast(own.type)) if own.null_count else own
        table = table.set_column(table.column_names.index("json.key"), "json.key", own)
        return table.drop_columns(["key"]).rename_columns({"json.key": "key"})
    return table if id_column == "key" else without_columns(table, ["key"])


def _without_field(objects: pa.StructArray, path: Sequence[str]) -> pa.StructArray | None:
    """Objects without one of their fields; None where no field is left."""
    fields = {}
    for field in objects.type.fields:
        column: pa.Array | None = pc.struct_field(objects, field.name)
        if field.name == path[0]:
            column = _without_field(column, path[1:]) if path[1:] else None
        if column is not None:
            fields[field.name] = column
    if not fields:
        return None
    return pa.StructArray.from_arrays(
        list(fields.values()), names=list(fields), mask=objects.is_null()
    )


def has_column(table: pa.Table, name: str) -> bool:
    """Whether there is such a column, or such a place within a nested one."""
    return _is_column(table, name) or _messages(table, name) is not None


def _is_column(table: pa.Table, name: str) -> bool:
    try:
        column_at(table, name)
    except UserError:
        return False
    return True


def combined(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def usable_types(table: pa.Table) -> pa.Table:
    """The table with types that Arrow can pick rows of, and ``datasets`` can read.

    >>> usable_types(pa.table({"a": pa.array(["x"], pa.string_view())})).schema.types
    [DataType(string)]
    """
    for place, field in enumerate(table.schema):
        kind = _usable_type(field.type)
        if kind != field.type:
            table = table.set_column(place, field.with_type(kind), table.column(place).cast(kind))
    return table


def _usable_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_usable_type(field.type)) for field in kind.fields])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_usable_type(kind.value_type)))
    if pa.types.is_map(kind):
        pair = [("key", _usable_type(kind.key_type)), ("value", _usable_type(kind.item_type))]
        return pa.list_(pa.struct(pair))
    return kind


def flat_name(name: str) -> str:
    """The column that a nested one becomes.

    >>> flat_name("labels.living")
    'labels_living'
    """
    return name.replace(".", "_")
