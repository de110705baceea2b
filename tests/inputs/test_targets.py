"""Labels: to what a loss takes and back, for every task."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfpipe.errors import UserError
from hfpipe.inputs.targets import LabelSpec, fit_label
from tests.inputs.support import rows


def test_classes_are_the_sorted_labels_of_train():
    train = rows(y=["b", "a", None, "c", "a"])
    spec = fit_label(train, "y", "the data")
    assert spec == LabelSpec("y", "classification", ["a", "b", "c"])
    assert (spec.outputs, spec.problem_type) == (3, "single_label_classification")
    found = spec.encode(train, "the data")
    assert found.tolist() == [1, 0, -1, 2, 0]
    assert found.dtype == np.int64
    assert spec.decode(found[[0, 3]]) == ["b", "c"]


@pytest.mark.parametrize(
    ("values", "positive", "labels"),
    [
        ([0, 1, 1, 1], None, ["0", "1"]),
        ([True, False, True], None, ["false", "true"]),
        (["yes", "no", "yes"], None, ["no", "yes"]),
        (["influencer", "observer", "observer"], None, ["observer", "influencer"]),
        (["b", "a"], None, ["a", "b"]),
        (["influencer", "observer", "observer"], "observer", ["influencer", "observer"]),
    ],
)
def test_the_positive_class_of_a_binary_model_is_the_last(values, positive, labels):
    train = rows(y=values)
    spec = fit_label(train, "y", "the data", "binary", positive=positive)
    assert spec.labels == labels
    assert (spec.outputs, spec.problem_type) == (1, "binary")
    found = spec.encode(train, "the data")
    assert found.dtype == np.float32
    assert spec.decode(found) == [str(value).lower() for value in values]


def test_a_binary_row_without_a_label_is_marked():
    spec = fit_label(rows(y=[0, 1]), "y", "the data", "binary")
    assert np.array_equal(spec.encode(rows(y=[1, None]), "x"), [1, np.nan], equal_nan=True)


@given(
    sets=st.lists(
        st.one_of(st.none(), st.lists(st.sampled_from("abcd"), max_size=4)), min_size=1, max_size=8
    ).filter(any)
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_label_sets_come_back_as_they_were(sets):
    train = rows(y=sets)
    spec = fit_label(train, "y", "the data", "multi_label")
    assert spec.labels == sorted({name for each in sets for name in each or []})
    marks = spec.encode(train, "the data")
    assert marks.shape == (len(sets), spec.outputs)
    for each, row in zip(sets, marks, strict=True):
        if each is None:
            assert np.isnan(row).all()
        else:
            assert spec.decode(row[None])[0] == sorted(set(each))


@given(values=st.lists(st.floats(0, 1e6), min_size=2, max_size=9, unique=True), log1p=st.booleans())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_targets_come_back_in_their_own_unit(values, log1p):
    train = rows(y=values)
    spec = fit_label(train, "y", "the data", "regression", log1p=log1p)
    found = spec.encode(train, "the data")
    assert found.dtype == np.float32
    assert np.allclose(found, np.log1p(values) if log1p else values, rtol=1e-6)
    # float32 keeps seven digits of the logarithm.
    assert np.allclose(spec.inverse(found), values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "options", "complaint"),
    [
        (["a", "a"], {}, "the data: column 'y' has 1 class(es) in train; need two"),
        ([None, " "], {}, "the data: column 'y' has 0 class(es) in train; need two"),
        (["a", "b", "c"], {"task": "binary"}, "the data: column 'y' has 3 classes in train, and a"),
        (["a", "b"], {"task": "binary", "positive": "c"}, "the data: column 'y' has no class 'c'"),
        (["a", "b"], {"task": "multi_label"}, "the data: column 'y' holds string; a multi-label"),
        ([[], None], {"task": "multi_label"}, "the data: column 'y' has 0 class(es) in train"),
        ([1.0, 1.0], {"task": "regression"}, "the data: column 'y' has fewer than two numbers"),
        (["1", "x"], {"task": "regression"}, "the data: row 'b': 'y' is 'x', which is no number"),
        ([1, float("inf")], {"task": "regression"}, "the data: row 'b': 'y' is infinite"),
        ([1, -1], {"task": "regression", "log1p": True}, "the data: row 'b': 'y' is -1, and log1p"),
        (["a", "b"], {"task": "regresion"}, "no task 'regresion'; did you mean 'regression'?"),
    ],
)
def test_labels_that_cannot_be_learnt_are_refused(values, options, complaint):
    with pytest.raises(UserError) as refused:
        fit_label(rows(y=values), "y", "the data", **options)
    assert str(refused.value).startswith(complaint)


@pytest.mark.parametrize(
    ("train", "later", "task"),
    [
        (["cat", "dog"], ["dog", "cta"], "classification"),
        (["cat", "dog"], ["dog", "cta"], "binary"),
        ([["cat"], ["dog"]], [["dog"], ["cat", "cta"]], "multi_label"),
    ],
)
def test_a_label_outside_the_map_is_refused_with_its_row(train, later, task):
    spec = fit_label(rows(y=train), "y", "the data", task)
    with pytest.raises(UserError) as refused:
        spec.encode(rows(y=later), "the rows")
    assert str(refused.value) == (
        "the rows: row 'b': label 'cta' is not one of the model's 2; did you mean 'cat'?"
    )
