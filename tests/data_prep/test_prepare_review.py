"""What a review found: odd columns, refusals that could be got round, rows added to odd repos."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.cells import write_csv
from data_prep.finding import without_columns
from hfpipe.errors import UserError
from hfpipe.rows.reading import read_file
from tests.data_prep.support import read_rows, run_prepare, sample_rows, write_rows

SPLITS = ("train", "validation", "test")


def with_more(rows: list[dict], **columns) -> list[dict]:
    """The rows with further columns, each made of the row's place and the row."""
    return [
        {**row, **{name: make(place, row) for name, make in columns.items()}}
        for place, row in enumerate(rows)
    ]


def written(out: Path) -> list[dict]:
    return [row for split in SPLITS for row in read_rows(out / f"{split}.jsonl")]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--text", "text,hint", "--leakage-columns", "hint"], "'hint' is refused"),
        (["--text", "text,label"], "'label' is both --text and --label"),
        (["--text", "text,hint", "--drop-columns", "hint"], "'hint' is both in --text and"),
        (["--text", "text,row_id"], "'row_id' holds the rows' ids"),
        (["--text", "meta.text", "--leakage-columns", "meta"], "'meta.text' is refused"),
        (["--text", "meta.txet"], "no column 'meta.txet' (--text); did you mean 'meta.text'"),
        (["--text", "said.txet"], "no column 'said.txet' (--text); did you mean 'said.text'"),
        (["--text", "text", "--leakage-columns", "said.text"], "no input has column 'said.text'"),
        (["--text", "text", "--folds", "3"], "has a column 'fold', which --folds writes"),
        (["--text", "meta.text"], "'meta.text' becomes 'meta_text', which there is already"),
    ],
)
def test_what_must_be_refused_is_refused_however_it_is_named(tmp_path, cli, flags, said):
    rows = with_more(
        sample_rows(),
        hint=lambda i, row: row["label"],
        meta=lambda i, row: {"text": row["text"]},
        meta_text=lambda i, row: "taken",
        said=lambda i, row: [{"text": row["text"]}],
        fold=lambda i, row: i,
    )
    path = write_rows(tmp_path / "a.jsonl", rows)
    ran = cli("prepare", path, "--label", "label", *flags, "--no-audit", "--out", tmp_path / "out")
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_field_of_an_object_is_left_out_and_the_rest_of_the_object_stays(tmp_path):
    rows = with_more(sample_rows(), meta=lambda i, row: {"kept": i, "leak": row["label"]})
    path = write_rows(tmp_path / "a.jsonl", rows)
    run_prepare(path, out=tmp_path / "out", leakage_columns=["meta.leak"])
    found = written(tmp_path / "out")
    assert sorted(row["meta"]["kept"] for row in found) == list(range(60))
    assert all(list(row["meta"]) == ["kept"] for row in found)


def test_objects_lose_a_field_at_any_depth():
    rows = pa.table({"a": [{"b": {"c": 1, "d": 2}}, {"b": None}, None], "a.e": [1, 2, 3]})
    assert without_columns(rows, ["a.b.c"]).to_pylist() == [
        {"a": {"b": {"d": 2}}, "a.e": 1},
        {"a": {"b": None}, "a.e": 2},
        {"a": None, "a.e": 3},
    ]
    assert without_columns(rows, ["a.e"]).column_names == ["a"]
    assert without_columns(rows.slice(1), ["a.b.c", "a.b.d"]).column_names == ["a.e"]


def test_columns_with_dots_in_their_names_are_texts_and_labels(tmp_path):
    rows = [{"a.text": row["text"], "a.label": row["label"]} for row in sample_rows()]
    path = write_rows(tmp_path / "a.jsonl", rows)
    run_prepare(path, text="a.text", label="a.label", out=tmp_path / "out")
    found = written(tmp_path / "out")
    assert len(found) == 60
    assert all(set(row) == {"row_id", "a_text", "a_label"} for row in found)


def test_views_and_maps_of_parquet_files_are_read_and_loaded(tmp_path, hub):
    rows = sample_rows()
    table = pa.table(
        {
            "text": pa.array([row["text"] for row in rows], pa.string_view()),
            "label": [row["label"] for row in rows],
            "tags": pa.array([[("k", 1)], None] * 30, pa.map_(pa.string(), pa.int64())),
            "deep": pa.array([{"v": ["x"]}] * 60, pa.struct([("v", pa.list_(pa.string_view()))])),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    done = run_prepare(tmp_path / "a.parquet", endpoint=hub, target="views")
    assert done.record["counts"]["kept"] == 60
    from datasets import load_dataset

    train = load_dataset("local/views", split="train", token=hub.token)
    assert train.num_rows == 48
    assert {json.dumps(tags) for tags in train["tags"]} == {
        "null",
        '[{"key": "k", "value": 1}]',
    }


def test_shards_with_gaps_load_with_the_types_of_all_rows(tmp_path, hub):
    """``datasets`` looks at five rows, of the last split, which have no fold."""
    rows = with_more(
        sample_rows(),
        txt=lambda i, row: row["text"] if i % 3 else None,
        gap=lambda i, row: 7 if i == 0 else None,
        tags=lambda i, row: [[0.5]] if i == 1 else [],
        meta=lambda i, row: {"a": True, "b": None},
    )
    path = write_rows(tmp_path / "a.jsonl", rows)
    run_prepare(path, endpoint=hub, target="gaps", format="webdataset", folds=3)
    from datasets import load_dataset

    loaded = load_dataset("local/gaps", token=hub.token)
    assert {split: loaded[split].num_rows for split in SPLITS} == dict(
        zip(SPLITS, (48, 6, 6), strict=True)
    )
    rows = [row for split in SPLITS for row in loaded[split]]
    assert sum(row["json"]["gap"] or 0 for row in rows) == 7
    assert sum(row["txt"] is None for row in rows) == 20
    assert {row["json"]["fold"] for row in rows} == {0, 1, 2, None}
    assert sum(row["json"]["tags"] == [[0.5]] for row in rows) == 1


def fetched(hub, repo: str, path: str) -> str:
    from huggingface_hub import hf_hub_download

    return hf_hub_download(
        f"local/{repo}", path, repo_type="dataset", endpoint=hub.url, token=hub.token
    )


def fates(hub, repo: str) -> dict[str, dict]:
    rows = pq.read_table(fetched(hub, repo, "hfpipe/split_manifest.parquet")).to_pylist()
    found = {row["row_id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


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


def test_a_carriage_return_in_csv_ends_no_row(tmp_path):
    table = pa.table({"a": ["one\rtwo", "three"], "b": [1, 2]})
    write_csv([table], tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ["one\rtwo", "1"], ["three", "2"]]
    assert read_file(tmp_path / "a.csv").table.column("a").to_pylist() == ["one\rtwo", "three"]


@pytest.mark.parametrize(
    ("cells", "changed"),
    [
        (["007", "8"], "'007' would become '7'"),
        (["1.50", None], "'1.50' would become '1.5'"),
        (["1e5", "2"], "'1e5' would become '100000'"),
        (["True", "False"], "'True' would become 'true'"),
        (["7", "8", None], None),
        (["007", "x"], None),
        (["None", "NA"], None),
        ([None, ""], None),
    ],
)
def test_text_that_csv_would_change_is_refused(tmp_path, cells, changed):
    table = pa.table({"code": pa.array(cells, pa.string())})
    if changed is None:
        write_csv([table], tmp_path / "a.csv")
        return
    with pytest.raises(UserError, match=changed):
        write_csv([table], tmp_path / "a.csv")


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
