"""Categories: numbered on train; what train did not have, and what is missing, is 0."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from hfpipe.errors import UserError
from hfpipe.inputs.encoding import unseen_categories
from hfpipe.recipe import Input
from tests.inputs.support import fit, one, rows

TEXTS = st.one_of(st.none(), st.text("abc ", max_size=2))


def categorical(*columns: str, **options) -> Input:
    return Input("categorical", list(columns), **options)


@given(
    train=st.lists(TEXTS, min_size=1, max_size=12).filter(
        lambda values: any(value and value.strip() for value in values)
    ),
    later=st.lists(TEXTS, min_size=1, max_size=8),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_codes_follow_the_sorted_categories_of_train(train, later):
    processor = fit(rows(c=train, k=["z"] * len(train)), it=categorical("c", "k"))
    known = sorted({value for value in train if value and value.strip()})
    expected = [known.index(value) + 1 if value in known else 0 for value in later]
    found = one(processor, rows(c=later, k=["z"] * len(later)))["codes"]
    assert found[:, 0].tolist() == expected
    assert found[:, 1].tolist() == [1] * len(later)
    assert processor.schema() == {"it": {"kind": "categorical", "sizes": [len(known) + 1, 2]}}


def test_numbers_and_booleans_are_categories_whatever_their_type_is_later():
    train = rows(n=[1, 2, None], flag=[True, False, None], other=["x"] * 3)
    processor = fit(train, it=categorical("n", "flag", "other"))
    assert processor.inputs["it"].vocabularies == [["1", "2"], ["false", "true"], ["x"]]
    # A gap made floats of whole numbers; a CSV file made text of booleans, or of both.
    for n, flag in (([2.0, None], ["false", None]), (["2", " "], [False, None])):
        later = rows(n=n, flag=flag, other=["x"] * 2)
        assert one(processor, later)["codes"].tolist() == [[2, 1, 1], [0, 0, 1]]


def test_class_labels_are_their_names():
    features = Features({"c": ClassLabel(names=["low", "high"]), "y": Value("string")})
    train = Dataset.from_dict({"c": [0, 1, -1, 1], "y": ["0", "1", "0", "1"]}, features=features)
    processor = fit(train, it=categorical("c"))
    assert processor.inputs["it"].vocabularies == [["high", "low"]]
    assert one(processor, rows(c=["low", "high"]))["codes"].tolist() == [[2], [1]]
    assert one(processor, train.select([0, 1]))["codes"].tolist() == [[2], [1]]


def test_unseen_categories_are_counted_row_by_row_and_missing_ones_are_not():
    processor = fit(rows(c=["a", "b"], d=["x", "x"]), it=categorical("c", "d"))
    later = rows(c=["a", "new", "newer", "new", None], d=["x"] * 5)
    assert unseen_categories(processor, later) == {"c": 3, "d": 0}
    assert one(processor, later)["codes"].tolist() == [[1, 1]] + [[0, 1]] * 4


def test_a_column_of_too_many_categories_is_refused_with_their_number_and_the_fix():
    train = rows(c=[f"c{at}" for at in range(1234)])
    with pytest.raises(UserError) as refused:
        fit(train, it=categorical("c"))
    assert str(refused.value) == (
        "the data: column 'c' has 1,234 categories in train, and at most 1,000 are allowed: leave "
        "it out, or raise data.inputs.it.max_categories"
    )
    processor = fit(train, it=categorical("c", max_categories=1234))
    codes = one(processor, train)["codes"]
    assert np.array_equal(np.sort(codes[:, 0]), np.arange(1, 1235))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([None, " "], "the data: column 'c' has no category in train: leave it out"),
        ([["a"], ["b"]], "the data: column 'c' holds list<item: string>; a category is one value"),
        ([b"a", b"b"], "the data: column 'c' holds binary; a category is one value"),
    ],
)
def test_columns_without_categories_are_refused(values, complaint):
    with pytest.raises(UserError) as refused:
        fit(rows(c=values), it=categorical("c"))
    assert str(refused.value).startswith(complaint)
