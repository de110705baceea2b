"""What the slices of a column are, and what is told of them."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfpipe.evaluation.bins import Bin, quartiles
from hfpipe.evaluation.slicing import MISSING, metrics_of_slice, parts_of, sliced
from hfpipe.metrics.tasks import task_of

BINARY = task_of("binary", ["no", "yes"])
NAN = float("nan")


def counts(values) -> dict[str, int]:
    """Slices in their order, and their rows."""
    parts = parts_of(values)
    found = np.bincount(parts.codes[parts.codes >= 0], minlength=len(parts.names))
    return dict(zip(parts.names, found.tolist(), strict=True))


def test_few_values_have_a_slice_each_and_the_most_frequent_comes_first():
    assert counts([3, 1, 3, None, 2, NAN, " "]) == {MISSING: 3, "3": 2, "1": 1, "2": 1}
    assert list(counts([3, 1, 3, None, 2, NAN, " "])) == [MISSING, "3", "1", "2"]
    assert len(counts(range(20))) == 20, "twenty numbers are few"
    names = [f"v{at}" for at in range(30) for _ in range(at + 1)]
    assert counts(names) == {f"v{at}": at + 1 for at in range(29, 9, -1)}
    assert (parts_of(names).codes == -1).sum() == 55, "the rows of v0 to v9 are in none"


def test_many_whole_numbers_are_cut_at_their_quartiles_in_rising_order():
    values = [*range(100, 0, -1), None]
    assert counts(values) == {"1-25": 25, "26-50": 25, "51-75": 25, "76-100": 25, MISSING: 1}
    assert list(counts(values)) == ["1-25", "26-50", "51-75", "76-100", MISSING]
    # A column with gaps holds its whole numbers as floats.
    assert list(counts([*map(float, range(1, 101)), NAN])) == list(counts(values))
    assert list(counts(range(-50, 50)))[:2] == ["-50 to -26", "-25 to -1"]
    assert list(counts(range(0, 4_000_000, 10_000)))[1] == "1,000,000-1,990,000"


def test_a_number_that_very_many_rows_have_is_a_slice_of_its_own():
    assert counts([0] * 60 + list(range(1, 41)))["0"] == 60
    below = counts([100] * 80 + list(range(25)))
    assert below == {"0-24": 25, "100": 80}
    middle = counts([50] * 50 + list(range(25)) + list(range(75, 100)))
    assert middle == {"0-24": 25, "50": 50, "75-99": 25}


@given(
    st.lists(
        st.one_of(
            st.floats(-1e6, 1e6), st.integers(-50, 50), st.floats(0, 1), st.sampled_from([0, 1.5])
        ),
        min_size=1,
        max_size=200,
    )
)
def test_bins_hold_what_their_names_say(numbers):
    found = quartiles(numbers)
    assert [value for value, _ in sorted(zip(numbers, found, strict=True))] == sorted(numbers)
    by_place = sorted({(each.place, str(each)) for each in found})
    assert len({name for _, name in by_place}) == len(by_place) <= 7
    # A greater number is never in an earlier bin, and equal ones are in the same.
    places = [each.place for _, each in sorted(zip(numbers, found, strict=True))]
    assert places == sorted(places)
    for value, name in zip(numbers, found, strict=True):
        assert holds(str(name), float(value)), (name, value)


def holds(name: str, value: float) -> bool:
    """Whether a number is what the name of its bin says, by the name alone."""
    bare = name.replace(",", "")
    if bare == "any":
        return True
    if bare.startswith("<= "):
        return value <= float(bare[3:])
    if bare.startswith("> "):
        low, _, high = bare[2:].partition(" to ")
        return float(low) < value <= float(high or "inf")
    low, split, high = bare.partition(" to ")
    if not split and "-" in bare[1:]:
        low, _, high = bare.partition("-")
    return float(low) <= value <= float(high or low)


def test_numbers_with_fractions_are_cut_where_the_name_says():
    values = np.random.default_rng(0).gamma(2.0, 3.0, 4000)
    found = counts(values.tolist())
    assert len(found) == 4
    assert next(iter(found)).startswith("<= ")
    assert list(found)[3].startswith("> ")
    assert all(abs(rows - 1000) <= 40 for rows in found.values()), "about a quarter each"
    first = float(next(iter(found))[3:])
    assert first == float(f"{first:.3g}"), "three digits are enough to read"
    assert found[next(iter(found))] == (values <= first).sum()
    # Numbers that differ in late digits only need them.
    close = [1000 + at / 1000 for at in range(100)]
    assert counts(close) == {
        "<= 1000.024": 25,
        "> 1000.024 to 1000.049": 25,
        "> 1000.049 to 1000.074": 25,
        "> 1000.074": 25,
    }


def test_infinite_numbers_do_not_break_the_bins():
    assert sum(counts([float("inf"), *[at / 7 for at in range(99)]]).values()) == 100


def test_dates_are_cut_by_month_or_by_year():
    days = [date(2024, 1, 1) + timedelta(days=at) for at in range(91)]
    by_month = {"2024-01": 31, "2024-02": 29, "2024-03": 31}
    assert counts(days) == by_month
    assert counts([f"{day}T10:00:00Z" for day in reversed(days)]) == by_month
    assert list(counts([str(day) for day in reversed(days)])) == list(by_month)
    assert counts([datetime(2024, 1, 1) + timedelta(days=at) for at in range(91)]) == by_month
    years = [date(2000 + at // 12, at % 12 + 1, 3) for at in range(36)]
    assert counts(years) == {"2000": 12, "2001": 12, "2002": 12}
    assert counts([date(1900 + at, 1, 1) for at in range(100)]) == {
        "1900-1924": 25,
        "1925-1949": 25,
        "1950-1974": 25,
        "1975-1999": 25,
    }
    mixed = [*map(str, days), "soon"]
    assert len(counts(mixed)) == 20, "one that is no date: the most frequent values, as ever"


def test_bins_keep_their_order_and_few_of_them_are_not_cut_again():
    few, many = Bin("1", 0), Bin("> 1", 1)
    assert list(counts([many, many, None, few])) == ["1", "> 1", MISSING]
    assert all(type(name) is str for name in parts_of([many, few]).names)


def test_a_slice_of_one_class_has_no_number_that_would_say_nothing():
    columns = {"side": ["l", "l", "r", "r", "r"]}
    truth, scores = np.array([1, 1, 0, 0, 1]), np.array([0.9, 0.2, 0.8, 0.1, 0.7])
    found = sliced(BINARY, truth, scores, columns, {})["side"]
    left = found["l"]
    assert (left["n"], left["accuracy"], left["recall"]) == (2, 0.5, 0.5)
    nothing = ["precision", "f1", "macro_f1", "average_precision", "roc_auc", "mcc"]
    assert [left[name] for name in nothing] == [None] * 6
    assert found["r"]["roc_auc"] == 0.5
    assert found["r"]["precision"] == 0.5
    topics = task_of("classification", ["a", "b", "c"])
    alone = metrics_of_slice(topics, np.array([1, 1]), np.eye(3)[[1, 2]])
    assert (alone["accuracy"], alone["macro_f1"]) == (0.5, None)
    number = metrics_of_slice(task_of("regression"), np.array([2.0]), np.array([1.0]))
    assert (number["n"], number["rmse_raw"], number["r2_raw"]) == (1, 1.0, None)


@pytest.mark.parametrize("values", [[], [None, None]], ids=["no rows", "nothing in any"])
def test_a_column_without_values(values):
    assert counts(values) == ({MISSING: 2} if values else {})
