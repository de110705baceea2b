"""Row ids: each row has one of its own, whatever the column or the content that it comes from."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hfpipe.errors import UserError


def numbered(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Make ids of hashes: the second row that says the same gets ``-2``, and so on.

    >>> numbered(pa.chunked_array([["a", "b"], ["a"]])).to_pylist()
    ['a', 'b', 'a-2']
    """
    codes = _codes(ids)
    order = np.argsort(codes, kind="stable")
    in_order = codes[order]
    first = np.concatenate([[True], in_order[1:] != in_order[:-1]]) if len(codes) else codes == 0
    starts = np.maximum.accumulate(np.where(first, np.arange(len(codes)), 0))
    times = np.empty(len(codes), dtype=np.int64)
    times[order] = np.arange(len(codes)) - starts + 1
    repeated = np.flatnonzero(times > 1)
    if not len(repeated):
        return ids
    values = ids.combine_chunks()
    suffixed = [
        f"{value}-{time}"
        for value, time in zip(
            values.take(pa.array(repeated)).to_pylist(), times[repeated].tolist(), strict=True
        )
    ]
    marks = pa.array(times > 1)
    return pa.chunked_array([pc.replace_with_mask(values, marks, pa.array(suffixed, pa.string()))])


def checked_ids(
    ids: pa.ChunkedArray, kept: np.ndarray, column: str, old: int = 0
) -> pa.ChunkedArray:
    """Ids that a column holds, which each kept row must have for itself.

    Args:
        ids: One a row.
        kept: Positions of the rows that are kept; ids of the others get a number where needed.
        column: The column.
        old: So many rows come from an earlier version, which checked them.

    Raises:
        UserError: One is missing or stands on two rows.

    >>> ids = pa.chunked_array([["a", "b", "a"]])
    >>> checked_ids(ids, np.array([1, 2]), "id").to_pylist()
    ['a-2', 'b', 'a']
    """
    advice = "choose another --id-column, or none: ids are then made of the rows' content"
    mine = ids.take(pa.array(kept))
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(mine), ""), True).to_numpy()
    if blank.any():
        row = int(kept[blank.argmax()]) + 1 - old
        raise UserError(f"id column '{column}' is empty in row {row}: {advice}")
    counts = np.bincount(_codes(mine))
    if len(counts) and counts.max() > 1:
        repeated = pc.unique(mine)[int(counts.argmax())].as_py()
        raise UserError(
            f"id column '{column}': '{repeated}' stands on {counts.max()} rows: {advice}"
        )
    dropped = np.setdiff1d(np.arange(len(ids)), kept)
    order = np.concatenate([kept, dropped])
    filled = pc.fill_null(ids, "").take(pa.array(order))
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return _distinct(numbered(filled), len(kept)).take(pa.array(back))


def _distinct(ids: pa.ChunkedArray, first: int) -> pa.ChunkedArray:
    """Ids that differ: a number that was put behind one may have made another row's of it.

    >>> _distinct(pa.chunked_array([["a", "a-2", "a-2"]]), 2).to_pylist()
    ['a', 'a-2', 'a-2-2']
    """
    if len(pc.unique(ids)) == len(ids):
        return ids
    found = ids.to_pylist()
    taken = set(found[:first])
    for place in range(first, len(found)):
        stem, times = found[place], 2
        while found[place] in taken:
            found[place], times = f"{stem}-{times}", times + 1
        taken.add(found[place])
    return pa.chunked_array([pa.array(found, pa.string())])


def _codes(values: pa.ChunkedArray) -> np.ndarray:
    """Numbers in order of first appearance, equal for equal values."""
    if not len(values):
        return np.empty(0, dtype=np.int64)
    encoded = values.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
