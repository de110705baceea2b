"""Finding inputs: what a name stands for, in which order, and what is refused."""

from __future__ import annotations

import os

import pytest

from hfpipe.errors import UserError
from hfpipe.rows.paths import expand_braces, find_inputs
from tests.rows.support import write


def names(*inputs: object) -> list[str]:
    return [source.name for source in find_inputs([str(each) for each in inputs])]


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b.csv",
        "a.jsonl.gz",
        "deep/er/c.tsv.zst",
        "deep/d.parquet",
        "e-00.tar",
        "e-01.tar",
    ):
        write(tmp_path / name, b"x")
    for name in ("notes.md", ".hidden.csv", ".git/f.csv", "deep/data.xlsx"):
        write(tmp_path / name, b"x")
    return tmp_path


def test_a_folder_is_all_files_of_a_known_kind_below_it_in_order(folder):
    below = ["a.jsonl.gz", "b.csv", "deep/d.parquet", "deep/er/c.tsv.zst", "e-00.tar", "e-01.tar"]
    assert names(folder) == [str(folder / name) for name in below]
    kinds = [source.kind for source in find_inputs([folder])]
    assert kinds == ["jsonl", "csv", "parquet", "tsv", "webdataset", "webdataset"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.csv", ["b.csv"]),
        ("**/*.tsv.zst", ["deep/er/c.tsv.zst"]),
        ("deep/*", ["deep/d.parquet"]),
        ("e-{00..01}.tar", ["e-00.tar", "e-01.tar"]),
        ("{b.csv,deep/d.parquet}", ["b.csv", "deep/d.parquet"]),
        ("{e-0*,b*}", ["e-00.tar", "e-01.tar", "b.csv"]),
        ("deep", ["deep/d.parquet", "deep/er/c.tsv.zst"]),
    ],
)
def test_globs_braces_and_folders(folder, pattern, found):
    assert names(folder / pattern) == [str(folder / name) for name in found]
    assert names(f"file://{folder}/{pattern}") == [str(folder / name) for name in found]


def test_a_file_that_is_called_like_a_glob_is_that_file(tmp_path):
    odd = write(tmp_path / "a[1]{2..3}.csv", b"x")
    write(tmp_path / "a1{2..3}.csv", b"x")
    assert names(odd) == [str(odd)]


def test_sizes_are_known_beforehand(folder):
    assert [source.size for source in find_inputs([folder / "b.csv"])] == [1]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([], "no input"),
        (["b.csv", "b.csv"], "b.csv is named twice"),
        (["b.csv", "*.csv"], "b.csv is named twice"),
        ([".", "deep"], "named twice"),
        (["link.csv", "b.csv"], "b.csv is named twice"),
        (["deep/data.xlsx"], "data.xlsx: unknown kind of file; there is .jsonl"),
        (["deep/*.xlsx"], "no file of a known kind there"),
        ([".git"], "no file of a known kind there; there is .jsonl"),
        (["*.parquet"], "no file is called like that"),
        (["c.csv"], "did you mean 'b.csv'"),
        (["e-{00..02}.tar"], "e-02.tar does not exist; did you mean"),
        (["e-{5..2}.tar"], "the range in braces is empty"),
        (["s3://b/{5..2}.csv"], "the range in braces is empty"),
        (["e-{0..99999999}.tar"], "stands for 100,000,000 names"),
        (["deep/c.csv.bz2"], "does not exist"),
        (["notes.md"], "notes.md: unknown kind of file"),
        (["no\nsuch.csv"], "no such.csv does not exist"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(folder, monkeypatch, inputs, said):
    monkeypatch.chdir(folder)
    os.symlink("b.csv", "link.csv")
    os.rename(".git/f.csv", ".git/f.txt")
    with pytest.raises(UserError) as refused:
        find_inputs(inputs)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_braces_multiply_and_keep_leading_zeros():
    assert expand_braces("s3://b/{x,y}-{009..011}.tar") == [
        f"s3://b/{letter}-{number}.tar" for letter in "xy" for number in ("009", "010", "011")
    ]
