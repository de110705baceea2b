"""One schema for the chunks of all files: types that agree, else text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from hfpipe.errors import UserError
from hfpipe.rows.values import flat_text

# A field's metadata under this key says what a CSV column could be ("integer", "long integer",
# "number", "empty", "text"), or that integers in it are "wide": beyond what a float can hold.
MARK = b"hfpipe"
_GUESSED = {
    "integer": pa.int64(),
    "long integer": pa.int64(),
    "number": pa.float64(),
    "empty": pa.null(),
}
_WIDE = {"wide", "long integer"}
# Arrow's files hold no deeper types; objects with more fields are maps from ids, not records.
DEEPEST = 32
MOST_FIELDS = 500
_EXACT = 2**53
_Claim = tuple[pa.DataType, str]


def agreed_schema(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """The schema that tables of all these schemas can be cast to without loss.

    Integers and floats become floats, objects get the fields of all, what is nowhere said becomes
    text. Types that do not agree become text, lists and objects among them JSON text;
    so do objects in which one is always empty. CSV columns
    become numbers where all their cells in all chunks are.

    Args:
        schemas: Of chunks, as the readers made them: with the marks in their fields' metadata.

    Returns:
        A schema without metadata; columns in the order in which they first appear.

    >>> numbers, words = pa.schema([("a", pa.int64())]), pa.schema([("a", pa.string())])
    >>> agreed_schema([numbers, pa.schema([("a", pa.float32())])]).types
    [DataType(double)]
    >>> agreed_schema([numbers, words, pa.schema([("b", pa.null())])]).types
    [DataType(string), DataType(string)]
    """
    claims: dict[str, dict[_Claim, None]] = {}
    for schema in schemas:
        for field in schema:
            said = (field.metadata or {}).get(MARK, b"").decode()
            claims.setdefault(field.name, {})[(field.type, said)] = None
    return pa.schema([(name, _agreed(list(said))) for name, said in claims.items()])


def cast_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A chunk's table in the schema that was agreed on with the others.

    Args:
        table: One of the tables whose schemas ``agreed_schema`` saw; without marks is fine.
        schema: What it gave.

    Returns:
        The table with all columns of the schema, in its order; what it lacks is null.

    Raises:
        UserError: A value does not fit: a date beyond what another file's unit can hold.

    >>> schema = pa.schema([("a", pa.string()), ("b", pa.int64())])
    >>> cast_table(pa.table({"b": ["7"]}), schema).to_pylist()
    [{'a': None, 'b': 7}]
    """
    places = {name: place for place, name in enumerate(table.column_names)}
    columns = []
    for field in schema:
        if field.name not in places:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        try:
            columns.append(_cast(table.column(places[field.name]), field.type))
        except pa.ArrowException as error:
            raise UserError(
                f"column '{field.name}': {str(error).splitlines()[0]}: write it as {field.type} in "
                "every file, or as text in one"
            ) from error
    return pa.table(columns, schema=schema)


def storable(kind: pa.DataType, *, empty: bool = False) -> bool:
    """Whether Parquet and every reader of it can hold a type, and hold it well.

    Args:
        kind: The type.
        empty: Whether an empty object and a list of nothing known will do, as in one chunk.

    >>> storable(pa.struct([])), storable(pa.struct([]), empty=True), storable(pa.list_(pa.int8()))
    (False, True, True)
    """
    for leaves, (leaf, depth) in enumerate(_leaves(kind, 0), start=1):
        if depth > DEEPEST or leaves > MOST_FIELDS:
            return False
        if not empty and (pa.types.is_null(leaf) or pa.types.is_struct(leaf)):
            return False
    return True


def integers_beyond_floats(array: pa.Array) -> bool:
    """Whether an array, or one nested in it, holds an integer that no float can.

    >>> integers_beyond_floats(pa.array([[2**53 + 1]])), integers_beyond_floats(pa.array([2**53]))
    (True, False)
    """
    if pa.types.is_integer(array.type):
        low, high = pc.min_max(array).values()
        return bool(low.is_valid and (low.as_py() < -_EXACT or high.as_py() > _EXACT))
    if pa.types.is_struct(array.type):
        return any(integers_beyond_floats(field) for field in array.flatten())
    if _is_list(array.type):
        return integers_beyond_floats(array.flatten())
    return False


def _agreed(claims: list[_Claim]) -> pa.DataType:
    kinds = list(dict.fromkeys(_GUESSED.get(mark, kind) for kind, mark in claims))
    try:
        agreed = _unified(kinds)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.string()
    agreed = _with_text_for_nothing(agreed)
    wide = {_GUESSED.get(mark, kind) for kind, mark in claims if mark in _WIDE}
    if not storable(agreed) or any(_rounds(kind, agreed) for kind in wide):
        return pa.string()
    return agreed


def _with_text_for_nothing(kind: pa.DataType) -> pa.DataType:
    """The type with text where no value was seen: a field always null, lists always empty."""
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_with_text_for_nothing(kind.value_type))
    if pa.types.is_struct(kind):
        fields = [(field.name, _with_text_for_nothing(field.type)) for field in kind.fields]
        return pa.struct(fields)
    return kind


def _unified(kinds: list[pa.DataType]) -> pa.DataType:
    """The type that has room for all.

    Raises:
        ArrowInvalid: There is none, or it would turn text into bytes.
    """
    agreed = kinds[0]
    for kind in kinds[1:]:
        both = [pa.schema([("x", each)]) for each in (agreed, kind)]
        wider = pa.unify_schemas(both, promote_options="permissive").field("x").type
        if _is_text(agreed) + _is_text(kind) == 1 and not _is_text(wider):
            raise pa.ArrowInvalid("text is not bytes")
        agreed = wider
    return agreed


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _rounds(kind: pa.DataType, agreed: pa.DataType) -> bool:
    """Whether integers of a type would be rounded or cut in the agreed one."""
    if pa.types.is_integer(kind):
        return pa.types.is_floating(agreed) or (kind == pa.uint64()) != (agreed == pa.uint64())
    if pa.types.is_struct(kind) and pa.types.is_struct(agreed):
        return any(_rounds(field.type, agreed.field(field.name).type) for field in kind.fields)
    if _is_list(kind) and _is_list(agreed):
        return _rounds(kind.value_type, agreed.value_type)
    return False


def _cast(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    kind = column.type
    if kind == wanted:
        return column
    simple = _is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)
    if not _is_text(wanted) or simple:
        return column.cast(wanted)
    return pa.chunked_array([pa.array(map(flat_text, column.to_pylist()), wanted)])


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _leaves(kind: pa.DataType, depth: int) -> Iterator[tuple[pa.DataType, int]]:
    """The innermost types of a type, with how deep they lie; an empty struct is one of them."""
    below = (
        [field.type for field in kind.fields]
        if pa.types.is_struct(kind)
        else [kind.value_type]
        if _is_list(kind)
        else [kind.key_type, kind.item_type]
        if pa.types.is_map(kind)
        else []
    )
    if not below or depth > DEEPEST:
        yield kind, depth
        return
    for each in below:
        yield from _leaves(each, depth + 1)
