"""Join rows with a manifest: a table that says more about them, by a key."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hfpipe.errors import UserError, nearest
from hfpipe.rows.identity import ROW_ID


@dataclass(frozen=True)
class Joiner:
    """A manifest ready to be looked up, each key once.

    Attributes:
        key: The column that both tables have.
        places: Each key's row in ``columns``.
        columns: The manifest's other columns.
    """

    key: str
    places: dict[str, int]
    columns: pa.Table

    def join(self, table: pa.Table) -> tuple[pa.Table, np.ndarray]:
        """Add the manifest's columns to rows; one without a match gets nulls.

        Args:
            table: Rows with the key column.

        Returns:
            The table with more columns, and the positions (int64) of rows without a match.

        Raises:
            UserError: The rows lack the key column, or have one of the manifest's.
        """
        _check_key(table, self.key, "the rows")
        for name in self.columns.column_names:
            if name in table.column_names:
                raise UserError(
                    f"the rows and the --join manifest both have a column '{name}': rename it in "
                    "one of them, or leave it out of the manifest"
                )
        # A dictionary, not Arrow's index_in, which would hash the whole manifest for each chunk.
        keys = _key_texts(table, self.key, "the rows").to_pylist()
        found = pa.array([self.places.get(key) for key in keys], pa.int64())
        taken = self.columns.take(found)
        for field, column in zip(taken.schema, taken.columns, strict=True):
            table = table.append_column(field.with_nullable(True), column)
        return table, np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False))


def join_manifest(manifest: pa.Table, key: str) -> Joiner:
    """Get a manifest ready for being joined.

    Args:
        manifest: Its rows.
        key: The column by which rows and manifest are matched; numbers match their text.

    Raises:
        UserError: It lacks the key column, a row has no key, or two rows have one key and say
            different things.

    >>> joiner = join_manifest(pa.table({"id": ["a", "b"], "size": [1, 2]}), "id")
    >>> joined, unmatched = joiner.join(pa.table({"id": ["b", "c"]}))
    >>> joined.to_pylist(), unmatched.tolist()
    ([{'id': 'b', 'size': 2}, {'id': 'c', 'size': None}], [1])
    """
    _check_key(manifest, key, "the --join manifest")
    if key != ROW_ID and ROW_ID in manifest.column_names:
        raise UserError(
            f"the --join manifest has a column '{ROW_ID}', which holds the rows' ids: rename it"
        )
    texts = _key_texts(manifest, key, "the --join manifest")
    empty = np.flatnonzero(texts.is_null().to_numpy(zero_copy_only=False))
    if len(empty):
        raise UserError(
            f"the --join manifest has no '{key}' in row {empty[0] + 1}: fill it in, or delete "
            "the row"
        )
    others = manifest.drop_columns([key])
    places: dict[str, int] = {}
    firsts = [places.setdefault(text, place) for place, text in enumerate(texts.to_pylist())]
    _check_repeats(others, texts, np.array(firsts, dtype=np.int64))
    return Joiner(key, places, others)


def _check_repeats(others: pa.Table, texts: pa.Array, firsts: np.ndarray) -> None:
    """Refuse two entries of one key that differ; equal ones do no harm."""
    repeats = np.flatnonzero(firsts != np.arange(len(firsts)))
    originals = firsts[repeats]
    later = others.take(pa.array(repeats)).to_pylist()
    earlier = others.take(pa.array(originals)).to_pylist()
    for place, (one, two) in enumerate(zip(earlier, later, strict=True)):
        for name in one:
            if one[name] != two[name]:
                raise UserError(
                    f"the --join manifest has '{texts[int(repeats[place])]}' in rows "
                    f"{originals[place] + 1} and {repeats[place] + 1} with different '{name}': "
                    "keep one of the rows"
                )


def _check_key(table: pa.Table, key: str, what: str) -> None:
    if key not in table.column_names:
        near = nearest(key, table.column_names)
        raise UserError(f"no column '{key}' (--join-on) in {what}{near}")


def _key_texts(table: pa.Table, key: str, what: str) -> pa.Array:
    """Keys as text, so that 7 in one table finds "7" in the other."""
    column = table.column(key)
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = kind.value_type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise UserError(f"column '{key}' of {what} holds {kind}: a key is a text or a number")
    return column.cast(pa.large_string()).combine_chunks()
