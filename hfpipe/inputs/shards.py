"""A WebDataset, as ``datasets`` loads it, with the columns that its rows had before."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from hfpipe.rows.identity import ROW_ID
from hfpipe.rows.webdataset import IMAGE, IMAGES, KEY

if TYPE_CHECKING:
    from datasets import Dataset

_KEY, _URL, _JSON = "__key__", "__url__", "json"


def is_sharded(dataset: Dataset) -> bool:
    """Whether its rows were the samples of a WebDataset."""
    return {_KEY, _URL}.issubset(dataset.column_names)


def unpacked(dataset: Dataset) -> Dataset:
    """The rows of a WebDataset as ``hfpipe prepare`` reads and wrote them.

    The fields of ``json`` become columns; an image is called ``image`` whatever its extension, of
    ``left.png`` it is called ``left``. Without a ``row_id`` among the fields, the key is it.

    Args:
        dataset: As ``datasets`` loaded it: a column an extension, ``__key__`` and ``__url__``.

    Returns:
        The same rows in the same order, images undecoded.
    """
    from datasets import Dataset as Table

    columns: dict[str, pa.ChunkedArray] = {}
    fields: dict[str, pa.ChunkedArray] = {}
    table = dataset.with_format("arrow")[:]
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name == _JSON and pa.types.is_struct(column.type):
            fields = _fields(column)
        elif name not in (_KEY, _URL):
            columns[_named(name, columns)] = column
    for name, column in fields.items():
        columns[name if name not in columns else f"{_JSON}.{name}"] = column
    keys = table.column(_KEY)
    columns.setdefault(KEY, keys)
    if ROW_ID not in columns:
        columns[ROW_ID] = pa.chunked_array(
            [[unquote(key) for key in keys.to_pylist()]], pa.string()
        )
    return Table(pa.table(columns))


def _named(name: str, taken: dict[str, pa.ChunkedArray]) -> str:
    """What the column of an extension is called.

    >>> _named("png", {}), _named("left.jpg", {}), _named("txt", {}), _named("jpg", {"image": None})
    ('image', 'left', 'txt', 'jpg')
    """
    before, _, last = name.rpartition(".")
    bare = (before or IMAGE) if last.lower() in IMAGES else name
    return name if bare in taken else bare


def _fields(column: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    """The fields of objects as columns; null where the object is missing."""
    return {field.name: pc.struct_field(column, field.name) for field in column.type}
