"""One schema for tables that differ: what is promoted, what becomes text, what is refused."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pytest

from hfpipe.errors import UserError
from hfpipe.rows.columns import (
    agreed_schema,
    arrow_table,
    cast_table,
    column_at,
    stack,
    text_column,
)
from tests.rows.support import jsonl, read_all, write


def stacked(*columns: list) -> tuple[pa.DataType, list]:
    """Columns of Python values, each as one chunk, put on top of each other."""
    table = stack([arrow_table({"x": values}) for values in columns])
    return table.schema.field("x").type, table.column("x").to_pylist()


@pytest.mark.parametrize(
    ("first", "second", "kind", "values"),
    [
        ([1], [2.5], pa.float64(), [1.0, 2.5]),
        ([1], ["a"], pa.string(), ["1", "a"]),
        ([3.0], ["a"], pa.string(), ["3", "a"]),
        ([True], ["a"], pa.string(), ["true", "a"]),
        ([True], [1], pa.string(), ["true", "1"]),
        ([None], [1], pa.int64(), [None, 1]),
        ([None], [None], pa.string(), [None, None]),
        ([2**53 + 1], [0.5], pa.string(), ["9007199254740993", "0.5"]),
        ([2**53], [0.5], pa.float64(), [2.0**53, 0.5]),
        ([[2**60]], [[0.5]], pa.string(), ["[1152921504606846976]", "[0.5]"]),
        ([2**64], [1], pa.string(), ["18446744073709551616", "1"]),
        ([[]], [[1]], pa.list_(pa.int64()), [[], [1]]),
        ([[]], [[]], pa.list_(pa.string()), [[], []]),
        ([{}], [{"a": 1}], pa.struct([("a", pa.int64())]), [{"a": None}, {"a": 1}]),
        ([{}], [{}], pa.string(), ["{}", "{}"]),
        ([{"a": None}], [{}], pa.struct([("a", pa.string())]), [{"a": None}, {"a": None}]),
        ([{"a": {}}], [{"a": None}], pa.string(), ['{"a": {}}', "{}"]),
        ([[1, 2.0]], [{"a": 1}], pa.string(), ["[1, 2]", '{"a": 1}']),
        ([[0.5, True]], [[1.5]], pa.string(), ["[0.5, true]", "[1.5]"]),
        ([{"b": 1, "a": "é"}], ["x"], pa.string(), ['{"a": "é", "b": 1}', "x"]),
    ],
)
def test_two_chunks_agree(first, second, kind, values):
    assert stacked(first, second) == (kind, values)
    assert stacked(first + second) == (kind, values)


def test_deep_and_wide_objects_become_json_text():
    deep = 1
    for _ in range(40):
        deep = [deep]
    assert stacked([deep]) == (pa.string(), ["[" * 40 + "1" + "]" * 40])
    wide = {f"k{i}": i for i in range(501)}
    assert stacked([wide])[0] == pa.string()


def test_objects_get_the_fields_of_all_chunks_each_with_its_own_type():
    kind, values = stacked(
        [{"a": 1, "b": {"c": None}}], [{"a": 2.5}], [{"b": {"c": "x", "d": [1]}}]
    )
    assert kind == pa.struct(
        [
            ("a", pa.float64()),
            ("b", pa.struct([("c", pa.string()), ("d", pa.list_(pa.int64()))])),
        ]
    )
    assert values[1] == {"a": 2.5, "b": None}


def test_types_of_parquet_files_are_promoted_or_become_text():
    def agreed(*kinds):
        return agreed_schema([pa.schema([("x", kind)]) for kind in kinds]).field("x").type

    assert agreed(pa.int8(), pa.int32()) == pa.int32()
    assert agreed(pa.string(), pa.large_string()) == pa.large_string()
    assert agreed(pa.string(), pa.binary()) == pa.string()
    assert agreed(pa.date32(), pa.timestamp("us")) == pa.string()
    assert agreed(pa.dictionary(pa.int8(), pa.string()), pa.string()) == pa.string()
    bytes_and_text = [pa.table({"x": [b"\xff"]}), pa.table({"x": ["a"]})]
    assert stack(bytes_and_text).column("x").to_pylist() == ["/w==", "a"]


def test_a_value_that_does_not_fit_is_refused_in_one_line():
    old = pa.table({"t": pa.array([datetime(1066, 10, 14)], pa.timestamp("s"))})
    new = pa.table({"t": pa.array([datetime(2024, 1, 1)], pa.timestamp("ns"))})
    with pytest.raises(UserError, match="column 't': .*: write it as timestamp") as refused:
        stack([old, new])
    assert "\n" not in str(refused.value)


def test_batches_can_be_cast_one_by_one_without_their_marks(tmp_path):
    write(tmp_path / "a.csv", b"n,m,k\n1,2,\n")
    write(tmp_path / "b.csv", b"n,m,k\n1.50,x,\n")
    chunks = read_all(tmp_path).chunks
    schema = agreed_schema([chunk.table.schema for chunk in chunks])
    assert schema.types == [pa.float64(), pa.string(), pa.string()]
    assert schema.field("n").metadata is None
    for chunk, values in zip(chunks, ([1.0, "2", None], [1.5, "x", None]), strict=True):
        bare = pa.table(dict(zip(chunk.table.column_names, chunk.table.columns, strict=True)))
        for batch in bare.to_batches():
            cast = cast_table(pa.Table.from_batches([batch]), schema)
            assert list(cast.to_pylist()[0].values()) == values


def test_a_csv_and_a_jsonl_file_agree(tmp_path):
    write(tmp_path / "a.csv", b"label,n\n7,1\n")
    write(tmp_path / "b.jsonl", jsonl([{"label": "seven", "n": 2.5}]))
    table = read_all(tmp_path).table
    assert table.to_pylist() == [{"label": "7", "n": 1.0}, {"label": "seven", "n": 2.5}]
    write(tmp_path / "c.csv", b"label,n\n007,01\n")
    assert read_all(tmp_path).table.to_pylist()[2] == {"label": "007", "n": "01"}


def test_a_csv_of_numbers_beside_text_keeps_them_as_they_were_written(tmp_path):
    write(tmp_path / "a.csv", b"n\n1.50\n2e3\n")
    write(tmp_path / "b.csv", b"n\nx\n")
    assert read_all(tmp_path).table.column("n").to_pylist() == ["1.50", "2e3", "x"]


def test_an_exact_name_wins_over_a_path_and_typos_are_told():
    table = pa.table({"a": [{"b": {"c": 1}}, None], "a.b": [5, 6], "x.y": [{"z": 7}, {"z": 8}]})
    assert column_at(table, "a.b").to_pylist() == [5, 6]
    assert column_at(table, "a.b.c").to_pylist() == [1, None]
    assert column_at(table, "x.y.z").to_pylist() == [7, 8]
    with pytest.raises(UserError, match=r"no column 'a\.b\.d'; did you mean 'a\.b\.c'"):
        column_at(table, "a.b.d")
    with pytest.raises(UserError, match=r"a\.csv: column 'a' holds struct"):
        text_column(table, "a", "a.csv")
    with pytest.raises(UserError, match=r"a\.csv: no column 'x\.y\.a'"):
        text_column(table, "x.y.a", "a.csv")
    assert text_column(table, "a.b.c", "a.csv") == ["1", None]
