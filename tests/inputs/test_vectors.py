"""Vectors and sequences of them: one dimension, settled on train; nothing that is no number."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from datasets import Array2D, Dataset, Features
from hypothesis import given, settings
from hypothesis import strategies as st

from hfpipe.errors import UserError
from hfpipe.recipe import Input
from tests.inputs.support import batch, encoded, fit, one, rows

VECTOR = Input("vector", ["v"])
MAYBE = Input("vector", ["v"], optional=True)
SEQUENCE = Input("vector_sequence", ["s"])
FLOATS = st.floats(-10, 10, width=32)
SEQUENCES = st.lists(
    st.lists(st.lists(FLOATS, min_size=3, max_size=3), min_size=1, max_size=5),
    min_size=1,
    max_size=6,
)


def of_type(kind: pa.DataType, values: list, name: str = "v") -> Dataset:
    table = {"row_id": pa.array([chr(ord("a") + at) for at in range(len(values))])}
    return Dataset(pa.table({**table, name: pa.array(values, kind)}))


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32(), 2),
        pa.list_(pa.float32()),
        pa.large_list(pa.float64()),
        pa.list_(pa.float16(), 2),
        pa.list_(pa.int64()),
        pa.list_(pa.bool_()),
    ],
)
def test_any_list_of_numbers_is_a_vector(kind):
    values = [[np.float16(1), np.float16(0)], None, [np.float16(0), np.float16(1)]]
    if not pa.types.is_float16(kind.value_type):
        values = [each and [kind.value_type.to_pandas_dtype()(x) for x in each] for each in values]
    dataset = of_type(kind, values)
    other = dataset.add_column("filled", ["x"] * 3)
    processor = fit(other, it=MAYBE, beside=Input("categorical", ["filled"]))
    found = batch(processor, other)["inputs"]["it"]
    assert found["values"].tolist() == [[1, 0], [0, 0], [0, 1]]
    assert found["values"].numpy().dtype == np.float32
    assert found["present"].tolist() == [True, False, True]
    assert processor.schema()["it"] == {"kind": "vector", "dim": 2}


def test_vectors_of_rows_chosen_and_reordered_are_those_of_these_rows():
    train = rows(v=[[float(at), -float(at)] for at in range(2500)])
    processor = fit(train, it=VECTOR)
    chosen = np.random.default_rng(0).permutation(2500)[:1300]
    made = encoded(processor, train.select(chosen))
    values = np.frombuffer(b"".join(made["it.values"]), np.float32).reshape(-1, 2)
    assert np.array_equal(values[:, 0], chosen)
    assert made["row_id"] == train.select(chosen)["row_id"]


@given(sequences=SEQUENCES, most=st.one_of(st.none(), st.integers(1, 4)))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_sequences_are_padded_to_the_longest_of_the_batch_in_order(sequences, most):
    processor = fit(rows(s=sequences), it=Input("vector_sequence", ["s"], max_steps=most))
    found = one(processor, rows(s=sequences))
    kept = [np.array(each[:most], np.float32) for each in sequences]
    longest = max(map(len, kept))
    assert found["values"].shape == (len(sequences), longest, 3)
    for row, each in enumerate(kept):
        assert np.array_equal(found["values"][row, : len(each)], each)
        assert not found["values"][row, len(each) :].any()
        assert found["mask"][row].tolist() == [at < len(each) for at in range(longest)]
    assert encoded(processor, rows(s=sequences))["length"][:] == [len(each) for each in kept]


def test_a_matrix_column_of_datasets_is_a_sequence():
    features = Features({"s": Array2D((None, 2), "float32")})
    dataset = Dataset.from_dict({"s": [[[1, 2], [3, 4]], [[5, 6]]]}, features=features)
    found = one(fit(dataset, it=SEQUENCE), dataset)
    assert found["values"].tolist() == [[[1, 2], [3, 4]], [[5, 6], [0, 0]]]


@pytest.mark.parametrize(
    ("spec", "later", "complaint"),
    [
        (VECTOR, {"v": [[1.0, 2.0], [1.0]]}, "row 'b': 'v' has 1 numbers, and 2 at training"),
        (VECTOR, {"v": [[1.0] * 3] * 2}, "row 'a': 'v' has 3 numbers, and 2 at training"),
        (VECTOR, {"v": [[1.0, 2.0], None]}, "row 'b': nothing in 'v': leave such rows out, or"),
        (VECTOR, {"v": [[1.0, 2.0], []]}, "row 'b': nothing in 'v': leave such rows out, or"),
        (VECTOR, {"v": [[1, 2], [float("nan"), 1]]}, "row 'b': 'v' has a number that is missing"),
        (MAYBE, {"v": [None, [1.0, float("inf")]]}, "row 'b': 'v' has a number that is missing"),
        (MAYBE, {"v": [None, [1.0, None]]}, "row 'b': 'v' has a number that is missing"),
        (VECTOR, {"v": [[1.0, 2.0], [1.0, 1e300]]}, "row 'b': 'v' has a number that is missing"),
        (VECTOR, {"v": ["[1, 2]"] * 2}, "column 'v' holds string, not lists of numbers"),
        (VECTOR, {"v": [["1", "2"]] * 2}, "column 'v' holds string; vectors need numbers"),
        (VECTOR, {"v": [1.0, 2.0]}, "column 'v' holds double, not lists of numbers"),
        (SEQUENCE, {"s": [[[1.0, 2.0]], []]}, "row 'b': 's' is empty: leave such rows out"),
        (SEQUENCE, {"s": [None, [[1.0, 2.0]]]}, "row 'a': 's' is empty: leave such rows out"),
        (SEQUENCE, {"s": [[[1, 2], [3]]]}, "row 'a': 's' has 1 numbers in vector 2, and 2 at tra"),
        (SEQUENCE, {"s": [[[1, 2]], [None]]}, "row 'b': 's' has 0 numbers in vector 1, and 2 at"),
        (SEQUENCE, {"s": [[[1, 2]], [[1, None]]]}, "row 'b': 's' has a number that is missing"),
        (
            SEQUENCE,
            {"s": [[1.0, 2.0]]},
            "column 's' holds list<item: double>, not lists of vectors",
        ),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_their_id(spec, later, complaint):
    processor = fit(rows(v=[[1.0, 2.0]] * 2, s=[[[1.0, 2.0]]] * 2), it=spec)
    with pytest.raises(UserError) as refused:
        one(processor, rows(**later))
    assert str(refused.value).startswith(f"the rows: {complaint}")


@pytest.mark.parametrize(
    ("spec", "columns", "complaint"),
    [
        (VECTOR, {"v": [None, []]}, "the data: column 'v' has no vector in train"),
        (SEQUENCE, {"s": [[], None]}, "the data: column 's' has no vector in train"),
        (Input("vector", ["v", "w"]), {"v": [[1]], "w": [[1]]}, "data.inputs.it.columns: a vector"),
        (
            Input("vector_sequence", ["s"], max_steps=0),
            {"s": [[[1]], [[1]]]},
            "data.inputs.it.max_steps: 0: give 1 or more",
        ),
    ],
)
def test_a_train_split_without_vectors_is_refused(spec, columns, complaint):
    with pytest.raises(UserError) as refused:
        fit(rows(**columns), it=spec)
    assert str(refused.value).startswith(complaint)
