"""Rows added to a dataset: old rows stay where they are, new ones are held against them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.duplicates import near_duplicates
from data_prep.terms import TermCounter, tfidf
from hfpipe.errors import UserError
from tests.data_prep.support import run_prepare, sample_rows, write_rows

SPLITS = ("train", "validation", "test")


def fetched(hub, repo, path):
    from huggingface_hub import hf_hub_download

    return hf_hub_download(
        f"local/{repo}", path, repo_type="dataset", endpoint=hub.url, token=hub.token
    )


def fates(hub, repo) -> dict[str, tuple]:
    rows = pq.read_table(fetched(hub, repo, "hfpipe/split_manifest.parquet")).to_pylist()
    return {row["row_id"]: (row["split"], row["reason"]) for row in rows}


def texts(hub, repo, split) -> list[str]:
    path = fetched(hub, repo, f"data/{split}-00000-of-00001.parquet")
    return pq.read_table(path).column("text").to_pylist()


def more_rows(start: int, per_class: int = 10) -> list[dict]:
    return [
        {"text": f"{label}{i}new {label}{i}fresh words", "label": label, "number": i}
        for label in "abc"
        for i in range(start, start + per_class)
    ]


def test_new_rows_join_and_old_rows_keep_their_splits(tmp_path, hub):
    first = write_rows(tmp_path / "first.jsonl", sample_rows())
    run_prepare(first, endpoint=hub, target="grows")
    before = fates(hub, "grows")
    near = {"text": sample_rows()[0]["text"] + "!", "label": "a", "number": 99}
    again = sample_rows()[:7]
    second = write_rows(tmp_path / "second.jsonl", [*again, near, *more_rows(100)])
    done = run_prepare(second, endpoint=hub, target="grows", incremental=True)
    after = fates(hub, "grows")
    assert {row_id: after[row_id] for row_id in before} == before
    assert len(after) == len(before) + 31
    counts = done.record["counts"]
    assert (counts["in"], counts["kept"]) == (91, 90)
    assert counts["dropped"] == {"near_duplicate": 1}
    assert counts["splits"] == {"train": 72, "validation": 9, "test": 9}
    added = done.record["added"]
    assert (added["rows"], added["kept"], added["already_there"]) == (31, 30, 7)
    assert [each["file"] for each in done.record["inputs"]] == ["first.jsonl", "second.jsonl"]
    assert sum(len(texts(hub, "grows", split)) for split in SPLITS) == 90
    record = json.loads(Path(fetched(hub, "grows", "hfpipe/prepare.json")).read_text())
    assert record == done.record


def test_nothing_new_makes_no_commit(tmp_path, hub):
    path = write_rows(tmp_path / "a.jsonl", [*sample_rows(), sample_rows()[0]])
    first = run_prepare(path, endpoint=hub, target="still", incremental=True)
    assert first.published.changed  # there was no such repo yet
    again = run_prepare(path, endpoint=hub, target="still", incremental=True)
    assert not again.published.changed
    assert again.published.revision == first.published.revision
    assert again.record["counts"] == first.record["counts"]


def test_an_old_row_is_never_dropped_even_where_new_rows_change_the_weights(tmp_path, hub):
    """Old rows 1 and 2 become near-duplicates of each other once their common words are rare."""
    old = sample_rows()
    old[0]["text"] = "red green blue yellow cyan alpha"
    old[1]["text"] = "red green blue yellow cyan beta"
    first = write_rows(tmp_path / "a.jsonl", old)
    before = run_prepare(first, endpoint=hub, target="weights", threshold=0.9)
    assert before.record["counts"]["kept"] == 60
    fresh = [
        {"text": f"alpha beta {label}{i}x {label}{i}y", "label": label, "number": i}
        for label in "abc"
        for i in range(300, 380)
    ]
    fresh.append({"text": "red green blue yellow cyan gamma alpha", "label": "a", "number": 1})
    second = write_rows(tmp_path / "b.jsonl", fresh)
    done = run_prepare(second, endpoint=hub, target="weights", incremental=True)
    assert done.record["counts"]["kept"] >= 300
    after = fates(hub, "weights")
    assert all(reason is None for split, reason in after.values() if split)
    kept = {text for split in SPLITS for text in texts(hub, "weights", split)}
    assert {old[0]["text"], old[1]["text"]} <= kept


def test_groups_stay_with_their_old_rows(tmp_path, hub):
    rows = [{**row, "author": f"p{i % 20}"} for i, row in enumerate(sample_rows())]
    options = {"split": "stratified_group", "group_by": "author", "target": "authors"}
    run_prepare(write_rows(tmp_path / "a.jsonl", rows), endpoint=hub, **options)
    fresh = [{**row, "author": f"p{i % 25}"} for i, row in enumerate(more_rows(200))]
    path = write_rows(tmp_path / "b.jsonl", fresh)
    run_prepare(path, endpoint=hub, incremental=True, **options)
    manifest = pq.read_table(fetched(hub, "authors", "hfpipe/split_manifest.parquet")).to_pylist()
    homes: dict[str, set] = {}
    for row in manifest:
        homes.setdefault(row["group"], set()).add(row["split"])
    assert len(manifest) == 90
    assert all(len(home) == 1 for home in homes.values())


def test_other_options_than_before_are_refused(tmp_path, hub):
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    run_prepare(path, endpoint=hub, target="options")
    with pytest.raises(UserError, match="prepared with --threshold 0.9, now it is 0.5"):
        run_prepare(path, endpoint=hub, target="options", incremental=True, threshold=0.5)


def test_a_repo_that_hfpipe_did_not_make_is_refused(tmp_path, hub):
    from huggingface_hub import HfApi

    HfApi(hub.url, token=hub.token).create_repo("local/foreign", repo_type="dataset")
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    with pytest.raises(UserError, match="was not made by hfpipe prepare"):
        run_prepare(path, endpoint=hub, target="foreign", incremental=True)


@given(
    texts=st.lists(st.text("ab ", min_size=1, max_size=14), max_size=25),
    old=st.integers(0, 25),
    threshold=st.sampled_from([0.2, 0.5, 0.9]),
    policy=st.sampled_from(["kept", "any"]),
)
@settings(max_examples=40, deadline=None)
def test_pinned_rows_are_kept_rows_for_all_that_come_later(texts, old, threshold, policy):
    counter = TermCounter()
    counter.add([" ".join(text.replace(" ", "") * 2) + " " + text for text in texts])
    rows = tfidf(counter.counts())
    pinned = np.arange(len(texts)) < old
    similar = (rows @ rows.T).toarray() > threshold + 1e-9
    expected = np.zeros(len(texts), dtype=bool)
    for row in range(len(texts)):
        others = similar[row, :row] & (~expected[:row] if policy == "kept" else True)
        expected[row] = others.any() and not pinned[row]
    marks = near_duplicates(rows, threshold, policy, pinned=pinned)
    assert marks.tolist() == expected.tolist()
