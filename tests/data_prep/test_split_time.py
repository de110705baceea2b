"""Splitting by time: never backwards, gaps left out, nothing that straddles a border."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_prep.splitting import split_rows
from hfpipe.errors import UserError
from tests.data_prep.splits import SIZES, check_partition, request_of, sizes_of, straddling

DAY = 86_400_000_000


@given(
    times=st.lists(st.integers(0, 40), min_size=3, max_size=60),
    units=st.none() | st.integers(2, 20),
    gap=st.integers(0, 5),
    sizes=SIZES,
    kind=st.sampled_from([np.int64, np.float64]),
    draws=st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_later_splits_are_later_by_more_than_the_gap(times, units, gap, sizes, kind, draws):
    codes = None if units is None else [draws.randint(0, units) for _ in times]
    request = request_of(
        ["a"] * len(times), sizes, times=np.array(times, dtype=kind), gap=gap, units=codes
    )
    try:
        assignment = split_rows("time", request)
    except UserError:
        assume(False)
    check_partition(assignment, len(times))
    splits, when = assignment.splits, np.array(times)
    ends = [(when[splits == split].min(), when[splits == split].max()) for split in range(3)]
    assert ends[1][0] - ends[0][1] > gap
    assert ends[2][0] - ends[1][1] > gap
    if codes is not None:
        assert straddling(np.array(codes), splits) == []
    # What was dropped had to go: put back, it would be too near, or in two splits.
    for at in assignment.dropped.get("time_gap", []):
        nearest = max((end for _, end in ends if end <= when[at]))
        assert when[at] - nearest <= gap
    for at in assignment.dropped.get("straddles_time", []):
        before = (splits >= 0) & (when < when[at])
        assert codes[at] in np.array(codes)[before]


@given(times=st.lists(st.integers(0, 40), min_size=20, max_size=80), sizes=SIZES)
@settings(max_examples=40, deadline=None)
def test_borders_are_at_the_changes_of_time_nearest_to_the_shares(times, sizes):
    request = request_of(["a"] * len(times), sizes, times=times)
    assume(len(set(times)) > 2)
    splits = split_rows("time", request).splits
    assert straddling(np.array(times), splits) == []
    borders = [sum(time < each for time in times) for each in sorted(set(times))[1:]]
    train, validation, _ = sizes_of(splits)
    first, second = (round(len(times) * share) for share in (sizes[0], sizes[0] + sizes[1]))
    assert abs(train - first) == min(abs(each - first) for each in borders[:-1])
    after = [each for each in borders if each > train]
    assert abs(train + validation - second) == min(abs(each - second) for each in after)


def test_distinct_times_are_cut_at_the_shares():
    times = np.random.default_rng(0).permutation(1000)
    request = request_of(["a", "b"] * 500, (0.7, 0.2, 0.1), times=times)
    splits = split_rows("time", request).splits
    assert np.array_equal(splits, np.digitize(times, [700, 900]))


def test_a_gap_of_seven_days_drops_seven_days():
    days = np.arange(100, dtype=np.int64) * DAY + 1_700_000_000_000_000
    request = request_of(["a", "b"] * 50, (0.6, 0.2, 0.2), times=days, gap=7 * DAY)
    assignment = split_rows("time", request)
    assert sizes_of(assignment.splits) == [60, 13, 13]
    assert assignment.dropped["time_gap"].tolist() == [*range(60, 67), *range(80, 87)]


def test_rows_of_a_unit_are_dropped_from_the_later_split():
    units = list(range(20))
    units[11], units[13], units[17], units[18] = 0, 12, 12, 13
    request = request_of(["a"] * 20, (0.5, 0.25, 0.25), times=list(range(20)), units=units)
    assignment = split_rows("time", request)
    # 11 is with 0 in train; 17 with 12 in validation; 18 shares nothing that is kept elsewhere.
    assert {why: rows.tolist() for why, rows in assignment.dropped.items()} == {
        "straddles_time": [11, 17]
    }
    assert sizes_of(assignment.splits) == [10, 4, 4]


def test_a_unit_whose_earlier_row_fell_into_the_gap_is_kept():
    units = list(range(20))
    units[15] = 10
    request = request_of(["a"] * 20, (0.5, 0.25, 0.25), times=list(range(20)), units=units, gap=1)
    assignment = split_rows("time", request)
    assert {why: rows.tolist() for why, rows in assignment.dropped.items()} == {
        "time_gap": [10, 15]
    }
    units[16] = 10
    request = request_of(["a"] * 20, (0.5, 0.25, 0.25), times=list(range(20)), units=units, gap=1)
    assert split_rows("time", request).splits[16] == 2


@given(
    pins=st.lists(st.integers(0, 2), max_size=20).map(sorted),
    new=st.lists(st.integers(0, 60), min_size=6, max_size=40),
    gap=st.integers(0, 3),
    draws=st.randoms(use_true_random=False),
)
@settings(max_examples=50, deadline=None)
def test_rows_of_an_earlier_version_keep_their_split_and_their_order_in_time(pins, new, gap, draws):
    # Earlier rows at 0, 4, 8, …: further apart than any gap.
    times = [4 * i for i in range(len(pins))] + new
    pinned = pins + [-1] * len(new)
    units = [draws.randint(0, 30) for _ in new]
    units = list(range(100, 100 + len(pins))) + units
    request = request_of(
        ["a"] * len(times), (0.5, 0.25, 0.25), times=times, pinned=pinned, gap=gap, units=units
    )
    try:
        assignment = split_rows("time", request)
    except UserError:
        assume(False)
    check_partition(assignment, len(times))
    splits, when = assignment.splits, np.array(times)
    assert splits[: len(pins)].tolist() == pins
    for split in (0, 1):
        assert when[splits == split].max() + gap < when[splits == split + 1].min()
    assert straddling(np.array(units), splits) == []


def test_a_unit_of_an_earlier_test_row_leaves_train():
    units = [*range(19), 2]
    pinned = [-1] * 19 + [2]
    request = request_of(
        ["a"] * 20, (0.5, 0.25, 0.25), times=list(range(20)), units=units, pinned=pinned
    )
    assignment = split_rows("time", request)
    assert assignment.dropped["straddles_time"].tolist() == [2]
    assert assignment.splits[19] == 2


REFUSED = {
    "missing times": (
        {"times": np.array([1, 2, np.iinfo(np.int64).min, 4] * 5)},
        ("--time-column: 5 rows have no time (of 20)",),
    ),
    "one missing number": (
        {"times": np.array([np.nan, *range(19)])},
        ("--time-column: 1 row has no time (of 20)",),
    ),
    "two times": (
        {"times": [1, 2] * 10},
        ("2 different times among 20 rows are too few for three splits",),
    ),
    "a gap that takes all": (
        {"times": list(range(20)), "gap": 100},
        ("split 'validation' would be empty", "smaller gap"),
    ),
    "earlier rows not in order of time": (
        {"times": list(range(20)), "pinned": [2, 0] + [-1] * 18},
        ("not divided by time", "--incremental"),
    ),
    "a class that comes up late": (
        {"labels": ["a"] * 18 + ["b"] * 2, "times": list(range(20))},
        ("class 'b' has no train row", "--drop-labels 'b'"),
    ),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_cannot_be_split_by_time_is_said_in_one_line(case):
    rows, said = REFUSED[case]
    with pytest.raises(UserError) as refused:
        split_rows("time", request_of(**{"labels": ["a"] * 20, **rows}))
    assert all(part in str(refused.value) for part in said), str(refused.value)
    assert "\n" not in str(refused.value)
