"""Columns that every row has: lengths, what is missing, the size of the group."""

from __future__ import annotations

import numpy as np
import pytest

from hfpipe.evaluation.conditions import automatic_columns
from hfpipe.evaluation.slicing import sliced
from hfpipe.inputs.processor import Processor
from hfpipe.metrics.tasks import task_of
from hfpipe.recipe import Input
from tests.inputs.support import fit, picture, rows

BINARY = task_of("binary", ["no", "yes"])


def columns_of(dataset, groups=None, **inputs):
    return automatic_columns(fit(dataset, **inputs), dataset, groups)


def test_lengths_are_words_of_all_columns_of_a_text():
    title = [" ".join(["t"] * (at + 1)) for at in range(8)]
    body = ["b  b\n"] * 8
    found = columns_of(rows(title=title, body=body), text=Input("text", ["title", "body"]))
    assert list(found) == ["length of text"]
    assert found["length of text"] == [
        *["3-4 words"] * 2,
        *["5-6 words"] * 2,
        *["7-8 words"] * 2,
        *["9-10 words"] * 2,
    ]


def test_a_row_without_text_has_no_length_and_its_text_is_missing():
    text = ["red", None, "blue sky", "  ", "a b c"]
    found = columns_of(rows(text=text), text=Input("text", ["text"], optional=True))
    assert found == {
        "length of text": ["1 word", None, "2 words", None, "3 words"],
        "missing: text": ["present", "missing", "present", "missing", "present"],
    }


def test_steps_count_as_far_as_the_model_sees_them():
    steps = [[[0.0, 1.0]] * count for count in (1, 2, 3, 9)]
    dataset = rows(steps=steps)
    found = columns_of(dataset, s=Input("vector_sequence", ["steps"]))
    assert found == {"length of s": ["1 step", "2 steps", "3 steps", "9 steps"]}
    found = columns_of(dataset, s=Input("vector_sequence", ["steps"], max_steps=3))
    assert found == {"length of s": ["1 step", "2 steps", "3 steps", "3 steps"]}


def test_what_is_missing_is_told_by_input_and_for_numbers_and_categories_by_column():
    image = picture()
    dataset = rows(
        v=[[1.0, 2.0], None, [1.0, 3.0]],
        image=[image, image, None],
        age=[1.0, None, 3.0],
        size=["1", "2", "3"],
        colour=["red", " ", "red"],
        shape=["round", "flat", "round"],
    )
    found = columns_of(
        dataset,
        video=Input("vector", ["v"], optional=True),
        poster=Input("image", ["image"], optional=True),
        numbers=Input("numeric", ["age", "size"]),
        kinds=Input("categorical", ["colour", "shape"]),
    )
    there, gone = "present", "missing"
    assert found == {
        "missing: video": [there, gone, there],
        "missing: poster": [there, there, gone],
        "missing: age": [there, gone, there],
        "missing: colour": [there, gone, there],
    }


@pytest.mark.parametrize("cell", [{"bytes": None, "path": None}, None])
def test_an_image_cell_with_nothing_in_it_is_missing(cell):
    dataset = rows(image=[{"bytes": picture(), "path": None}, cell])
    found = columns_of(dataset, i=Input("image", ["image"], optional=True))
    assert found == {"missing: i": ["present", "missing"]}


def test_groups_by_how_many_rows_they_have():
    sizes = {"one": 1, "two": 2, "five": 5, "six": 6, "twenty": 20, "more": 21}
    groups = [name for name, count in sizes.items() for _ in range(count)]
    dataset = rows(n=[float(at) for at in range(len(groups))])
    found = columns_of(dataset, groups, n=Input("numeric", ["n"]))["rows of the group"]
    assert dict(zip(groups, found, strict=True)) == {
        "one": "1",
        "two": "2-5",
        "five": "2-5",
        "six": "6-20",
        "twenty": "6-20",
        "more": "> 20",
    }


def test_the_order_of_bins_is_kept_in_the_slices():
    groups = ["b"] * 21 + ["a"] * 3 + ["c"]
    text = [" ".join(["w"] * (1 + at % 9)) for at in range(25)]
    dataset = rows(text=text)
    found = columns_of(dataset, groups, text=Input("text", ["text"]))
    truth = np.arange(25) % 2
    told = sliced(BINARY, truth, np.full(25, 0.5), found, {})
    assert {name: each["n"] for name, each in told["rows of the group"].items()} == {
        "1": 1,
        "2-5": 3,
        "> 20": 21,
    }
    assert list(told["rows of the group"]) == ["1", "2-5", "> 20"]
    lengths = told["length of text"]
    assert list(lengths) == ["1-3 words", "4-5 words", "6-7 words", "8-9 words"]
    assert sum(each["n"] for each in lengths.values()) == 25


def test_a_column_that_tells_no_rows_apart_is_left_out():
    dataset = rows(text=["one word", "two words"], n=[1.0, 2.0])
    inputs = {"text": Input("text", ["text"], optional=True), "n": Input("numeric", ["n"])}
    assert columns_of(dataset, ["a", "b"], **inputs) == {}


def test_no_rows_have_no_columns():
    dataset = rows(text=["a", "b b"])
    processor: Processor = fit(dataset, text=Input("text", ["text"]))
    assert automatic_columns(processor, dataset.select([]), []) == {}
