"""Text: tokens padded on the tokenizer's side, and a mark where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfpipe.errors import UserError
from hfpipe.inputs.collator import Collator
from hfpipe.inputs.kinds.text import TextInput
from hfpipe.recipe import Input
from tests.inputs.support import WORDS, encoded, fit, one, rows, tokenizer

TEXT = Input("text", ["t"])
MAYBE = Input("text", ["t"], optional=True)


def test_texts_become_tokens_padded_to_the_longest_of_the_batch():
    dataset = rows(t=["red dog", "cat", "red green blue dog"])
    found = one(fit(dataset, it=TEXT), dataset)
    assert found["input_ids"].tolist() == [
        [1, 4, 7, 2, 0, 0],
        [1, 8, 2, 0, 0, 0],
        [1, 4, 5, 6, 7, 2],
    ]
    assert found["attention_mask"].sum(axis=1).tolist() == [4, 3, 6]
    assert found["present"].tolist() == [True, True, True]


def test_a_tokenizer_that_pads_on_the_left_is_obeyed():
    dataset = rows(t=["red dog", "cat"])
    processor = fit(dataset, it=TEXT)
    left = Collator(processor, {"it": tokenizer("left")})
    found = left(list(encoded(processor, dataset)))["inputs"]["it"]
    assert found["input_ids"].tolist() == [[1, 4, 7, 2], [0, 1, 8, 2]]
    assert found["attention_mask"].tolist() == [[1, 1, 1, 1], [0, 1, 1, 1]]


def test_columns_are_joined_and_long_texts_are_cut():
    dataset = rows(title=["red", None], body=["dog cat", "blue blue blue blue"])
    processor = fit(dataset, it=Input("text", ["title", "body"], max_length=5))
    assert one(processor, dataset)["input_ids"].tolist() == [[1, 4, 7, 8, 2], [1, 6, 6, 6, 2]]
    assert encoded(processor, dataset)["length"][:] == [5, 5]


@given(
    texts=st.lists(
        st.lists(st.sampled_from(WORDS[4:]), max_size=6).map(" ".join), min_size=2, max_size=6
    ).filter(any)
)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_a_row_s_tokens_do_not_depend_on_the_rows_beside_it(texts):
    beside = Input("categorical", ["c"])
    dataset = rows(t=texts, c=["x"] * len(texts))
    processor = fit(dataset, it=MAYBE, beside=beside)
    made = encoded(processor, dataset)
    collate = Collator(processor, {"it": tokenizer()})
    together = collate(list(made))["inputs"]["it"]
    for row in range(len(texts)):
        alone = collate([made[row]])["inputs"]["it"]
        width = alone["input_ids"].shape[1]
        assert together["input_ids"][row, :width].tolist() == alone["input_ids"][0].tolist()
        assert not together["attention_mask"][row, width:].any()
        assert bool(together["present"][row]) == bool(texts[row])


def test_an_optional_text_that_is_missing_or_blank_is_marked():
    dataset = rows(t=["dog", None, " \n"], c=["x"] * 3)
    processor = fit(dataset, it=MAYBE, beside=Input("categorical", ["c"]))
    made = encoded(processor, dataset)
    assert made["it.present"][:] == [True, False, False]
    assert made["it.input_ids"][1] == [1, 2]


def test_a_text_that_is_not_optional_is_refused_where_it_is_missing():
    processor = fit(rows(t=["dog"]), it=TEXT)
    with pytest.raises(UserError) as refused:
        encoded(processor, rows(t=["dog", "cat", " "]))
    assert str(refused.value) == (
        "the rows: row 'c': nothing in 't': leave such rows out, or train with optional: true for "
        "this input"
    )


def test_a_row_in_which_every_input_is_missing_is_refused():
    train = rows(t=["dog", "cat"], n=[1.0, 2.0], c=["x", "y"], v=[[1.0], [2.0]])
    processor = fit(
        train,
        text=MAYBE,
        number=Input("numeric", ["n"]),
        kind=Input("categorical", ["c"]),
        vector=Input("vector", ["v"], optional=True),
    )
    there = {"t": ["dog", None], "n": [None, 1.0], "c": [None, None], "v": [None, None]}
    assert len(encoded(processor, rows(**there))) == 2
    gone = {name: [values[0], None] for name, values in there.items()}
    with pytest.raises(UserError) as refused:
        encoded(processor, rows(**gone))
    assert str(refused.value) == (
        "the rows: row 'b': every input is missing (t, n, c, v): leave such rows out"
    )


def test_a_column_of_lists_is_no_text():
    with pytest.raises(UserError, match=r"column 't' holds list<item: string>, not text"):
        fit(rows(t=[["a"], ["b"]]), it=TEXT)


def test_numbers_and_dates_are_read_as_text():
    found = one(fit(rows(t=[1, 2]), it=TEXT), rows(t=[1, 2]))
    assert found["input_ids"].tolist() == [[1, 3, 2]] * 2
    assert np.array_equal(TextInput(["t"]).texts({"t": [1, 2.5]}), ["1", "2.5"])
