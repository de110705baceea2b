"""Rows of a dataset as Arrow columns, a batch at a time, each row with the id that names it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hfpipe.errors import UserError, nearest
from hfpipe.rows.identity import ROW_ID

if TYPE_CHECKING:
    from datasets import Dataset

BATCH_ROWS = 1000


@dataclass(frozen=True)
class Rows:
    """A batch of rows.

    Attributes:
        table: Their columns.
        ids: What to call each row in a message.
        place: What to call the data.
    """

    table: pa.Table
    ids: Sequence[str]
    place: str = "data"

    def __len__(self) -> int:
        return self.table.num_rows

    def column(self, name: str) -> pa.Array:
        """One column in one piece, without the types that only ``datasets`` knows.

        >>> Rows(pa.table({"a": [1, 2]}), ["x", "y"]).column("a").to_pylist()
        [1, 2]
        """
        column = self.table.column(name).combine_chunks()
        if isinstance(column, pa.ExtensionArray):
            column = column.storage
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        return column

    def error(self, position: int | np.integer, complaint: str) -> UserError:
        """What is wrong with a row, as the error to raise.

        >>> print(Rows(pa.table({}), ["x", "y"], "rows.csv").error(1, "'age' is infinite"))
        rows.csv: row 'y': 'age' is infinite
        """
        return UserError(f"{self.place}: row '{self.ids[int(position)]}': {complaint}")


def batches(
    dataset: Dataset, columns: Sequence[str], place: str, size: int = BATCH_ROWS
) -> Iterator[Rows]:
    """The rows of a dataset with some of its columns, in order, ``size`` rows at a time.

    Args:
        dataset: The rows; its ``row_id`` names them, else their positions do.
        columns: Those to read.
        place: What to call the dataset in a message.
        size: Rows a batch.
    """
    view = arrow_view(dataset, columns)
    for start in range(0, len(dataset), size):
        yield rows_of(view[start : start + size], dataset, start, place)


def arrow_view(dataset: Dataset, columns: Sequence[str]) -> Dataset:
    """The dataset with some columns and the row's id, to be read as Arrow tables."""
    wanted = [*dict.fromkeys(columns), *([ROW_ID] if ROW_ID in dataset.column_names else [])]
    return dataset.select_columns(list(dict.fromkeys(wanted))).with_format("arrow")


def rows_of(table: pa.Table, dataset: Dataset, start: int, place: str) -> Rows:
    """Rows read from an ``arrow_view``: named, and with class labels as their names.

    Args:
        table: What was read.
        dataset: Where from: its features name the class labels.
        start: The position of the first row, which names it where rows have no id.
        place: What to call the dataset in a message.
    """
    for index, name in enumerate(table.column_names):
        names = getattr(dataset.features[name], "names", None)
        if isinstance(names, list):
            codes = table.column(index).combine_chunks()
            # Negative: no label.
            codes = pc.if_else(pc.less(codes, 0), None, codes)
            table = table.set_column(index, name, pa.array(names, pa.string()).take(codes))
    if ROW_ID in table.column_names:
        ids = [str(each) for each in table.column(ROW_ID).to_pylist()]
    else:
        ids = [str(start + position) for position in range(table.num_rows)]
    return Rows(table, ids, place)


def check_columns(wanted: Sequence[str], dataset: Dataset, place: str) -> None:
    """Make sure that a dataset has columns.

    Raises:
        UserError: One is missing; the nearest names are told.
    """
    for column in wanted:
        if column not in dataset.column_names:
            raise UserError(
                f"{place} has no column '{column}'{nearest(column, dataset.column_names)}"
            )
