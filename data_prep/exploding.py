"""One row for each item of a list of objects: the items' fields become columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_prep.finding import combined, is_list
from hfpipe.errors import UserError
from hfpipe.rows.columns import marked


def item_fields(table: pa.Table, column: str, place: str) -> list[str]:
    """The fields of the objects that a column's lists hold.

    Args:
        table: Rows; a chunk may lack the column.
        column: The column.
        place: Put before the complaint: the file.

    Raises:
        UserError: The column holds something else.

    >>> item_fields(pa.table({"m": [[{"a": 1, "b": "x"}], None]}), "m", "rows.jsonl")
    ['a', 'b']
    """
    if column not in table.column_names:
        return []
    kind = table.schema.field(column).type
    if pa.types.is_null(kind):
        return []
    inner = kind.value_type if is_list(kind) or pa.types.is_fixed_size_list(kind) else None
    if inner is not None and pa.types.is_struct(inner):
        return [field.name for field in inner.fields]
    if inner is not None and pa.types.is_null(inner):
        return []
    raise UserError(
        f"{place}: column '{column}' (--explode) holds {kind}, not lists of objects: name another"
    )


def explode(table: pa.Table, column: str) -> tuple[pa.Table, int]:
    """Give each item of a list a row of its own; the row's other columns are repeated.

    Args:
        table: Rows, whose ``column`` was looked at by ``item_fields``, and has no field of the name
            of another column.
        column: The lists. An item that is null has null in all its fields.

    Returns:
        The items in their order, and how many rows had none.

    >>> rows = pa.table({"id": [1, 2, 3], "m": [[{"a": "x"}, {"a": "y"}], [], [{"a": "z"}]]})
    >>> items, empty = explode(rows, "m")
    >>> items.to_pydict(), empty
    ({'id': [1, 1, 3], 'a': ['x', 'y', 'z']}, 1)
    """
    rest = table.drop_columns([column]) if column in table.column_names else table
    kind = table.schema.field(column).type if column in table.column_names else pa.null()
    if pa.types.is_null(kind):
        return rest.slice(0, 0), table.num_rows
    lists = combined(table.column(column))
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    owners = pa.array(np.repeat(np.arange(len(lists)), counts))
    columns = dict(zip(rest.column_names, rest.take(owners).columns, strict=True))
    items = lists.flatten()
    if pa.types.is_struct(items.type):
        names = [field.name for field in items.type.fields]
        columns |= dict(zip(names, items.flatten(), strict=True))
    return marked(pa.table(columns)), int((counts == 0).sum())
