"""Joining a manifest: every row finds its entry or is named; nothing is overwritten."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.joining import join_manifest
from hfpipe.errors import UserError

KEYS = st.sampled_from(["a", "b", "c", "", "ä"])


@given(
    entries=st.dictionaries(KEYS, st.integers(0, 9), max_size=5),
    rows=st.lists(st.one_of(st.none(), KEYS), max_size=12),
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_join_gives_what_looking_up_each_key_gives(entries, rows):
    manifest = pa.table(
        {
            "id": pa.array(list(entries), pa.large_string()),
            "size": pa.array(list(entries.values()), pa.int64()),
        }
    )
    table = pa.table({"id": pa.array(rows, pa.string()), "place": list(range(len(rows)))})
    joined, unmatched = join_manifest(manifest, "id").join(table)
    assert joined.column("size").to_pylist() == [entries.get(key) for key in rows]
    assert joined.select(["id", "place"]).equals(table)
    assert unmatched.tolist() == [i for i, key in enumerate(rows) if key not in entries]


def test_numbers_find_their_text_and_columns_keep_their_types():
    manifest = pa.table({"id": [1, 2], "vector": pa.array([[1.0], None]), "name": ["x", "y"]})
    joined, unmatched = join_manifest(manifest, "id").join(pa.table({"id": ["2", "1", "1"]}))
    assert unmatched.tolist() == []
    assert joined.column("vector").to_pylist() == [None, [1.0], [1.0]]
    assert joined.schema.field("vector").type == manifest.schema.field("vector").type
    floats, _ = join_manifest(manifest, "id").join(pa.table({"id": [1.0, 2.0]}))
    assert floats.column("name").to_pylist() == ["x", "y"]


def test_a_key_that_stands_twice_with_the_same_content_is_one_entry():
    manifest = pa.table({"id": ["a", "b", "a"], "size": [1, 2, 1]})
    joined, _ = join_manifest(manifest, "id").join(pa.table({"id": ["a"]}))
    assert joined.to_pylist() == [{"id": "a", "size": 1}]


@pytest.mark.parametrize(
    ("manifest", "rows", "message"),
    [
        ({"id": ["a", "b", "a"], "n": [1, 2, 3]}, {"id": ["a"]}, "'a' in rows 1 and 3 with differ"),
        ({"id": ["a", None], "n": [1, 2]}, {"id": ["a"]}, "has no 'id' in row 2"),
        ({"ident": ["a"], "n": [1]}, {"id": ["a"]}, "no column 'id' (--join-on) in the --join"),
        ({"id": ["a"], "n": [1]}, {"idd": ["a"]}, "in the rows; did you mean 'idd'?"),
        ({"id": ["a"], "n": [1]}, {"id": ["a"], "n": [1]}, "both have a column 'n': rename"),
        ({"id": ["a"], "row_id": [1]}, {"id": ["a"]}, "column 'row_id', which holds the rows' ids"),
        ({"id": [["a"]], "n": [1]}, {"id": ["a"]}, "a key is a text or a number"),
    ],
)
def test_what_cannot_be_joined_is_one_clear_line(manifest, rows, message):
    with pytest.raises(UserError) as raised:
        join_manifest(pa.table(manifest), "id").join(pa.table(rows))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
