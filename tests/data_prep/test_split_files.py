"""``splits.json``: both forms are read, and what is wrong with one is said in one line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.splitting import SPLITS, given_names, read_splits_file
from hfpipe.errors import UserError


def written(folder, content):
    path = folder / "splits.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@given(splits=st.dictionaries(st.text(), st.sampled_from(SPLITS), min_size=1))
@settings(max_examples=25, deadline=None)
def test_both_forms_say_the_same(splits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("splits")
    assert read_splits_file(written(folder, splits)) == splits
    lists = {name: [row for row, each in splits.items() if each == name] for name in SPLITS}
    assert read_splits_file(written(folder, lists)) == splits


def test_names_are_taken_in_any_spelling_and_ids_may_be_numbers(tmp_path):
    path = written(tmp_path, {"Training": [1, "b"], "dev": ["c"], "TEST": []})
    assert read_splits_file(path) == {"1": "train", "b": "train", "c": "validation"}


REFUSED = {
    "not JSON": ('{"a": "train",', ("not JSON", "line 1")),
    "binary": (b"\xff\xfe\x00\x80\x81", ("not JSON",)),
    "a list": (["a", "b"], ("not a list",)),
    "nothing": ({}, ("an empty object",)),
    "unknown split": ({"a": "train", "b": "tset"}, ("id 'b' is in 'tset'", "did you mean 'test'")),
    "unknown list": ({"train": ["a"], "holdout": ["b"]}, ("id 'b' is in 'holdout'",)),
    "an id twice": ('{"a": "train", "b": "test", "a": "test"}', ("'a' stands there twice",)),
    "an id in two lists": ({"train": ["a"], "test": ["a"]}, ("id 'a' stands there twice",)),
    "a number and a text that are one id": ({"train": [1, "1"]}, ("id '1' stands there twice",)),
    "no split": ({"a": "train", "b": None}, ("id 'b' has no split",)),
    "an empty split": ({"a": "train", "b": ""}, ("id 'b' has no split",)),
    "a number for a split": ({"a": "train", "b": 2}, ("id 'b' is in '2'",)),
    "mixed": ({"train": ["a"], "b": "test"}, ("ids and splits are mixed",)),
    "an id that is none": ({"train": [["a"]]}, ('["a"] is no id',)),
    "deep nesting": ("[" * 100_000, ("not JSON",)),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_a_wrong_file_of_splits_is_refused_in_one_line(case, tmp_path):
    content, said = REFUSED[case]
    path = written(tmp_path, content)
    with pytest.raises(UserError) as refused:
        read_splits_file(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert all(part in str(refused.value) for part in said), str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.json: cannot be read: No such file"):
        read_splits_file(tmp_path / "nowhere.json")


def test_rows_that_the_file_does_not_name_are_counted():
    splits = {"a": "train", "b": "test"}
    assert given_names(splits, iter(["b", "a", "b"]), "s.json").tolist() == [
        "test",
        "train",
        "test",
    ]
    with pytest.raises(UserError) as refused:
        given_names(splits, ["b", "x", "c"], "s.json")
    assert "s.json: no split for 2 of 3 rows, 'c' among them" in str(refused.value)
    assert "--id-column" in str(refused.value)
