"""Points in time: a column of them as numbers, a gap between two, the latest row of a key."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hfpipe.errors import UserError

#: What stands for a missing time among microseconds; among plain numbers it is NaN.
NO_TIME = np.iinfo(np.int64).min

_MICROSECONDS = {"s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
_MICROSECONDS["w"] = 7 * _MICROSECONDS["d"]
_GAP = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)")
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
# What Arrow reads itself, a million a second; every other way to write ISO 8601 is read by Python.
_PLAIN = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?$"
_ZONED = r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)$"


def parse_times(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """A column of times as numbers that can be compared.

    ISO 8601 text, timestamps and dates become whole microseconds since 1970 in UTC; a time that
    names no zone is taken as UTC. Numbers (a year, a step, seconds since anything), also written
    as text in every row, stay numbers.

    Args:
        column: Text, timestamps, dates or numbers.
        name: The column's name, for complaints.

    Returns:
        (rows,) int64 microseconds with ``NO_TIME`` where there is none, or float64 with NaN.

    Raises:
        UserError: A value is no time, or the column holds something else.

    >>> parse_times(pa.chunked_array([["1970-01-02", None]]), "day").tolist()
    [86400000000, -9223372036854775808]
    >>> parse_times(pa.chunked_array([[2024, 2025]]), "year")
    array([2024., 2025.])
    >>> parse_times(pa.chunked_array([["1970-01-01", "soon"]]), "day")
    Traceback (most recent call last):
    hfpipe.errors.UserError: column 'day': 'soon' in row 2 is no time: write ISO 8601, as 2026-01-31 or 2026-01-31T12:00:00Z, or numbers in every row
    """  # noqa: E501
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
        kind = values.type
    if pa.types.is_null(kind):
        return np.full(len(values), np.nan)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _numbers(values.cast(pa.float64(), safe=False), name)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _microseconds(values, name)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _from_text(values.cast(pa.large_string()), name)
    raise UserError(f"column '{name}' holds {kind}, not times: name another column")


def missing_times(times: np.ndarray) -> np.ndarray:
    """Which of the times that ``parse_times`` gave are missing: (rows,) bool."""
    return np.isnan(times) if times.dtype.kind == "f" else times == NO_TIME


def parse_gap(gap: str | float) -> int | float:
    """A length of time: with a unit whole microseconds, without one a plain number.

    Args:
        gap: ``90s``, ``30m``, ``12h``, ``7d``, ``2w``, or a number in the unit of the column.

    Raises:
        UserError: It is neither.

    >>> parse_gap("7d") == 7 * 24 * parse_gap("60m"), parse_gap("3600"), parse_gap(2)
    (True, 3600.0, 2.0)
    >>> parse_gap("a week")
    Traceback (most recent call last):
    hfpipe.errors.UserError: --gap a week: write a number with s, m, h, d or w behind it, as 7d, or a plain number where the time column holds numbers
    """  # noqa: E501
    read = _GAP.fullmatch(str(gap).strip().lower())
    if read is None:
        raise UserError(
            f"--gap {gap}: write a number with s, m, h, d or w behind it, as 7d, or a plain "
            "number where the time column holds numbers"
        )
    number, unit = read.groups()
    return round(float(number) * _MICROSECONDS[unit]) if unit else float(number)


def gap_between(gap: str | float | None, times: np.ndarray, name: str) -> float:
    """A gap in the unit of the times; 0 for none.

    Raises:
        UserError: It has a unit and the times are plain numbers, or the other way round.

    >>> gap_between("2", np.array([1.0, 5.0]), "step")
    2.0
    """
    length = parse_gap(gap) if gap is not None else 0
    if not length:
        return 0.0
    if isinstance(length, int) and times.dtype.kind == "f":
        raise UserError(
            f"--gap {gap}: column '{name}' holds plain numbers: give the gap as a number too"
        )
    if isinstance(length, float) and times.dtype.kind != "f":
        raise UserError(f"--gap {gap}: column '{name}' holds times: give a unit too, as {gap}d")
    return float(length)


def latest_rows(
    keys: pa.Table, times: pa.ChunkedArray | np.ndarray, name: str = "time"
) -> np.ndarray:
    """Mark the rows that are stale: another row with the same key has a later time.

    Of equal times the later row in the input wins; a row without a time loses to one with a time.
    A row that lacks a part of its key is nobody's namesake and never stale.

    Args:
        keys: The key columns, (rows,) each.
        times: (rows,) a column of times, or what ``parse_times`` made of it.
        name: The time column's name, for complaints.

    Returns:
        (rows,) bool; exactly one row of each key is not marked.

    Raises:
        UserError: A time cannot be read.

    >>> keys = pa.table({"id": ["a", "b", "a"]})
    >>> latest_rows(keys, pa.chunked_array([["2026-01-02", "2026-01-01", "2026-01-01"]]))
    array([False, False,  True])
    """
    rows = keys.num_rows
    when = times if isinstance(times, np.ndarray) else parse_times(times, name)
    if when.dtype.kind == "f":
        when = np.where(np.isnan(when), -np.inf, when)
    codes = np.zeros(rows, dtype=np.int64)
    alone = np.zeros(rows, dtype=bool)
    for column in keys.columns:
        encoded = column.combine_chunks().dictionary_encode() if rows else None
        if encoded is None:
            continue
        indices = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
        alone |= column.is_null().to_numpy()
        # Renumbered after each column, so that the product never leaves int64.
        _, codes = np.unique(codes * max(len(encoded.dictionary), 1) + indices, return_inverse=True)
    order = np.lexsort((np.arange(rows), when, codes))
    order = order[~alone[order]]
    stale = np.zeros(rows, dtype=bool)
    stale[order[:-1]] = codes[order[:-1]] == codes[order[1:]]
    return stale


def _numbers(values: pa.Array, name: str) -> np.ndarray:
    numbers = values.fill_null(np.nan).to_numpy(zero_copy_only=False)
    endless = np.flatnonzero(np.isinf(numbers))
    if len(endless):
        raise _no_time(str(numbers[endless[0]]), int(endless[0]), name)
    return np.asarray(numbers, dtype=np.float64)


def _microseconds(values: pa.Array, name: str) -> np.ndarray:
    zone = values.type.tz if pa.types.is_timestamp(values.type) else None
    try:
        cast = values.cast(pa.timestamp("us", zone), safe=False)
    except pa.ArrowInvalid as error:
        raise UserError(f"column '{name}': {str(error).splitlines()[0]}") from error
    filled = cast.cast(pa.int64()).fill_null(NO_TIME)
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.int64)


def _from_text(values: pa.Array, name: str) -> np.ndarray:
    bare = pc.utf8_trim_whitespace(values)
    bare = pc.if_else(pc.equal(bare, ""), None, bare)
    said = bare.drop_null()
    if len(said) and pc.all(pc.match_substring_regex(said, _NUMBER)).as_py():
        return _numbers(bare.cast(pa.float64()), name)
    times = np.full(len(bare), NO_TIME, dtype=np.int64)
    rest = bare.is_valid().to_numpy(zero_copy_only=False)
    for pattern, kind in ((_PLAIN, pa.timestamp("us")), (_ZONED, pa.timestamp("us", "UTC"))):
        marks = pc.match_substring_regex(bare, pattern).fill_null(False)
        try:
            read = bare.filter(marks).cast(kind)
        except pa.ArrowInvalid:  # a 31st of April: Python finds which
            continue
        chosen = marks.to_numpy(zero_copy_only=False)
        times[chosen] = read.cast(pa.int64()).to_numpy(zero_copy_only=False)
        rest &= ~chosen
    for place in np.flatnonzero(rest).tolist():
        times[place] = _read_iso(bare[place].as_py(), place, name)
    return times


def _read_iso(value: str, place: int, name: str) -> int:
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        raise _no_time(value, place, name) from None
    zoned = read if read.tzinfo else read.replace(tzinfo=UTC)
    since = zoned - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 10**6 + since.microseconds


def _no_time(value: str, place: int, name: str) -> UserError:
    shown = value if len(value) <= 60 else f"{value[:60]}…"
    return UserError(
        f"column '{name}': '{shown}' in row {place + 1} is no time: write ISO 8601, as 2026-01-31 "
        "or 2026-01-31T12:00:00Z, or numbers in every row"
    )
