"""Malformed rows are told and counted, doubtful files refused, what is only odd keeps its value."""

from __future__ import annotations

import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfpipe.errors import UserError
from tests.rows.support import from_csv, from_jsonl, jsonl, read_all, write


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_of_many_bad_rows_the_first_hundred_are_told_and_all_are_counted(tmp_path, kind):
    content = jsonl(["{broken"] * 700) if kind == "jsonl" else b"a,b\n" + b"only\n" * 700
    path = write(tmp_path / f"a.{kind}", content)
    found = read_all(path, chunk_rows=150)
    first = 1 if kind == "jsonl" else 2
    assert [row.line for row in found.bad] == list(range(first, first + 100))
    assert len(found.bad_digests) == 700
    assert all(len(chunk.bad_digests) <= 150 for chunk in found.chunks)


BAD_LINES = {
    '{"a": ': "not JSON: Expecting value",
    "[1]": "a list, not an object",
    "{}": "an empty object",
    "null": "a null, not an object",
    "17": "a number, not an object",
    '{"text": {"a": 1}}': "'text' holds a object, not a text",
    '{"text": [1]}': "'text' holds a list, not a text",
    '{"deep": {"er": [1]}}': "'deep.er' holds a list, not a text",
    '{"a": Infinity}': "Infinity is not JSON",
    '{"a": 1e999}': "1e999 is beyond what a float holds",
    '{"a": "\\ud800"}': "half a surrogate pair",
    '{"\\udc00": 1}': "half a surrogate pair",
    '{"a": "\0"}': "a NUL byte at byte 8",
    '{"a": "\t"}': "not JSON: Invalid control character",
    "[" * 2000: "nested too deeply",
    '{"a":' * 300 + "1" + "}" * 300: "nested too deeply",
    "{'a': 1}": "not JSON: Expecting property name",
    "a,b,c": "not JSON",
    "[": "one JSON list: write one object a line",
}


@pytest.mark.parametrize(("line", "reason"), BAD_LINES.items(), ids=range(len(BAD_LINES)))
def test_a_malformed_line_is_told_by_its_number_and_the_rest_is_read(line, reason):
    content = jsonl([{"text": "a"}]) + line.encode() + b"\r\n\n" + jsonl([{"text": "b"}])
    found = from_jsonl(content, texts=["text", "deep.er"])
    assert found.table.column("text").to_pylist() == ["a", "b"]
    assert [row.line for row in found.bad] == [2]
    assert reason in found.bad[0].reason
    assert len(found.bad_digests) == 1


GOOD_LINES = {
    '{"a": NaN}': None,
    '{"a": 1, "a": 2}': 2,
    '{"a": 18446744073709551616}': "18446744073709551616",
    '{"a": -9223372036854775809}': "-9223372036854775809",
    '{"a": 9007199254740993}': 9007199254740993,
    '{"a": 1e20}': 1e20,
    '{"a": "1e+20, 0e+1"}': "1e+20, 0e+1",
    '{"a": "\\u0000"}': "\0",
    '\ufeff{"a": "\\ud83d\\ude00"}': "😀",
    '{"a": "x"}\r': "x",
    ' {"a": -0.0} ': -0.0,
}


@pytest.mark.parametrize(("line", "value"), GOOD_LINES.items(), ids=range(len(GOOD_LINES)))
def test_what_is_unusual_but_right_keeps_its_value(line, value):
    found = from_jsonl(line.encode())
    (read,) = found.table.column("a").to_pylist()
    assert read == value
    assert type(read) is type(value)
    assert not isinstance(value, float) or math.copysign(1, read) == math.copysign(1, value)
    assert not found.bad


BAD_CSV = {
    b"a,b\n1,2\nx\n": "line 3: 1 cell where the header has 2",
    b"a,b\n1,2,3\n": "line 2: 3 cells where the header has 2",
    b'a,b\n"x\ny",1\n1,2,3\n': "line 4: 3 cells",
    b'a,b\n"x"y,1\n': "line 2: ',' expected after '\"'",
    b"a,b\nx\0y,1\n": "line 2: a NUL byte in column 1",
    b"a,b\n1,caf\xe9\n": "line 2: not UTF-8 in column 2",
    b"a,b\nx\ry,1\n": "line 2: new-line character seen in unquoted field",
}


@pytest.mark.parametrize(("content", "said"), BAD_CSV.items(), ids=range(len(BAD_CSV)))
def test_a_malformed_record_is_told_by_its_line(content, said):
    found = from_csv(content + b"7,8\n")
    assert [str(row)[7:].startswith(said) for row in found.bad] == [True]
    assert found.table.column("b").to_pylist()[-1] == 8


REFUSED = {
    "a.csv": [
        (b"", "no header line"),
        (b"\n\n", "no header line"),
        (b"a,b,a\n", "column 'a' stands twice"),
        (b'"a\nb","a\nb"\n', "column 'a b' stands twice"),
        (b"a\0b\n", "header line is not UTF-8 text"),
        (b'a,b\n"open,1\n2,3\n', "line 2: a quoted cell is never closed"),
        ("a,b\n1,2\n".encode("utf-16"), "begins UTF-16: convert it"),
        (b"PK\x03\x04" + b"\0" * 50, "a zip archive (or an Excel file)"),
        (b"\x1f\x8b" + b"\0" * 50, "gzip data: let its name end with .gz"),
    ],
    "a.jsonl": [
        ('{"a": 1}\n'.encode("utf-16-be").join([b"\xfe\xff", b""]), "begins UTF-16"),
        (b"PAR1" + b"\0" * 50, "this is Parquet"),
    ],
    "a.jsonl.gz": [(b"PK", "not gzip"), (b"", "not gzip or empty")],
    "a.jsonl.zst": [(b"PK", "not Zstandard"), (b"\x28\xb5\x2f\xfd\0", "not Zstandard")],
    "a.parquet": [(b"", "not a readable Parquet file"), (b"PAR1", "not a readable Parquet file")],
    "a.tar": [(b"x" * 2000, "no tar archive"), (b"", "no tar archive")],
}
CASES = [(name, *case) for name, cases in REFUSED.items() for case in cases]


@pytest.mark.parametrize(("name", "content", "said"), CASES, ids=range(len(CASES)))
def test_a_file_that_is_damaged_or_something_else_is_refused_in_one_line(
    tmp_path, name, content, said
):
    (tmp_path / name).write_bytes(content)
    if said == "not gzip or empty":
        assert read_all(tmp_path / name).table.num_rows == 0
        return
    with pytest.raises(UserError) as refused:
        read_all(tmp_path / name)
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / name))
    assert "\n" not in str(refused.value)


def test_a_header_name_that_is_missing_is_numbered(tmp_path):
    assert from_csv(b"a,,c\n1,2,3\n").table.column_names == ["a", "unnamed_2", "c"]


def test_two_columns_of_one_name_in_parquet_are_refused(tmp_path):
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError, match="column 'a' stands 2 times"):
        read_all(tmp_path / "a.parquet")
