"""Rows to one file of every format: nothing altered, whole or not at all."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfpipe.errors import RunError, UserError
from hfpipe.rows.paths import find_inputs
from hfpipe.rows.reading import read_whole
from hfpipe.rows.writing import check_output, rows_written

TEXTS = ["plain", "a,b\tc", 'say "no"', "two\nlines", "lone\rreturn", "=1+1", "é🙂\u2028", "", None]
ROWS = pa.table(
    {
        "id": pa.array(range(len(TEXTS)), pa.int64()),
        "text": pa.array(TEXTS, pa.string()),
        "score": pa.array([0.1, 1.0, 1e-06, 1 / 3, None, 2.5e300, 0.0, 7.0, 0.5]),
        "tags": pa.array([["a", "b"]] * len(TEXTS), pa.list_(pa.string())),
        "yes": pa.array([True, False, None] * 3),
    }
)


def written(path: Path, step: int = 4) -> Path:
    with rows_written(path, ROWS.schema) as write:
        for start in range(0, ROWS.num_rows, step):
            write(ROWS.slice(start, step))
    return path


def fail_behind(path: object) -> None:
    with rows_written(str(path), ROWS.schema) as write:
        write(ROWS)
        raise ZeroDivisionError


@pytest.mark.parametrize(("ending", "separator"), [("csv", ","), ("tsv", "\t")])
def test_csv_reads_back_as_it_was(tmp_path, ending, separator):
    path = written(tmp_path / f"rows.{ending}")
    with path.open(newline="", encoding="utf-8") as file:
        header, *records = list(csv.reader(file, delimiter=separator, strict=True))
    assert header == ROWS.column_names
    assert [record[1] for record in records] == [text or "" for text in TEXTS]
    scores = [float(record[2]) if record[2] else None for record in records]
    assert scores == ROWS.column("score").to_pylist()
    assert {record[3] for record in records} == {'["a", "b"]'}
    assert [record[4] for record in records] == ["true", "false", ""] * 3
    found = read_whole(path, ["text"]).table
    assert found.column("text").to_pylist() == [text or None for text in TEXTS]


def test_json_lines_keep_lists_and_nulls(tmp_path):
    lines = written(tmp_path / "rows.jsonl").read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line) for line in lines] == ROWS.to_pylist()


def test_parquet_keeps_types(tmp_path):
    found = pq.read_table(written(tmp_path / "rows.parquet"))
    assert found.schema.equals(ROWS.schema)
    assert found.to_pylist() == ROWS.to_pylist()


@pytest.mark.parametrize(
    "name", ["rows.csv.gz", "rows.jsonl.gz", "rows.ndjson.zst", "rows.tsv.ZST"]
)
def test_a_zipped_file_holds_the_same_bytes(tmp_path, name):
    plain = written(tmp_path / name.rpartition(".")[0]).read_bytes()
    content = written(tmp_path / name).read_bytes()
    if name.endswith(".gz"):
        assert gzip.decompress(content) == plain
    else:
        with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
            assert stream.read() == plain


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "jsonl", "parquet"])
def test_a_failure_leaves_what_was_there(tmp_path, ending):
    path = tmp_path / f"rows.{ending}"
    path.write_text("earlier")
    with pytest.raises(ZeroDivisionError):
        fail_behind(path)
    assert path.read_text() == "earlier"
    assert os.listdir(tmp_path) == [path.name]


def test_no_rows_are_a_header(tmp_path):
    path = tmp_path / "new" / "rows.csv"
    with rows_written(path, ROWS.schema):
        pass
    assert path.read_text() == "id,text,score,tags,yes\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rows.xlsx", "unknown ending; give .csv, .tsv"),
        ("rows", "unknown ending"),
        ("rows.parquet.gz", "unknown ending"),
        ("rows.tar", "unknown ending"),
        (
            "https://u:pw@example.org/rows.csv?sig=1",
            "https://example.org/rows.csv: https:// cannot",
        ),
        ("hf://datasets/a/b/rows.csv", "push it with 'hf upload'"),
        ("nope://a/rows.csv", "no such kind of address as nope://"),
        ("setup.cfg/out/rows.csv", "setup.cfg may not be written to: choose another folder"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    Path("setup.cfg").touch()
    with pytest.raises(UserError) as refused:
        check_output(name)
    assert said in str(refused.value)


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "rows.csv").mkdir()
    with pytest.raises(UserError, match="is a folder: name a file in it"):
        check_output(tmp_path / "rows.csv")


def test_an_address_of_fsspec_gets_the_whole_file_at_the_end(tmp_path):
    import fsspec

    files = fsspec.filesystem("memory")
    with rows_written("memory://made/rows.csv", ROWS.schema) as write:
        write(ROWS)
        assert not files.exists("/made/rows.csv")
    assert files.cat("/made/rows.csv") == written(tmp_path / "rows.csv").read_bytes()
    (source,) = find_inputs(["memory://made/rows.csv"])
    assert source.size == len(files.cat("/made/rows.csv"))
    with pytest.raises(ZeroDivisionError):
        fail_behind("memory://made/b.csv")
    assert files.ls("/made", detail=False) == ["/made/rows.csv"]


def test_an_upload_that_fails_keeps_the_rows(tmp_path, monkeypatch):
    import fsspec

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fsspec.filesystem("memory").pipe_file("/blocked", b"a file where a folder is needed")
    with (
        pytest.raises(RunError, match="memory://blocked/rows.csv cannot be written") as failed,
        rows_written("memory://blocked/rows.csv", ROWS.schema) as write,
    ):
        write(ROWS)
    kept = Path(str(failed.value).rpartition("the rows are in ")[2])
    assert next(csv.reader(io.StringIO(kept.read_text()))) == ROWS.column_names


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "jsonl", "parquet"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, ending):
    path = tmp_path / f"rows.{ending}"
    with pytest.raises(RunError) as failed:
        write_under_a_limit(path)
    assert str(failed.value) == f"{path} cannot be written: File too large"
    assert os.listdir(tmp_path) == []


def write_under_a_limit(path: Path) -> None:
    """Write far more than the 10,000 bytes that a file may have meanwhile."""
    many = pa.table({"a": np.random.default_rng(0).normal(size=20_000)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with rows_written(path, many.schema) as write:
            write(many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_error_of_the_work_itself_is_not_the_disk_s(tmp_path):
    with (
        pytest.raises(OSError, match="of the reader"),
        rows_written(tmp_path / "rows.csv", ROWS.schema),
    ):
        raise OSError("of the reader")
