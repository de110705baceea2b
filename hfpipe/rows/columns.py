"""Arrow columns out of Python values and CSV cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hfpipe.errors import UserError, nearest
from hfpipe.rows.agreeing import MARK, agreed_schema, cast_table, integers_beyond_floats, storable
from hfpipe.rows.values import flat_text, text_of

__all__ = [
    "agreed_schema",
    "arrow_column",
    "arrow_table",
    "cast_table",
    "cell_table",
    "column_at",
    "marked",
    "stack",
    "text_column",
]

# No more digits than 64 bits hold; of those, no more than a float holds; no leading zeros: codes
# and long ids stay text.
_LONG_INTEGER = r"^-?(0|[1-9][0-9]{0,17})$"
_INTEGER = r"^-?(0|[1-9][0-9]{0,14})$"
_NUMBER = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,17})?([eE](\+?[0-9]{1,2}|-[12]?[0-9]{1,2}))?$"
_GUESSES = {"integer": _INTEGER, "long integer": _LONG_INTEGER, "number": _NUMBER}
_ARROW_REFUSES = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError)
_NESTED = {list, dict, tuple}
_TEXT = {str, type(None)}


def arrow_table(columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """A table of Python values; a column that Arrow has no one type for becomes JSON text."""
    return marked(pa.table({name: arrow_column(values) for name, values in columns.items()}))


def arrow_column(values: Sequence[Any]) -> pa.Array:
    """A column of Python values.

    >>> arrow_column([1, None, 2]).type, arrow_column([1, "a"]).to_pylist()
    (DataType(int64), ['1', 'a'])
    >>> arrow_column([{"a": 1}, {"b": [2]}]).to_pylist()
    [{'a': 1, 'b': None}, {'a': None, 'b': [2]}]
    """
    kinds = set(map(type, values))
    if kinds <= _TEXT:
        return pa.array(values, pa.string() if str in kinds else pa.null())
    if bool in kinds and len(kinds - {type(None)}) > 1:
        return _as_text(values)  # Arrow would make 1 of true among numbers
    try:
        # A map with a key of its own in every row would be a struct of as many fields.
        if kinds & _NESTED:
            kind = pa.infer_type(values)
            if not storable(kind, empty=True) or _holds_bools_as_floats(values, kind):
                return _as_text(values)
        array = pa.array(values)
    except _ARROW_REFUSES:
        return _as_text(values)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _holds_bools_as_floats(values: Iterable[Any], kind: pa.DataType) -> bool:
    """Whether Arrow would make 0.0 and 1.0 of booleans in lists or objects."""
    if pa.types.is_floating(kind):
        return bool in set(map(type, values))
    if pa.types.is_list(kind):
        inner = chain.from_iterable(value for value in values if value)
        return _holds_bools_as_floats(inner, kind.value_type)
    if pa.types.is_struct(kind):
        objects = [value for value in values if value]
        return any(
            _holds_bools_as_floats((value.get(field.name) for value in objects), field.type)
            for field in kind.fields
        )
    return False


def cell_table(
    names: Sequence[str], cells: Sequence[Sequence[str | None]], texts: Sequence[str] = ()
) -> pa.Table:
    """CSV cells as strings; what their columns could be stands in the fields' metadata.

    Args:
        names: The columns.
        cells: The cells of each.
        texts: Columns that are text whatever stands in them.

    >>> table = cell_table(["a", "b"], [["1", None], ["1.5", "x"]])
    >>> agreed_schema([table.schema]).types
    [DataType(int64), DataType(string)]
    """
    arrays = [pa.array(values, pa.string()) for values in cells]
    fields = [
        pa.field(name, pa.string(), metadata={MARK: "text" if name in texts else _guess(array)})
        for name, array in zip(names, arrays, strict=True)
    ]
    return pa.table(arrays, schema=pa.schema(fields))


def _guess(array: pa.Array) -> str:
    """What all cells of a column could be."""
    if array.null_count == len(array):
        return "empty"
    for guess, pattern in _GUESSES.items():
        # Most columns of text are told by their first cell.
        if not _all_match(array[:20], pattern):
            continue
        if _all_match(array, pattern):
            return guess
    return "text"


def _all_match(array: pa.Array, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(array, pattern), min_count=0).as_py() is not False


def marked(table: pa.Table) -> pa.Table:
    """The table with a mark on every column that holds an integer no float can hold."""
    fields = [
        field.with_metadata({MARK: "wide"})
        if any(integers_beyond_floats(chunk) for chunk in column.chunks)
        else field.remove_metadata()
        for field, column in zip(table.schema, table.columns, strict=True)
    ]
    return pa.table(table.columns, schema=pa.schema(fields))


def text_column(table: pa.Table, name: str, file: str) -> list[str | None]:
    """A text, label or id column as Python strings.

    Args:
        table: The rows.
        name: The column, or a path into a nested one.
        file: Named in the error.

    Raises:
        UserError: It holds lists, objects or bytes, or there is none.
    """
    try:
        column = column_at(table, name)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type) or _holds_bytes(column.type):
        raise UserError(
            f"{file}: column '{name}' holds {column.type}, not text: name another column"
        )
    return [text_of(value) for value in column.to_pylist()]


def _holds_bytes(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in tests) or pa.types.is_binary_view(kind)


def column_at(table: pa.Table, path: str) -> pa.ChunkedArray:
    """A column by its name, or a field of a nested one by the path to it.

    Args:
        table: The rows.
        path: ``name``, or ``name.field.field``. A column of just this name wins over a path.

    Returns:
        The column; null where an object on the way is missing.

    Raises:
        UserError: There is none.

    >>> rows = pa.table({"labels": [{"living": 1}, None], "a.b": [3, 4]})
    >>> column_at(rows, "labels.living").to_pylist(), column_at(rows, "a.b").to_pylist()
    ([1, None], [3, 4])
    """
    if path in table.column_names:
        return table.column(path)
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:cut])
        if name not in table.column_names:
            continue
        column = table.column(name)
        for part in parts[cut:]:
            if not pa.types.is_struct(column.type) or column.type.get_field_index(part) < 0:
                break
            column = pc.struct_field(column, part)
        else:
            return column
    raise UserError(f"no column '{path}'{nearest(path, column_paths(table.schema))}")


def column_paths(schema: pa.Schema) -> list[str]:
    """The names of all columns, and the paths of the fields of nested ones behind theirs.

    >>> column_paths(pa.schema([("a", pa.struct([("b", pa.int8())])), ("c", pa.int8())]))
    ['a', 'a.b', 'c']
    """
    return [path for field in schema for path in _paths(field, "")]


def _paths(field: pa.Field, before: str) -> list[str]:
    path = before + field.name
    below = field.type.fields if pa.types.is_struct(field.type) else []
    return [path, *(deeper for each in below for deeper in _paths(each, f"{path}."))]


def stack(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables above each other; columns whose types do not agree become text in all of them."""
    schema = agreed_schema([table.schema for table in tables])
    return pa.concat_tables([cast_table(table, schema) for table in tables])


def _as_text(values: Sequence[Any]) -> pa.Array:
    return pa.array(map(flat_text, values), pa.string())
