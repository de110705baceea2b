"""Numbers: standardised by train's figures, with its median and a mark where one is missing."""

from __future__ import annotations

import statistics
from datetime import datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfpipe.errors import UserError
from hfpipe.recipe import Input
from tests.inputs.support import fit, one, rows

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3))


def numeric(*columns: str, **options) -> Input:
    return Input("numeric", list(columns), **options)


def test_values_are_standardised_by_the_mean_and_deviation_of_train():
    train = rows(age=[1.0, 3.0, 5.0, 7.0])
    processor = fit(train, person=numeric("age"))
    # Mean 4, population variance (9 + 1 + 1 + 9) / 4 = 5.
    expected = (np.array([[1.0], [3.0], [5.0], [7.0]]) - 4) / np.sqrt(5)
    assert np.allclose(one(processor, train)["values"], expected)
    assert np.allclose(one(processor, rows(age=[14.0]))["values"], [[10 / np.sqrt(5)]])


@given(
    train=st.lists(st.one_of(st.none(), NUMBERS), min_size=1, max_size=20).filter(
        lambda values: len({value for value in values if value is not None}) > 1
    ),
    later=st.lists(st.one_of(st.none(), NUMBERS), min_size=2, max_size=5).filter(
        lambda values: any(value is not None for value in values)
    ),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_what_is_missing_becomes_the_median_of_train_and_is_marked(train, later):
    # The other column keeps rows without a number from being empty altogether.
    processor = fit(rows(n=train, other=[0] * len(train)), it=numeric("n", "other"))
    found = one(processor, rows(n=later, other=[0] * len(later)))
    there = [value for value in train if value is not None]
    median, mean, std = statistics.median(there), statistics.fmean(there), statistics.pstdev(there)
    for row, value in enumerate(later):
        expected = ((median if value is None else value) - mean) / std
        assert found["values"][row, 0] == pytest.approx(expected, rel=1e-5, abs=1e-4)
        assert found["missing"][row, 0] == (value is None)


def test_the_logarithm_is_taken_of_the_named_columns_only():
    train = rows(views=[0, 9, 99], age=[0, 9, 99])
    processor = fit(train, it=numeric("views", "age", log1p=["views"]))
    values = one(processor, train)["values"]
    logs = np.log1p([0.0, 9.0, 99.0])
    assert np.allclose(values[:, 0], (logs - logs.mean()) / logs.std(), atol=1e-6)
    assert np.allclose(values[:, 1], (np.array([0, 9, 99]) - 36) / np.std([0, 9, 99]), atol=1e-6)
    both = fit(train, it=numeric("views", "age", log1p=True))
    assert np.allclose(one(both, train)["values"][:, 1], values[:, 0])


@pytest.mark.parametrize("value", [7.0, 0.1, -3.3e5])
def test_a_constant_column_becomes_zero_and_leaves_others_finite(value):
    processor = fit(rows(n=[value] * 7), it=numeric("n"))
    values = one(processor, rows(n=[value, value + 1]))["values"]
    assert values[:, 0] == pytest.approx([0, 1], abs=1e-6)


def test_booleans_decimals_and_spelt_numbers_are_numbers():
    train = rows(
        flag=[True, False, None, True],
        price=[Decimal("1.50"), Decimal("2.50"), None, Decimal("1.50")],
        text=["1.5", " 2.5 ", " ", "nan"],
        large=[2**60, 0, None, 2**60],
    )
    train = train.add_column("other", [0] * 4)
    processor = fit(train, it=numeric("flag", "price", "text", "large", "other"))
    found = one(processor, train)
    expected = [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 0]]
    assert found["missing"][:, :4].tolist() == expected
    assert np.allclose(found["values"][:2, 1], [-1 / np.sqrt(2), np.sqrt(2)])
    assert np.allclose(found["values"][:2, 2], [-1, 1])
    assert np.allclose(found["values"][:2, 0], [1 / np.sqrt(2), -np.sqrt(2)])


def test_nan_is_missing_and_all_missing_columns_of_a_later_split_are_too():
    processor = fit(rows(n=[1.0, 3.0], m=[1, 3]), it=numeric("n", "m"))
    found = one(processor, rows(n=[float("nan"), 1.0], m=[1, 1]))
    assert found["missing"].tolist() == [[1, 0], [0, 0]]
    later = one(processor, rows(n=[None, None], m=[1, 1]))
    assert later["missing"].tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize(
    ("later", "complaint"),
    [
        ({"n": [1.0, float("inf")]}, "the rows: row 'b': 'n' is infinite"),
        ({"n": [1.0, -float("inf")]}, "the rows: row 'b': 'n' is infinite"),
        ({"n": ["1", "2 apples"]}, "the rows: row 'b': 'n' is '2 apples', which is no number"),
        ({"n": [[1.0], [2.0]]}, "the rows: column 'n' holds list<item: double>"),
        ({"n": [datetime(2026, 1, 1)] * 2}, "the rows: column 'n' holds timestamp"),
        ({"n": [1.0, -2.0]}, "the rows: row 'b': 'n' is -2, and log1p needs more than -1"),
        ({"m": [1.0, 1.0]}, "the rows has no column 'n'; there is 'row_id', 'm'"),
    ],
)
def test_what_is_no_number_is_refused_with_its_row_and_column(later, complaint):
    processor = fit(rows(n=[1.0, 2.0]), it=numeric("n", log1p=True))
    with pytest.raises(UserError) as refused:
        one(processor, rows(**later))
    assert str(refused.value).startswith(complaint)
    assert "\n" not in str(refused.value)


def test_a_number_too_large_once_it_is_standardised_is_refused():
    processor = fit(rows(n=[1.0, 1.001]), it=numeric("n"))
    with pytest.raises(UserError, match=r"row 'a': 'n' is 1e\+300: too large"):
        one(processor, rows(n=[1e300]))


@pytest.mark.parametrize(
    ("train", "options", "complaint"),
    [
        ([None, float("nan")], {}, "the data: column 'n' has no number in train: leave it out"),
        ([" ", None], {}, "the data: column 'n' has no number in train: leave it out"),
        ([1.0, float("inf")], {}, "the data: row 'b': 'n' is infinite"),
        ([1e308, -1e308], {}, "the data: column 'n' has numbers too large"),
        ([1.0, -1.0], {"log1p": True}, "the data: row 'b': 'n' is -1, and log1p needs"),
        ([1.0, 2.0], {"log1p": ["m"]}, "data.inputs.it.log1p: no column 'm' in its columns"),
        ([1.0, 2.0], {"log1p": 3}, "data.inputs.it.log1p: '3': give true, false or column names"),
    ],
)
def test_a_train_split_that_cannot_be_fitted_is_refused(train, options, complaint):
    with pytest.raises(UserError) as refused:
        fit(rows(n=train), it=numeric("n", **options))
    assert str(refused.value).startswith(complaint)
