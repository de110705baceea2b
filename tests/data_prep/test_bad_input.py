"""Bad input: one line that names the place and the fix, exit code 2, and nothing written."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.data_prep.support import sample_rows, write_rows

GOOD = "".join(json.dumps(row) + "\n" for row in sample_rows()).encode()
HEADED = b"text,label\n" + b"".join(b"words w%d,c%d\n" % (i, i % 2) for i in range(40))


@dataclass(frozen=True)
class Case:
    """One thing that is wrong, and what the line about it must say.

    ``content`` goes to the file ``name``; ``flags`` follow, ``--text text --label label`` first.
    """

    name: str
    content: bytes
    said: tuple[str, ...]
    flags: tuple[str, ...] = ()
    arguments: Callable[[Path], list[object]] | None = None


def rows_with(labels: str) -> bytes:
    """A JSONL file with one row for each letter of ``labels``."""
    rows = [{"text": f"words w{i} v{i}", "label": label} for i, label in enumerate(labels)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def named(name: str) -> Callable[[Path], list[object]]:
    return lambda folder: [folder / name, "--text", "text", "--label", "label"]


MANY = rows_with("ab" * 20)
CASES = {
    "missing file": Case(
        "rows.jsonl", GOOD, ("rwos.jsonl", "'rows.jsonl'"), (), named("rwos.jsonl")
    ),
    "missing folder": Case(
        "rows.jsonl", GOOD, ("nowhere", "folder"), (), named("nowhere/rows.jsonl")
    ),
    "folder without rows": Case(
        "rows.txt", GOOD, ("no file of a known kind", ".jsonl"), (), named("")
    ),
    "unknown kind": Case("rows.xlsx", GOOD, ("rows.xlsx", ".jsonl", ".csv", ".parquet")),
    "no input": Case(
        "rows.jsonl", GOOD, ("no input",), (), lambda _: ["--text", "a", "--label", "b"]
    ),
    "same input twice": Case("rows.jsonl", GOOD, ("named twice",), ("INPUT",)),
    "malformed line": Case(
        "rows.jsonl",
        GOOD + b'{"text": "a", \n',
        ("rows.jsonl: line 61: not JSON", "at column 14", "1 of 61 rows", "--max-bad-rows"),
    ),
    "line that is no object": Case(
        "rows.jsonl", b"[1, 2]\n" + GOOD, ("rows.jsonl: line 1: a list, not an object",)
    ),
    "infinity": Case(
        "rows.jsonl", b'{"text": Infinity}\n' + GOOD, ("line 1: Infinity is not JSON",)
    ),
    "list as a text": Case(
        "rows.jsonl", b'{"text": ["a"], "label": "b"}\n' + GOOD, ("line 1: 'text' holds a list",)
    ),
    "half a surrogate": Case(
        "rows.jsonl", b'{"text": "\\ud83d", "label": "b"}\n' + GOOD, ("line 1", "surrogate")
    ),
    "not utf-8": Case(
        "rows.jsonl", GOOD + b'{"text": "caf\xe9"}\n', ("line 61: not UTF-8", "0xe9")
    ),
    "utf-16": Case("rows.jsonl", GOOD.decode().encode("utf-16"), ("line 1: not UTF-8: byte 0xff",)),
    "nested too deeply": Case("rows.jsonl", b"[" * 200_000 + b"\n" + GOOD, ("line 1", "deep")),
    "missing text column": Case(
        "rows.jsonl", GOOD, ("rows.jsonl", "'txet'", "--text", "'text'"), ("--text", "txet")
    ),
    "missing label column": Case(
        "rows.jsonl", GOOD, ("'lable'", "--label", "did you mean 'label'"), ("--label", "lable")
    ),
    "missing id column": Case("rows.jsonl", GOOD, ("'idd'", "--id-column"), ("--id-column", "idd")),
    "repeated ids": Case(
        "rows.jsonl", GOOD, ("'number'", "stands on 3 rows"), ("--id-column", "number")
    ),
    "text and label the same": Case("rows.jsonl", GOOD, ("'text'", "both"), ("--label", "text")),
    "empty file": Case("rows.jsonl", b"", ("no rows in", "rows.jsonl")),
    "only blank lines": Case("rows.jsonl", b"\n\r\n  \n", ("no rows in",)),
    "header only": Case("rows.csv", b"text,label\n", ("no rows in", "rows.csv")),
    "no header": Case("rows.csv", b"", ("rows.csv: no header line",)),
    "duplicate columns": Case("rows.csv", b"text,label,text\n", ("'text' stands twice", "1 and 3")),
    "ragged row": Case(
        "rows.csv", HEADED + b"a,b,c\n", ("line 42: 3 cells where the header has 2",)
    ),
    "short row": Case("rows.csv", HEADED + b"a\n", ("line 42: 1 cell where the header has 2",)),
    "open quote": Case(
        "rows.csv", HEADED + b'"a,b\nc,d\n', ("line 42: a quoted cell is never closed",)
    ),
    "csv not utf-8": Case("rows.csv", HEADED + b"caf\xe9,a\n", ("line 42: not UTF-8 in column 1",)),
    "csv header not utf-8": Case("rows.csv", b"t\xe9xt,label\na,b\n", ("header", "not UTF-8")),
    "cut gzip": Case("rows.jsonl.gz", gzip.compress(GOOD)[:-60], ("rows.jsonl.gz", "ends early")),
    "not gzip": Case("rows.jsonl.gz", GOOD, ("rows.jsonl.gz", "not gzip")),
    "broken gzip": Case(
        "rows.csv.gz", gzip.compress(HEADED)[:30] + b"\xff" * 90, ("rows.csv.gz", "damaged")
    ),
    "not parquet": Case("rows.parquet", GOOD, ("rows.parquet: not a readable Parquet file",)),
    "cut parquet": Case(
        "rows.parquet", b"PAR1" + b"\0" * 80 + b"PAR1", ("not a readable Parquet",)
    ),
    "no text anywhere": Case(
        "rows.csv", b"text,label\n,a\n ,b\n", ("no row has both", "2 empty_text of 2 rows")
    ),
    "one class": Case("rows.jsonl", rows_with("a" * 30), ("'label' has one class only, 'a'",)),
    "one class after filtering": Case(
        "rows.jsonl", MANY, ("one class only, 'b'", "20 dropped_label"), ("--drop-labels", "a")
    ),
    "no class after filtering": Case(
        "rows.jsonl", MANY, ("no rows are left of 40", "--drop-labels"), ("--drop-labels", "a,b")
    ),
    "no class is large enough": Case(
        "rows.jsonl", MANY, ("no rows are left", "--min-count"), ("--min-count", "21")
    ),
    "unknown label to drop": Case(
        "rows.jsonl",
        rows_with("ab" * 20),
        ("'c'", "there is 'a', 'b'"),
        ("--labels-to-filter", "c"),
    ),
    "class too small": Case(
        "rows.jsonl",
        rows_with("aabb" * 9 + "cc"),
        ("class 'c' has 2 rows", "--min-count 3", "--drop-labels 'c'"),
    ),
    "class without a train row": Case(
        "rows.jsonl",
        rows_with("ab" + "c" * 40),
        ("has no train row", "stratified"),
        ("--split", "random", "--sizes", "0.1,0.45,0.45"),
    ),
    "empty split": Case(
        "rows.jsonl", rows_with("abab"), ("'test' would be empty", "4 rows"), ("--split", "random")
    ),
    "sizes that do not sum to 1": Case(
        "rows.jsonl", GOOD, ("0.8,0.1,0.2", "sum to 1.1"), ("--sizes", "0.8,0.1,0.2")
    ),
    "two sizes": Case("rows.jsonl", GOOD, ("three shares",), ("--sizes", "0.8,0.2")),
    "a size of 0": Case("rows.jsonl", GOOD, ("above 0",), ("--sizes", "0.8,0,0.2")),
    "sizes that are no numbers": Case("rows.jsonl", GOOD, ("three numbers",), ("--sizes", "a,b,c")),
    "unknown split": Case(
        "rows.jsonl",
        GOOD,
        ("--split groups", "'stratified'", "'random'", "'given'"),
        ("--split", "groups"),
    ),
    "unknown policy": Case("rows.jsonl", GOOD, ("--policy all", "'kept'"), ("--policy", "all")),
    "unknown format": Case("rows.jsonl", GOOD, ("did you mean 'parquet'",), ("--format", "parqet")),
    "threshold above 1": Case("rows.jsonl", GOOD, ("--threshold 90",), ("--threshold", "90")),
    "ratio below 1": Case(
        "rows.jsonl",
        GOOD,
        ("--reduce-majority-to 0.5", "1 or more"),
        ("--reduce-majority-to", "0.5"),
    ),
    "given without a column": Case("rows.jsonl", GOOD, ("--split-column",), ("--split", "given")),
    "given split that is none": Case(
        "rows.jsonl", GOOD, ("20 rows say 'a'", "'train'"), ("--split-column", "label")
    ),
    "given splits without a test row": Case(
        "rows.jsonl",
        b"".join(json.dumps({**row, "s": "train"}).encode() + b"\n" for row in sample_rows()),
        ("split 'test' would be empty",),
        ("--split-column", "s"),
    ),
    "unknown recipe": Case("rows.jsonl", GOOD, ("topics_minilm",), ("--recipe", "topics_minlm")),
    "Hub that is none": Case(
        "rows.jsonl", GOOD, ("--hub ftp://x",), ("--target", "a/b", "--hub", "ftp://x")
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_bad_input_is_one_line_and_leaves_nothing(case, tmp_path, cli):
    inputs, out = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    path = inputs / case.name
    path.write_bytes(case.content)
    arguments = (
        case.arguments(inputs)
        if case.arguments
        else [path, "--text", "text", "--label", "label", *case.flags]
    )
    if "--text" in case.flags:  # a second --text would be a second column
        arguments = [path, *case.flags, "--label", "label"]
    ran = cli("prepare", *(path if each == "INPUT" else each for each in arguments), "--out", out)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    for part in case.said:
        assert part in ran.err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in"]


def test_columns_that_hold_lists_or_bytes_are_no_text(tmp_path, cli):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": [[1]], "label": [b"b"]}), tmp_path / "a.parquet")
    for text, label, kind in (("text", "label", "list"), ("label", "text", "binary")):
        flags = ("--text", text, "--label", label, "--dry-run")
        ran = cli("prepare", tmp_path / "a.parquet", *flags)
        assert ran.code == 2
        assert f"column '{text}' holds {kind}" in ran.err


def test_a_parquet_file_with_text_that_is_not_utf8_is_damaged(tmp_path, cli):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["zzzz"], "label": ["a"]})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)
    path.write_bytes(path.read_bytes().replace(b"zzzz", b"\xff\xfe\xff\xfe"))
    ran = cli("prepare", path, "--text", "text", "--label", "label", "--dry-run")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "a.parquet: not a readable Parquet file" in ran.err


def test_nowhere_to_write_to(tmp_path, cli):
    path = write_rows(tmp_path / "rows.jsonl", sample_rows())
    ran = cli("prepare", path, "--text", "text", "--label", "label")
    assert ran.code == 2
    assert "--out DIR, --target NAMESPACE/NAME or --dry-run" in ran.err


def test_out_that_is_a_file(tmp_path, cli):
    path = write_rows(tmp_path / "rows.jsonl", sample_rows())
    ran = cli("prepare", path, "--text", "text", "--label", "label", "--out", path)
    assert ran.code == 2
    assert "is a file: give a folder" in ran.err
    assert len(path.read_text().splitlines()) == 60
