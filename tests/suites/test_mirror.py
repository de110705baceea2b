"""The mirror, against an S3 service that really answers."""

from __future__ import annotations

import pytest

from hfpipe.errors import UserError
from hfpipe.suites.mirror import Mirror
from tests.s3 import SECRET, s3_service


@pytest.fixture(scope="module")
def s3():
    with s3_service("mirror") as files:
        yield files


def test_a_suite_lies_in_the_bucket_as_it_does_here(cli, s3, suite_file, datasets, tmp_path):
    suite = suite_file(
        "bucket",
        ["toy_ridge"],
        {"data.dataset": datasets[:1]},
        mirror="s3://mirror/runs/one",
    )
    ran = cli("finetune", "--recipe", suite, "--out", tmp_path, "--no-wandb")
    assert ran.code == 0, ran.err
    here = {p.relative_to(tmp_path).as_posix(): p for p in tmp_path.rglob("*") if p.is_file()}
    s3.invalidate_cache()
    there = {path.removeprefix("mirror/runs/one/") for path in s3.find("mirror/runs/one")}
    assert there == set(here)
    assert {"leaderboard.csv", "cells/views-7/toy-ridge/default/cell.json"} <= there
    for name, path in here.items():
        assert s3.cat_file(f"mirror/runs/one/{name}") == path.read_bytes(), name
        assert SECRET.encode() not in path.read_bytes()


def test_a_bucket_that_is_not_there_is_found_before_the_first_cell(
    cli, s3, suite_file, datasets, tmp_path
):
    suite = suite_file(
        "nobucket", ["toy_ridge"], {"data.dataset": datasets[:1]}, mirror="s3://no-such-bucket/x"
    )
    ran = cli("finetune", "--recipe", suite, "--out", tmp_path / "out", "--no-wandb")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "suite.mirror: s3://no-such-bucket/x cannot be written to" in ran.err
    assert SECRET not in ran.err
    assert not (tmp_path / "out").exists()


def test_only_what_is_new_or_changed_is_copied_again(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "a").mkdir(parents=True)
    (here / "a" / "one.txt").write_text("1")
    (here / "a" / "checkpoints").mkdir()
    (here / "a" / "checkpoints" / "big").write_text("x")
    (here / ".running").mkdir()
    (here / ".running" / "half").write_text("x")
    mirror = Mirror(f"file://{there}", here)
    mirror.check()
    assert list(there.iterdir()) == []
    assert (mirror.copy(), mirror.copy()) == (1, 0)
    (here / "a" / "one.txt").write_text("22")
    (here / "two.txt").write_text("2")
    assert mirror.copy() == 2
    assert (there / "a" / "one.txt").read_text() == "22"
    assert sorted(path.name for path in there.rglob("*") if path.is_file()) == [
        "one.txt",
        "two.txt",
    ]


def test_a_place_that_may_not_be_written_to_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^suite\.mirror: file://.* cannot be written to \("):
        Mirror(f"file://{tmp_path}/file/below", tmp_path / "here").check()
    with pytest.raises(UserError, match="lies inside"):
        Mirror(f"file://{tmp_path}/here/copy", tmp_path / "here")
