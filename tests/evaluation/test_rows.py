"""Whose the scored rows are: as the split of the data kept them together."""

from __future__ import annotations

from datasets import Dataset, DatasetDict

from hfpipe.inputs.splits import Source
from hfpipe.trials import Rows

ROWS = Dataset.from_dict({"author": ["ada", "ada", "eve"], "text": ["a", "b", "c"]})


def home(**options: str) -> Source:
    return Source("me/rows", "1", DatasetDict({"train": ROWS}), {"options": options})


def of_file(dataset: Dataset, trained_on: Source | None) -> Rows:
    return Rows(dataset, "new.jsonl", None, None, "new.jsonl", labelled=True, home=trained_on)


def test_a_file_is_grouped_as_the_rows_of_training_where_it_has_their_column():
    assert of_file(ROWS, home(group_by="author")).owner == "author"
    assert of_file(ROWS.remove_columns("author"), home(group_by="author")).owner is None
    assert of_file(ROWS, home()).owner is None
    assert of_file(ROWS, None).owner is None


def test_another_dataset_is_grouped_as_it_was_split_itself():
    other = home()
    found = Rows(ROWS, "b", "1", "test", "b", True, source=other, home=home(group_by="author"))
    assert found.owner is None
