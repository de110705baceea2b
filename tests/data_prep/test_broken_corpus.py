"""A thousand broken files: each is read or refused in one line, and no row is lost uncounted."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfpipe.errors import RunError, UserError
from hfpipe.rows.columns import agreed_schema, cast_table
from hfpipe.rows.paths import find_inputs
from hfpipe.rows.reading import read_chunks
from tests.data_prep.broken import broken_files

FILES = 1_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> list[Path]:
    return list(broken_files(tmp_path_factory.mktemp("broken"), FILES))


def unzipped(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(content)
    if path.suffix == ".zst":
        with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
            return stream.read()
    return content


def counted(path: Path, kind: str) -> int | None:
    """The rows and bad rows of a file, counted in the most obvious way; None where that fails."""
    if kind == "parquet":
        return pq.read_metadata(path).num_rows
    content = unzipped(path)
    if kind == "jsonl":
        return sum(
            bool(line.strip().removeprefix(b"\xef\xbb\xbf")) for line in content.split(b"\n")
        )
    if kind in ("csv", "tsv") and b'"' not in content:
        return max(0, sum(bool(line.rstrip(b"\r")) for line in content.split(b"\n")) - 1)
    return None


def read(path: Path, chunk_rows: int) -> tuple[int, str]:
    """How many rows and bad rows a file has, and its kind; raises what reading it raises."""
    (source,) = find_inputs([path])
    chunks = list(read_chunks(source, ["text", "label"], chunk_rows=chunk_rows))
    schema = agreed_schema([chunk.table.schema for chunk in chunks])
    rows = bad = 0
    for chunk in chunks:
        table = cast_table(chunk.table, schema)
        table.validate(full=True)
        assert table.num_rows == len(chunk.digests)
        assert all("\n" not in str(each) for each in chunk.bad)
        rows += table.num_rows
        bad += len(chunk.bad_digests)
    assert source.sha256 is not None
    return rows + bad, source.kind


def read_or_refused(path: Path, chunk_rows: int) -> tuple[int, str]:
    """As ``read``; where it is refused, -1 and the words."""
    try:
        return read(path, chunk_rows)
    except (UserError, RunError) as error:
        return -1, str(error)


def test_every_file_is_read_or_refused_in_one_line_and_no_row_is_lost(corpus):
    refused = checked = 0
    for number, path in enumerate(corpus):
        rows, said = read_or_refused(path, chunk_rows=(7, 1000)[number % 2])
        if rows < 0:
            refused += 1
            assert "\n" not in said
            assert path.name in said
            continue
        wanted = counted(path, said)
        if wanted is not None:
            checked += 1
            assert rows == wanted, path.name
    assert len(corpus) == FILES
    assert 250 < refused < 750
    assert checked > 250


def test_the_command_says_one_line_about_each(corpus, cli):
    codes: Counter[int] = Counter()
    for path in corpus[:: FILES // 30]:
        ran = cli("prepare", path, "--text", "text", "--label", "label", "--dry-run")
        codes[ran.code] += 1
        assert ran.code in (0, 2), path.name
        if ran.code:
            assert ran.err.startswith("error: ")
            assert ran.err.count("\n") == 1, path.name
    assert codes[2] > 20
