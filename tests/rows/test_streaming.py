"""Files read twice: types that do not depend on the blocks, and files that must not change."""

from __future__ import annotations

import pyarrow as pa
import pytest

from hfpipe.errors import RunError, UserError
from hfpipe.rows.paths import find_inputs
from hfpipe.rows.reading import read_whole
from hfpipe.rows.streaming import blocks, survey
from tests.rows.support import jsonl, write


@pytest.fixture
def files(tmp_path):
    """Numbers that end in a word, in two files; the second lacks a column."""
    rows = [{"n": at, "m": at / 2, "only": f"{at}"} for at in range(10)]
    more = [{"n": 10.5, "m": None}, {"n": "eleven", "m": 3}]
    first = write(tmp_path / "a.jsonl", jsonl(rows))
    return first, write(tmp_path / "b.jsonl.gz", jsonl(more))


@pytest.mark.parametrize("block_rows", [1, 4, 5_000])
def test_blocks_of_any_size_are_the_same_rows_of_the_same_types(files, block_rows):
    found = survey(find_inputs(files), block_rows=block_rows)
    assert (found.rows, found.schema.types) == (12, [pa.string(), pa.float64(), pa.string()])
    given = list(blocks(found, ["m", "n"]))
    assert max(block.table.num_rows for block in given) <= block_rows
    assert [block.start for block in given] == sorted({block.start for block in given})
    assert [block.source.name for block in given] == sorted(block.source.name for block in given)
    table = pa.concat_tables([block.table for block in given])
    assert table.column("n").to_pylist() == [*map(str, range(10)), "10.5", "eleven"]
    assert table.column("m").to_pylist() == [*(at / 2 for at in range(10)), None, 3.0]
    assert sum(block.table.num_rows for block in blocks(found, ["only"])) == 12


def test_a_file_alone_has_the_types_that_it_has_as_a_whole(tmp_path):
    path = write(tmp_path / "a.csv", b"code,n,kept\n007,1,1.50\n8,,2\nx,3,3.00\n")
    found = survey(find_inputs([path]), ["code"], ["kept"], block_rows=1)
    table = pa.concat_tables([block.table for block in blocks(found, found.schema.names)])
    whole = read_whole(path, ["code", "kept"]).table.drop(["row_id"])
    assert table.equals(whole.cast(table.schema))
    assert table.schema.types == whole.schema.types == [pa.string(), pa.int64(), pa.string()]
    assert table.column("kept").to_pylist() == ["1.50", "2", "3.00"]


def test_a_line_that_is_no_row_is_named_before_any_block(files, tmp_path):
    broken = write(tmp_path / "c.jsonl", jsonl([{"n": 1}, {"n": 2}, "{"]))
    with pytest.raises(UserError, match=r"c\.jsonl: line 3: not JSON.*: mend or remove it"):
        survey(find_inputs([*files, broken]), block_rows=1)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"n,m\n"])
def test_no_rows_are_refused(tmp_path, content):
    path = write(tmp_path / ("a.csv" if content.startswith(b"n") else "a.jsonl"), content)
    with pytest.raises(UserError, match="no rows: give a file with at least one"):
        survey(find_inputs([path]))


def test_a_file_that_changes_in_between_is_refused(files):
    found = survey(find_inputs(files))
    write(files[1], jsonl([{"n": 10.5, "m": None}, {"n": "twelve", "m": 3}]))
    with pytest.raises(RunError, match=r"b\.jsonl\.gz was changed while it was read"):
        list(blocks(found, ["n"]))


def test_bytes_are_told_as_they_are_read(files):
    told: list[int] = []
    sources = find_inputs(files)
    survey(sources, advance=told.append)
    assert sum(told) == sum(source.size or 0 for source in sources)
