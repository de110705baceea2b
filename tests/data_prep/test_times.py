"""Times: every usual way to write one is read; the latest row of a key is the only fresh one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.times import NO_TIME, gap_between, latest_rows, missing_times, parse_gap, parse_times
from hfpipe.errors import UserError

DAY = 86400 * 10**6
ZONES = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(
    datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.one_of(st.none(), ZONES)
)


def times(values, kind=None):
    return parse_times(pa.chunked_array([pa.array(values, kind)]), "when")


def microseconds(moment):
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (zoned - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@given(moments=st.lists(st.one_of(st.none(), MOMENTS), max_size=8), separator=st.sampled_from("T "))
@settings(max_examples=35, deadline=None, derandomize=True)
def test_iso_text_is_read_as_the_standard_library_reads_it(moments, separator):
    texts = [moment and moment.isoformat(separator) for moment in moments]
    expected = [NO_TIME if moment is None else microseconds(moment) for moment in moments]
    if any(moments):
        assert times(texts, pa.string()).tolist() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-02", DAY),
        ("1970-01-01T00:00:01Z", 10**6),
        ("1970-01-01 00:00:01.5", 1_500_000),
        ("1970-01-01T01:00+01:00", 0),
        ("1970-01-01T01:00:00+0100", 0),
        ("19700102", DAY),
        ("1970-W01-5", DAY),
        ("1970-01-01T00:00:00.123456789Z", 123456),
        (" 1970-01-02 ", DAY),
    ],
)
def test_ways_to_write_a_time(text, expected):
    # A second row, in another way, so that no row decides for all.
    assert times([text, "1970-01-01T12:00"]).tolist() == [expected, DAY // 2]


def test_dates_and_timestamps_of_any_unit_and_zone_are_microseconds_in_utc():
    assert times([date(1970, 1, 2), None]).tolist() == [DAY, NO_TIME]
    for unit in ("s", "ms", "us", "ns"):
        assert times([datetime(1970, 1, 2)], pa.timestamp(unit)).tolist() == [DAY]
    assert times([datetime(1970, 1, 2, tzinfo=UTC)], pa.timestamp("s", "Asia/Tokyo")).tolist() == [
        DAY
    ]
    assert missing_times(times([date(1970, 1, 2), None])).tolist() == [False, True]


def test_numbers_stay_numbers_also_as_text():
    assert times([3, None, 1]).tolist()[::2] == [3.0, 1.0]
    assert times(["2024", "2025.5", ""]).tolist()[:2] == [2024.0, 2025.5]
    assert missing_times(times(["2024", ""])).tolist() == [False, True]
    assert times([None, None]).dtype == np.float64
    assert times(["a", "a"][:0], pa.string()).tolist() == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["2026-01-01", "yesterday"], "'yesterday' in row 2 is no time"),
        (["2026-04-31", "2026-01-01"], "'2026-04-31' in row 1 is no time"),
        (["2026-01-01", "2026-02-30T10:00:00Z"], "'2026-02-30T10:00:00Z' in row 2"),
        (["2026-01-01", "1767225600"], "'1767225600' in row 2 is no time"),
        (["2026-01-01T25:00"], "'2026-01-01T25:00' in row 1"),
        ([1.0, float("inf")], "'inf' in row 2"),
        ([True, False], "holds bool, not times"),
        ([["2026-01-01"]], "holds list"),
    ],
)
def test_what_is_no_time_is_named_with_its_row(values, message):
    with pytest.raises(UserError, match="column 'when'") as raised:
        times(values)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_gaps_have_a_unit_for_times_and_none_for_numbers():
    assert [parse_gap(gap) for gap in ("90s", "30m", "12h", "7d", "2w")] == [
        90 * 10**6,
        DAY // 48,
        DAY // 2,
        7 * DAY,
        14 * DAY,
    ]
    assert gap_between("1.5d", times(["2026-01-01"]), "when") == 1.5 * DAY
    assert gap_between(None, times([1]), "when") == 0
    with pytest.raises(UserError, match="holds times: give a unit too, as 7d"):
        gap_between("7", times(["2026-01-01"]), "when")
    with pytest.raises(UserError, match="holds plain numbers"):
        gap_between("7d", times([1]), "when")
    for wrong in ("-1d", "d", "7 fortnights", "1e3", "nan"):
        with pytest.raises(UserError, match="write a number with s, m, h, d or w"):
            parse_gap(wrong)


KEYED = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.sampled_from([7, 30, None]),
        st.one_of(st.none(), st.integers(0, 3)),
    ),
    max_size=25,
)


@given(rows=KEYED)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_row_is_stale_when_another_one_of_its_key_is_later(rows):
    keys = pa.table(
        {
            "id": pa.array([row[0] for row in rows], pa.string()),
            "horizon": pa.array([row[1] for row in rows], pa.int64()),
        }
    )
    when = [row[2] for row in rows]

    def later(one, two):
        """Whether row one beats row two: by time, then by place."""
        rank = [(-1 if when[row] is None else when[row], row) for row in (one, two)]
        return rank[0] > rank[1]

    expected = [
        None not in row[:2]
        and any(rows[other][:2] == row[:2] and later(other, place) for other in range(len(rows)))
        for place, row in enumerate(rows)
    ]
    assert latest_rows(keys, pa.chunked_array([pa.array(when, pa.int64())])).tolist() == expected


def test_times_of_captures_are_compared_as_times_not_as_text():
    keys = pa.table({"id": ["a", "a"]})
    # 23:30 in New York is later than 03:00 in London of the next day.
    captures = pa.chunked_array([["2026-01-01T23:30:00-05:00", "2026-01-02T03:00:00+00:00"]])
    assert latest_rows(keys, captures, "captured_at").tolist() == [False, True]
