"""The story on every shape of data: groups, times, folds, vectors, encoded messages, shards."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.webdataset import write_shards
from hfpipe.errors import UserError
from tests.data_prep.support import read_rows, run_prepare, sample_rows, write_rows

SPLITS = ("train", "validation", "test")


def written(folder) -> dict[str, list[dict]]:
    return {split: read_rows(folder / f"{split}.jsonl") for split in SPLITS}


def test_groups_never_straddle_and_the_manifest_names_them(tmp_path, hub):
    rows = [{**row, "author": f"p{i % 23}"} for i, row in enumerate(sample_rows())]
    path = write_rows(tmp_path / "a.jsonl", rows)
    done = run_prepare(
        path,
        split="stratified_group",
        group_by="author",
        audit=True,
        endpoint=hub,
        target="grouped",
        out=tmp_path / "out",
    )
    homes = {
        split: {row["author"] for row in rows} for split, rows in written(tmp_path / "out").items()
    }
    assert sum(map(len, homes.values())) == len(set.union(*homes.values())) == 23
    verdicts = {each["check"]: each["verdict"] for each in done.record["audit"]["findings"]}
    assert verdicts["groups"] == "ok"
    with pytest.raises(UserError, match="--group-by goes with --split group or stratified_group"):
        run_prepare(path, group_by="author", split="random")


def test_no_train_row_is_later_than_a_test_row_and_the_gap_is_accounted_for(tmp_path):
    rows = [
        {**row, "day": f"2026-{1 + i // 28:02d}-{1 + i % 28:02d}"}
        for i, row in enumerate(sample_rows(100))
    ]
    path = write_rows(tmp_path / "a.jsonl", rows)
    options = {"split": "time", "time_column": "day", "out": tmp_path / "out"}
    done = run_prepare(path, gap="3d", **options)
    days = {
        split: [row["day"] for row in rows] for split, rows in written(tmp_path / "out").items()
    }
    assert max(days["train"]) < min(days["validation"])
    assert max(days["validation"]) < min(days["test"])
    counts = done.record["counts"]
    assert 2 <= counts["dropped"]["time_gap"] <= 8
    assert counts["kept"] + counts["dropped"]["time_gap"] == 300


def test_folds_number_train_and_validation_rows_and_leave_test_alone(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    done = run_prepare(path, folds=3, out=tmp_path / "out")
    rows = written(tmp_path / "out")
    assert {row["fold"] for row in rows["test"]} == {None}
    counts = Counter(row["fold"] for split in ("train", "validation") for row in rows[split])
    assert counts == {0: 18, 1: 18, 2: 18}
    assert done.record["counts"]["folds"] == [18, 18, 18]


def test_splits_come_from_a_file_by_id(tmp_path):
    rows = [{**row, "id": f"r{i}"} for i, row in enumerate(sample_rows())]
    path = write_rows(tmp_path / "a.jsonl", rows)
    named = {f"r{i}": ("train", "val", "test")[i % 3] for i in range(60)}
    (tmp_path / "splits.json").write_text(json.dumps(named))
    options = {"split": "given", "splits_file": str(tmp_path / "splits.json"), "id_column": "id"}
    run_prepare(path, out=tmp_path / "out", **options)
    for split, rows in written(tmp_path / "out").items():
        assert {named[row["id"]] for row in rows} == {split.replace("validation", "val")}
    (tmp_path / "splits.json").write_text(json.dumps({"r1": "train"}))
    with pytest.raises(UserError, match="no split for 59 of 60 rows"):
        run_prepare(path, **options)


def test_near_duplicates_that_stay_are_kept_in_one_split_unless_asked(tmp_path):
    rows = []
    for row in sample_rows(40):
        rows += [row, {**row, "text": row["text"] + "!"}]
    path = write_rows(tmp_path / "a.jsonl", rows)

    def straddling(folder, **options) -> int:
        run_prepare(path, clean=False, out=folder, **options)
        homes: dict[str, set] = {}
        for split, rows in written(folder).items():
            for row in rows:
                homes.setdefault(row["text"].rstrip("!"), set()).add(split)
        return sum(len(home) > 1 for home in homes.values())

    assert straddling(tmp_path / "together") == 0
    assert straddling(tmp_path / "apart", clusters=False) > 10


def test_vectors_are_read_by_a_manifest_and_fused(tmp_path, hub):
    draw = np.random.default_rng(0)
    shards = {
        name: draw.normal(size=(60, size)).astype("float16")
        for name, size in (("video", 4), ("text", 3))
    }
    for name, vectors in shards.items():
        np.savez(tmp_path / f"{name}.npz", vectors=vectors)
    rows = [{"id": f"v{i}", "views": i * 10, "likes": i} for i in range(60)]
    manifest = [
        {
            "id": f"v{i}",
            "video_emb_key": "video.npz",
            "shard_idx": i,
            "text_emb_key": "text.npz" if i % 2 else None,
        }
        for i in range(60)
    ]
    done = run_prepare(
        write_rows(tmp_path / "rows.jsonl", rows),
        text=[],
        label="views",
        task="regression",
        split="random",
        id_column="id",
        join=str(write_rows(tmp_path / "manifest.jsonl", manifest)),
        join_on="id",
        vectors={"columns": ["video_emb_key", "text_emb_key"], "fusion": "concat"},
        leakage_columns=["likes"],
        endpoint=hub,
        target="vectors",
    )  # fmt: skip
    assert done.record["vectors"]["video"]["dim"] == 4
    from datasets import load_dataset

    train = load_dataset("local/vectors", split="train", token=hub.token)
    for row in train:
        place = int(row["id"][1:])
        there = place % 2
        expected = [*shards["video"][place], *(shards["text"][place] * there), 1, there]
        assert np.allclose(row["fused"], expected)
        assert (row["text"] is None) == (not there)


def test_messages_are_encoded_with_a_base_model(tmp_path, hub, tiny_bert):
    rows = [
        {"label": row["label"], "messages": [{"text": row["text"]}, {"text": f"reply {i % 3}"}]}
        for i, row in enumerate(sample_rows(8))
    ]
    path = write_rows(tmp_path / "a.jsonl", [*rows, {"label": "a", "messages": []}])
    done = run_prepare(
        path,
        text=[],
        sizes=[0.5, 0.25, 0.25],
        encode={"column": "messages", "model": tiny_bert, "name": "steps"},
        endpoint=hub,
        out=tmp_path / "out",
    )
    assert done.record["counts"]["dropped"] == {"empty_sequence": 1}
    assert done.record["encode"]["model"]
    for rows in written(tmp_path / "out").values():
        for row in rows:
            assert len(row["steps"]) == 2
            assert len(set(map(len, row["steps"]))) == 1


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def test_shards_in_and_shards_out(tmp_path, hub):
    import pyarrow as pa

    table = pa.table(
        {
            "key": [f"s{i}" for i in range(60)],
            "txt": [f"{i}first {i}second" for i in range(60)],
            "image": [{"bytes": picture(i), "path": f"s{i}.png"} for i in range(60)],
            "labels": [{"living": i % 2} for i in range(60)],
        }
    )
    (tmp_path / "in").mkdir()
    write_shards([table], tmp_path / "in", "all", 25, key="key")
    run_prepare(
        tmp_path / "in",
        text="txt",
        label="labels.living",
        id_column="key",
        format="webdataset",
        endpoint=hub,
        target="shards",
    )
    from huggingface_hub import HfApi, hf_hub_download

    client = HfApi(hub.url, token=hub.token)
    files = client.list_repo_files("local/shards", repo_type="dataset")
    assert {name for name in files if name.startswith("data/")} == {
        f"data/{split}-000000.tar" for split in SPLITS
    }
    from datasets import load_dataset

    local = hf_hub_download(
        "local/shards", "data/test-000000.tar", repo_type="dataset", token=hub.token,
        endpoint=hub.url,
    )  # fmt: skip
    rows = list(
        load_dataset("webdataset", data_files=local, split="train", streaming=True).decode(False)
    )
    assert len(rows) == 6
    for row in rows:
        place = int(row["__key__"][1:])
        said = row["txt"] if isinstance(row["txt"], str) else row["txt"]["bytes"].decode()
        assert said == f"{place}first {place}second"
        assert row["png"]["bytes"] == picture(place)


def test_a_dataset_of_the_hub_is_prepared_again(tmp_path, hub, cli, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    run_prepare(path, endpoint=hub, target="first")
    ran = cli(
        "prepare", "hf://datasets/local/first", "--text", "text", "--label", "label",
        "--split-column", "split", "--out", tmp_path / "out", "--no-audit", "--hub", hub.url,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    rows = written(tmp_path / "out")
    assert {split: len(rows[split]) for split in SPLITS} == {
        "train": 48,
        "validation": 6,
        "test": 6,
    }
    assert all(row["split"] == split for split in SPLITS for row in rows[split])


def test_a_dry_run_leaves_no_trace_and_the_audit_is_pushed(tmp_path, hub):
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    before = sorted(each.name for each in tmp_path.iterdir())
    run_prepare(path, out=tmp_path / "out", dry_run=True, audit=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == before
    done = run_prepare(path, out=tmp_path / "out", audit=True, endpoint=hub, target="audited")
    from huggingface_hub import hf_hub_download

    where = {"repo_type": "dataset", "token": hub.token, "endpoint": hub.url}
    card = hf_hub_download("local/audited", "README.md", **where)
    assert "Audit" in Path(card).read_text(encoding="utf-8")
    page = hf_hub_download("local/audited", "hfpipe/audit.html", **where)
    with open(page, "rb") as pushed:
        assert pushed.read() == (tmp_path / "out" / "audit.html").read_bytes()
    audit = done.record["audit"]
    verdicts = [each["verdict"] for each in audit["findings"]]
    assert audit["verdict"] == next(v for v in ("fail", "warn", "ok") if v in verdicts)
    assert len(verdicts) == 8
    manifest = hf_hub_download("local/audited", "hfpipe/split_manifest.parquet", **where)
    assert pq.read_table(manifest).column_names == ["row_id", "split", "group", "reason"]


def test_given_splits_that_cut_clusters_are_not_said_to_keep_them(tmp_path):
    rows = []
    for place, row in enumerate(sample_rows(20)):
        splits = ("train", "test") if place % 4 == 0 else ("train", "train")
        rows += [{**row, "s": splits[0]}, {**row, "text": row["text"] + "!", "s": splits[1]}]
    path = write_rows(tmp_path / "a.jsonl", rows)
    done = run_prepare(path, clean=False, split="given", split_column="s")
    assert done.record["clusters_kept_together"] == 45
