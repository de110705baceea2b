"""What a review found of rows that are added to a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hfpipe.errors import UserError
from tests.data_prep.support import run_prepare, sample_rows, write_rows
from tests.data_prep.test_prepare_review import SPLITS, fates, fetched, with_more, written


def fresh_rows(per_class: int = 10, labels: str = "abc") -> list[dict]:
    return [
        {"text": f"{label}{i}new {label}{i}fresh words", "label": label, "number": i}
        for label in labels
        for i in range(100, 100 + per_class)
    ]


def grown(tmp_path, hub, old: list[dict], new: list[dict], name: str, **options):
    """Prepare ``old``, add ``new``; old rows must be as they were. Gives what the second run made.

    What it wrote is in ``tmp_path / "out"``.
    """
    options |= {"endpoint": hub, "target": name}
    first = run_prepare(write_rows(tmp_path / "old.jsonl", old), **options)
    before = fates(hub, name)
    path = write_rows(tmp_path / "new.jsonl", new)
    done = run_prepare(path, incremental=True, out=tmp_path / "out", **options)
    after = fates(hub, name)
    assert {row_id: after[row_id] for row_id in before} == before
    counts = done.record["counts"]
    assert counts["in"] == len(after) == counts["kept"] + sum(counts["dropped"].values())
    assert first.record["counts"]["in"] == len(before)
    return done


@pytest.mark.parametrize("file_format", ["parquet", "csv", "webdataset"])
def test_a_grown_dataset_has_the_columns_that_its_rows_have(tmp_path, hub, file_format):
    old, new = (
        with_more(rows, key=lambda i, row: f"k {i}", part=lambda i, row: SPLITS[i % 3])
        for rows in (sample_rows(), fresh_rows())
    )
    grown(tmp_path, hub, old, new, f"columns-{file_format}", format=file_format)
    found = written(tmp_path / "out")
    assert len(found) == 90
    assert all(list(row) == ["row_id", *old[0]] for row in found)
    keys = {row["text"]: row["key"] for row in [*old, *new]}
    assert {row["text"]: row["key"] for row in found} == keys


def test_rows_are_added_with_the_very_flags_of_the_first_run(tmp_path, hub, cli, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    more = with_more(sample_rows(labels="abcd"), title=lambda i, row: f"t{i}x")
    first = write_rows(tmp_path / "a.jsonl", more)
    added = with_more(fresh_rows(labels="ab"), title=lambda i, row: f"u{i}x")
    second = write_rows(tmp_path / "b.jsonl", added)
    flags = ["--text", "text,title", "--label", "label", "--drop-labels", "d,c", "--no-audit"]
    flags += ["--target", "same-flags", "--hub", hub.url]
    for path in (first, second, second):
        ran = cli("prepare", path, *flags, "--incremental")
        assert (ran.code, ran.err) == (0, "")
    assert "unchanged: no new commit" in ran.out
    record = json.loads(Path(fetched(hub, "same-flags", "hfpipe/prepare.json")).read_text())
    assert record["counts"]["dropped"] == {"dropped_label": 40}
    assert record["options"]["drop_labels"] == ["d", "c"]
    ran = cli("prepare", second, *flags, "--incremental", "--drop-labels", "a")
    assert ran.code == 2
    assert "was prepared with --drop-labels d,c" in ran.err


def test_groups_hold_where_their_column_was_left_out(tmp_path, hub):
    def of(i, row):
        return {"author": f"p{i % 20}"}

    done = grown(
        tmp_path,
        hub,
        with_more(sample_rows(), meta=of),
        with_more(fresh_rows(20), meta=of),
        "groups-left-out",
        split="group",
        group_by="meta.author",
        drop_columns=["meta"],
    )
    homes: dict[str, set] = {}
    for row in fates(hub, "groups-left-out").values():
        homes.setdefault(row["group"], set()).add(row["split"])
    assert len(homes) == 20
    assert all(len(splits) == 1 for splits in homes.values())
    assert done.record["added"]["kept"] == 60


def test_a_cap_counts_the_rows_that_stay_first(tmp_path, hub):
    done = grown(tmp_path, hub, sample_rows(), fresh_rows(30), "capped", cap=15)
    assert done.record["added"]["kept"] == 0
    assert done.record["counts"]["dropped"] == {"majority_cap": 15 + 90}


def test_the_capture_that_stays_counts_as_the_latest(tmp_path, hub):
    old = with_more(sample_rows(), item=lambda i, row: f"i{i}", at=lambda i, row: 1)
    new = with_more(fresh_rows(30), item=lambda i, row: f"i{i}", at=lambda i, row: 2)
    done = grown(tmp_path, hub, old, new, "latest", latest_by="at", latest_key=["item"])
    assert done.record["counts"]["dropped"] == {"stale": 60}
    assert done.record["added"]["kept"] == 30


def test_what_gives_the_label_away_goes_for_good(tmp_path, hub):
    old = with_more(sample_rows(), hint=lambda i, row: 1, late=lambda i, row: 2)
    new = with_more(fresh_rows(), hint=lambda i, row: 1, late=lambda i, row: 2)
    options = {"endpoint": hub, "target": "for-good"}
    run_prepare(write_rows(tmp_path / "a.jsonl", old), leakage_columns=["hint"], **options)
    path = write_rows(tmp_path / "b.jsonl", new)
    out = tmp_path / "out"
    done = run_prepare(path, incremental=True, leakage_columns=["late"], out=out, **options)
    assert done.record["leakage_columns"] == ["hint", "late"]
    assert len(written(out)) == 90
    assert all(set(row) == {"row_id", "text", "label", "number"} for row in written(out))


@pytest.mark.parametrize("column", ["time_column", "latest_by"])
def test_a_column_that_new_rows_are_placed_by_must_be_in_the_dataset(tmp_path, hub, column):
    rows = with_more(sample_rows(), at=lambda i, row: i, item=lambda i, row: i)
    name = f"needs-{column.replace('_', '-')}"
    options = {"endpoint": hub, "target": name, column: "at", "drop_columns": ["at"]}
    options |= {"split": "time"} if column == "time_column" else {"latest_key": ["item"]}
    path = write_rows(tmp_path / "a.jsonl", rows)
    run_prepare(path, **options)
    before = fates(hub, name)
    with pytest.raises(UserError, match=f"no column 'at' .--{column.replace('_', '-')}"):
        run_prepare(path, incremental=True, **options)
    assert fates(hub, name) == before


def test_vectors_of_a_csv_dataset_stay_when_rows_are_added(tmp_path, hub):
    np.savez(tmp_path / "v.npz", vectors=np.arange(320, dtype="float32").reshape(80, 4))
    rows = [{"views": i * 1.5, "v_emb_key": "v.npz", "shard_idx": i} for i in range(80)]
    done = grown(
        tmp_path,
        hub,
        rows[:60],
        rows[60:],
        "vectors-csv",
        text=[],
        label="views",
        task="regression",
        split="random",
        vectors={"columns": ["v_emb_key"], "root": str(tmp_path)},
        format="csv",
    )
    assert done.record["added"]["kept"] == 20
    for row in written(tmp_path / "out"):
        assert row["v"] == [4 * row["shard_idx"] + i for i in range(4)]
