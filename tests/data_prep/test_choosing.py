"""Which rows and columns come in: conditions, joins, latest captures, leakage, labels by path."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from hfpipe.errors import UserError
from tests.data_prep.support import read_rows, run_prepare, sample_rows, write_rows

SPLITS = ("train", "validation", "test")


def written(folder) -> list[dict]:
    return [row for split in SPLITS for row in read_rows(folder / f"{split}.jsonl")]


def test_where_keeps_the_rows_asked_for_and_counts_the_others(tmp_path):
    rows = [{**row, "lang": "en" if i % 4 else "de"} for i, row in enumerate(sample_rows())]
    path = write_rows(tmp_path / "a.jsonl", rows)
    only = run_prepare(path, where=["lang=en"], out=tmp_path / "en").record["counts"]
    assert only["dropped"] == {"filtered_out": 15}
    assert {row["lang"] for row in written(tmp_path / "en")} == {"en"}
    others = run_prepare(path, where=["lang!=en", "number!=0"]).record["counts"]
    assert (others["kept"], others["dropped"]) == (12, {"filtered_out": 48})


def test_the_latest_capture_of_a_key_wins_and_ids_need_to_differ_among_those_left_only(tmp_path):
    rows = sample_rows()
    for place, row in enumerate(rows):
        row |= {"id": f"v{place}", "at": f"2026-01-{1 + place % 28:02d}T00:00:00Z", "seen": 2}
    stale = [{**row, "at": "2025-12-31", "seen": 1} for row in rows[::3]]
    path = write_rows(tmp_path / "a.jsonl", [*stale, *rows])
    options = {"latest_by": "at", "latest_key": ["id"], "id_column": "id"}
    done = run_prepare(path, out=tmp_path / "out", **options)
    assert done.record["counts"]["dropped"] == {"stale": 20}
    assert sorted(row["row_id"] for row in written(tmp_path / "out")) == sorted(
        row["id"] for row in rows
    )
    assert {row["seen"] for row in written(tmp_path / "out")} == {2}
    with pytest.raises(UserError, match="'v0' stands on 2 rows"):
        run_prepare(path, id_column="id")


def test_a_joined_table_adds_its_columns_and_rows_without_a_match_are_counted(tmp_path):
    rows = [{**row, "key": i} for i, row in enumerate(sample_rows())]
    path = write_rows(tmp_path / "a.jsonl", rows)
    table = write_rows(tmp_path / "m.csv", ["key,size", *(f"{i},{i * 10}" for i in range(57))])
    done = run_prepare(path, join=str(table), join_on="key", out=tmp_path / "out")
    assert done.record["counts"]["dropped"] == {"unmatched": 3}
    assert all(row["size"] == row["key"] * 10 for row in written(tmp_path / "out"))
    with pytest.raises(UserError, match="no column 'kee' \\(--join-on\\)"):
        run_prepare(path, join=str(table), join_on="kee")


def test_leakage_columns_are_never_written_and_refused_as_inputs(tmp_path, hub):
    rows = [{**row, "followers": 7, "note": "x"} for row in sample_rows()]
    path = write_rows(tmp_path / "a.jsonl", rows)
    refused = {"leakage_columns": ["followers"], "drop_columns": ["note"]}
    done = run_prepare(path, out=tmp_path / "out", endpoint=hub, target="refused", **refused)
    assert done.record["leakage_columns"] == ["followers"]
    for row in written(tmp_path / "out"):
        assert not {"followers", "note"} & set(row)
    from huggingface_hub import hf_hub_download

    where = {"repo_id": "local/refused", "repo_type": "dataset", "endpoint": hub.url}
    train = hf_hub_download(filename="data/train-00000-of-00001.parquet", token=hub.token, **where)
    assert "followers" not in pq.read_schema(train).names
    for options in ({"text": "followers"}, {"label": "followers"}, {"group_by": "followers"}):
        split = {"split": "group"} if "group_by" in options else {}
        with pytest.raises(UserError, match="'followers' is refused by --leakage-columns"):
            run_prepare(path, leakage_columns=["followers"], **options, **split)
    with pytest.raises(UserError, match="no input has column 'follower'.*'followers'"):
        run_prepare(path, leakage_columns=["follower"])


def test_labels_by_path_renamed_and_of_messages(tmp_path):
    rows = [
        {
            "labels": {"topic": row["label"]},
            "messages": [{"who": "a", "text": row["text"]}, {"who": "b", "text": f"re {i}"}],
        }
        for i, row in enumerate(sample_rows())
    ]
    path = write_rows(tmp_path / "a.jsonl", [*rows, {"labels": {"topic": "a"}, "messages": []}])
    done = run_prepare(
        path,
        text="messages.text",
        label="labels.topic",
        map_labels={"a": "first", "*": "other"},
        out=tmp_path / "out",
    )
    assert done.record["labels"] == ["first", "other"]
    assert done.record["counts"]["dropped"] == {"empty_text": 1}
    some = written(tmp_path / "out")[0]
    assert some["messages_text"] == "\n".join(each["text"] for each in some["messages"])
    assert some["labels_topic"] == ("first" if some["labels"]["topic"] == "a" else "other")


def test_labels_that_no_mapping_names_stay_and_one_that_does_not_exist_is_refused(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    assert run_prepare(path, map_labels={"a": "x"}).record["labels"] == ["b", "c", "x"]
    with pytest.raises(UserError, match="'d'"):
        run_prepare(path, map_labels={"d": "x"})


def test_regression_drops_what_is_no_number_and_describes_the_targets(tmp_path):
    rows = [{"n": i, "y": i / 2} for i in range(100)]
    bad = [{"n": 100, "y": "many"}, {"n": 101, "y": None}, {"n": 102, "y": "inf"}]
    path = write_rows(tmp_path / "a.jsonl", [*rows, *bad])
    options = {"text": [], "label": "y", "task": "regression"}
    done = run_prepare(path, split="random", out=tmp_path / "out", **options)
    assert done.record["counts"]["dropped"] == {"empty_label": 1, "no_number": 2}
    assert done.record["targets"]["train"]["max"] <= 49.5
    assert {type(row["y"]) for row in written(tmp_path / "out")} == {float}
    with pytest.raises(UserError, match="--split stratified needs classes"):
        run_prepare(path, **options)


def test_rows_that_say_the_same_are_exact_duplicates_where_there_is_no_text(tmp_path):
    rows = [{"x": i, "label": "ab"[i % 2]} for i in range(60)]
    path = write_rows(tmp_path / "a.jsonl", [*rows, *rows[:5]])
    done = run_prepare(path, text=[])
    assert done.record["counts"]["dropped"] == {"exact_duplicate": 5}


def test_cleaning_steps_change_and_drop_with_reasons(tmp_path, cli):
    rows = sample_rows()
    rows[0]["text"] = "schÃ¶n words here"
    rows[1]["text"] = "tiny"
    path = write_rows(tmp_path / "a.jsonl", rows)
    flags = ("--step", "unicode", "--step", "length:min_words=2", "--no-audit")
    ran = cli(
        "prepare", path, "--text", "text", "--label", "label", *flags, "--out", tmp_path / "out"
    )
    assert ran.code == 0, ran.err
    assert "changed: unicode" in ran.out
    assert "dropped: too_short" in ran.out
    record = json.loads((tmp_path / "out" / "prepare.json").read_text())
    assert record["counts"]["rewritten"] == {"unicode": 1}
    assert record["counts"]["dropped"] == {"too_short": 1}
    assert "schön words here" in {row["text"] for row in written(tmp_path / "out")}


def test_conflicting_labels_are_reported_dropped_or_settled_by_the_majority(tmp_path):
    rows = sample_rows()
    said = [
        {"text": "one and the same", "label": label, "number": i} for i, label in enumerate("aab")
    ]
    path = write_rows(tmp_path / "a.jsonl", [*rows, *said])
    kept = {}
    for policy in ("report", "drop", "majority"):
        record = run_prepare(path, conflicts=policy).record
        assert record["conflicts"]["texts"] == 1
        assert record["conflicts"]["examples"][0]["labels"] == {"a": 2, "b": 1}
        kept[policy] = record["counts"]["kept"], record["counts"]["dropped"]
    assert kept == {
        "report": (61, {"exact_duplicate": 2}),
        "drop": (60, {"conflicting_label": 3}),
        "majority": (61, {"conflicting_label": 1, "exact_duplicate": 1}),
    }
