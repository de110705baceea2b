"""Reading in chunks: the same rows however they are cut, bounded memory, every byte hashed."""

from __future__ import annotations

import hashlib
import io
import json
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfpipe.errors import UserError
from hfpipe.rows.identity import row_digest
from hfpipe.rows.jsonl import jsonl_chunks
from hfpipe.rows.paths import find_inputs
from hfpipe.rows.reading import read_chunks, read_whole
from hfpipe.rows.records import BadRows, Reading
from tests.rows.support import from_csv, from_jsonl, jsonl, png, put_together, read_all, tar, write

QUIET = settings(
    max_examples=35,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-3, 3)
    | st.floats(allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)
ROWS = st.lists(
    st.dictionaries(st.sampled_from(["x", "y", "z.w"]), VALUES, min_size=1, max_size=3), max_size=8
)


def without_nan(value):
    """What ``json.loads`` gives with NaN as null: the slow and obvious reader."""
    return json.loads(json.dumps(value), parse_constant=lambda name: None)


@given(rows=ROWS, cut=st.integers(1, 4))
@QUIET
def test_where_a_file_is_cut_changes_neither_rows_nor_types_nor_digests(rows, cut):
    content = jsonl(rows)
    whole, cut_up = from_jsonl(content), from_jsonl(content, chunk_rows=cut)
    assert cut_up.digests == whole.digests
    assert cut_up.table.schema == whole.table.schema
    assert repr(cut_up.table.to_pylist()) == repr(whole.table.to_pylist())
    assert all(chunk.table.num_rows <= cut for chunk in cut_up.chunks)


@given(rows=ROWS)
@QUIET
def test_rows_are_hashed_as_the_standard_library_reads_them(rows):
    content = jsonl(rows)
    said = [without_nan(row) for row in rows]
    assert from_jsonl(content).digests == [row_digest(row) for row in said]


@given(values=st.lists(st.integers(-(2**70), 2**70) | st.floats(-1e30, 1e30), min_size=1))
@QUIET
def test_no_number_changes_its_value(values):
    read = from_jsonl(jsonl([{"n": value} for value in values])).table.column("n")
    for value, found in zip(values, read.to_pylist(), strict=True):
        if isinstance(found, str) and "e" not in found and "." not in found:
            assert int(found) == value
        else:
            assert float(found) == value


CELLS = st.sampled_from(
    [
        "",
        "1",
        "-7",
        "007",
        "2.5",
        "1e3",
        "1e400",
        "123456789012345678",
        "9" * 25,
        "x",
        "NaN",
        "é,\n",
    ]
)


@given(cells=st.lists(CELLS, min_size=1, max_size=9), cut=st.integers(1, 4))
@QUIET
def test_a_csv_column_is_a_number_only_if_all_of_it_is(cells, cut):
    quoted = "".join('"{}",k\n'.format(cell.replace('"', '""')) for cell in cells)
    whole = from_csv(("n,k\n" + quoted).encode())
    cut_up = from_csv(("n,k\n" + quoted).encode(), chunk_rows=cut)
    assert cut_up.table == whole.table
    kept = [cell or None for cell in cells]
    column = whole.table.column("n")
    said = [cell for cell in kept if cell]
    if said and all(cell in ("1", "-7", "123456789012345678") for cell in said):
        assert column.type == pa.int64()
        assert column.to_pylist() == [cell and int(cell) for cell in kept]
    elif said and all(cell in ("1", "-7", "2.5", "1e3") for cell in said):
        assert column.type == pa.float64()
        assert column.to_pylist() == [cell and float(cell) for cell in kept]
    else:
        assert column.to_pylist() == kept


def files_of_every_kind(folder):
    rows = [{"text": f"words {i} é", "label": "ab"[i % 2], "n": i} for i in range(250)]
    lines = [f'"{row["text"]}"{{s}}{row["label"]}{{s}}{row["n"]}\n' for row in rows]
    table = "text{s}label{s}n\n" + "".join(lines)
    members = []
    for i, row in enumerate(rows):
        bare = {"label": row["label"], "n": row["n"]}
        members += [
            (f"{i:04}.txt", row["text"].encode()),
            (f"{i:04}.json", json.dumps(bare).encode()),
        ]
    for zipped in ("", ".gz", ".zst"):
        write(folder / f"a.jsonl{zipped}", jsonl(rows))
        write(folder / f"a.csv{zipped}", table.format(s=",").encode())
        write(folder / f"a.tsv{zipped}", table.format(s="\t").encode())
        write(folder / f"a.tar{zipped}", tar(members))
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet", row_group_size=60)
    return rows


def test_every_kind_gives_the_same_rows_hashes_and_progress(tmp_path):
    rows = files_of_every_kind(tmp_path)
    sources = find_inputs([tmp_path])
    assert len(sources) == 13
    digests = set()
    for source in sources:
        steps: list[int] = []
        chunks = list(read_chunks(source, ["text"], chunk_rows=40, advance=steps.append))
        found = put_together(chunks)
        texts = "txt" if source.kind == "webdataset" else "text"
        assert found.table.column(texts).to_pylist() == [row["text"] for row in rows]
        assert found.table.column("n").to_pylist() == list(range(250))
        assert max(chunk.table.num_rows for chunk in chunks) <= 40
        content = (tmp_path / source.short).read_bytes()
        assert source.sha256 == hashlib.sha256(content).hexdigest()
        assert sum(steps) == source.size == len(content)
        if source.kind in ("jsonl", "parquet"):
            digests.add(tuple(found.digests))
    assert len(digests) == 1


def test_a_row_has_one_digest_whatever_the_kind_of_file(tmp_path):
    rows = [{"text": "a", "label": "b", "none": None}, {"text": "c", "label": None, "none": None}]
    write(tmp_path / "a.jsonl", jsonl(rows))
    write(tmp_path / "a.csv", b"none,text,label\n,a,b\n,c,\n")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    found = [read_all(tmp_path / f"a.{kind}").digests for kind in ("jsonl", "csv", "parquet")]
    assert found[0] == found[1] == found[2]
    assert found[0] == [row_digest({"text": "a", "label": "b"}), row_digest({"text": "c"})]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_memory_is_bounded_by_the_chunk_not_by_the_file(tmp_path, kind):
    line = b'{"text": "%s", "n": 1}\n' if kind == "jsonl" else b"%s,1\n"
    head = b"" if kind == "jsonl" else b"text,n\n"
    content = head + (line % (b"x" * 1000)) * 15_000
    path = write(tmp_path / f"a.{kind}", content)
    source = find_inputs([path])[0]
    del content
    next(read_chunks(source, chunk_rows=10))  # what is imported on the way does not count
    tracemalloc.start()
    rows = sum(chunk.table.num_rows for chunk in read_chunks(source, chunk_rows=500))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 15_000
    assert peak < 12e6


def test_a_chunk_ends_at_its_bytes_too(tmp_path):
    found = from_jsonl(jsonl([{"text": "x" * 10**6}] * 12), chunk_bytes=3 * 10**6)
    assert [chunk.table.num_rows for chunk in found.chunks] == [4, 4, 4]


def test_a_line_longer_than_a_chunk_is_a_row(tmp_path):
    path = write(tmp_path / "a.jsonl", jsonl([{"text": "x" * 34_000_000}, {"text": "y"}]))
    found = read_all(path)
    assert [len(text) for text in found.table.column("text").to_pylist()] == [34_000_000, 1]
    path = write(tmp_path / "a.csv", b"text,n\n" + b"x" * 5_000_000 + b",1\n")
    assert read_all(path).table.column("n").to_pylist() == [1]


class Endless(io.RawIOBase):
    """A line of 64 MB between two rows."""

    def __init__(self):
        self.parts = [b'{"a": 1}\n', *[b"x" * 2**20] * 64, b'\n{"a": 2}']

    def readable(self):
        return True

    def readinto(self, buffer):
        part = self.parts.pop(0) if self.parts else b""
        size = min(len(buffer), len(part))
        buffer[:size] = part[:size]
        if len(part) > size:
            self.parts.insert(0, part[size:])
        return size


def test_an_endless_line_is_a_bad_row_that_is_never_held():
    tracemalloc.start()
    reading = Reading("a.jsonl", [], BadRows("a.jsonl"), largest_row=2**20)
    found = put_together(list(jsonl_chunks(io.BufferedReader(Endless(), 2**16), reading)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.table.column("a").to_pylist() == [1, 2]
    assert [(row.line, row.reason) for row in found.bad] == [
        (2, "a line of 67,108,864 bytes, more than 1,048,576")
    ]
    assert peak < 12 * 2**20


@given(
    lengths=st.lists(st.integers(0, 30), max_size=12),
    largest=st.integers(1, 30),
    ends=st.booleans(),
)
@QUIET
def test_only_lines_beyond_the_limit_are_passed_over(lengths, largest, ends):
    lines = [json.dumps({"a": "x" * length}) for length in lengths]
    content = "\n".join(lines).encode() + (b"\n" if ends else b"")
    found = from_jsonl(content, largest_row=largest, chunk_rows=2)
    short = [length for length, line in zip(lengths, lines, strict=True) if len(line) <= largest]
    long = [place for place, line in enumerate(lines, 1) if len(line) > largest]
    kept = found.table.column("a").to_pylist() if short else []
    assert [len(text) for text in kept] == short
    assert [row.line for row in found.bad] == long


def test_rows_with_a_column_each_do_not_fill_the_memory():
    rows = [{f"id{i}": 1, "text": "x"} for i in range(2_500)]
    found = from_jsonl(jsonl(rows))
    assert len(found.chunks) > 1
    assert found.table.num_rows == 2_500
    with pytest.raises(UserError, match="more than 10,000 columns: are the keys ids"):
        from_jsonl(jsonl([{f"id{i}": 1} for i in range(10_001)]))
    maps = [{"map": {f"id{i}": i}} for i in range(1_000)]
    table = from_jsonl(jsonl(maps)).table
    assert table.schema.field("map").type == pa.string()
    assert table.column("map")[7].as_py() == '{"id7": 7}'


def test_a_whole_file_is_read_for_evaluation_with_ids_and_types(tmp_path):
    path = write(tmp_path / "a.csv.zst", b"text,n\nx,1\nx,1\n")
    table = read_whole(path, ["text"]).table
    assert table.column_names == ["row_id", "text", "n"]
    first, second = table.column("row_id").to_pylist()
    assert second == f"{first}-2"
    assert table.column("n").to_pylist() == [1, 1]
    write(tmp_path / "b.jsonl", b'{"text": "x"}\n{\n')
    with pytest.raises(UserError, match=r"b\.jsonl: line 2: not JSON.*mend or remove it"):
        read_whole(tmp_path / "b.jsonl")


def test_what_is_read_of_images_is_the_same_in_each_run(tmp_path):
    path = write(tmp_path / "a.tar", tar([("1.png", png()), ("2.png", png())]))
    assert read_all(path).digests == read_all(path).digests
    assert len(set(read_all(path).digests)) == 2
