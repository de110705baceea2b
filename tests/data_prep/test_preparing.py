"""The whole of ``prepare`` on files: the account of rows, the files, the command's flags."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import preparing, writing
from data_prep.ledger import AFTER, BEFORE, Ledger
from hfpipe.demo import __file__ as demo_module
from hfpipe.errors import RunError, UserError
from tests.data_prep.support import read_rows, run_prepare, sample_rows, write_rows

DEMO = Path(demo_module).parent / "topics.jsonl.gz"
SPLITS = ("train", "validation", "test")
TEXTS = st.one_of(
    st.sampled_from(["", " ", "one two three", "one two three four", "three two one"]),
    st.text("abc ", max_size=12),
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"text": TEXTS, "label": st.sampled_from(["a", "b", "c", "d", "", None])}
    ),
    max_size=80,
)


@given(rows=ROWS, broken=st.integers(0, 3), cap=st.sampled_from([None, 1, 2.5]))
@settings(max_examples=30, deadline=None)
def test_rows_in_are_rows_kept_and_rows_dropped_for_one_reason(tmp_path_factory, rows, broken, cap):
    folder = tmp_path_factory.mktemp("account")
    path = write_rows(folder / "a.jsonl", [*rows, *["{"] * broken])
    options = {"max_bad_rows": 1, "min_count": 3, "reduce_majority_to": cap, "threshold": 0.7}
    try:
        counts = run_prepare(path, out=folder / "out", **options).record["counts"]
    except UserError:  # no rows, or too few classes, are left
        assert not (folder / "out").exists()
        return
    assert counts["in"] == len(rows) + broken
    assert counts["in"] == counts["kept"] + sum(counts["dropped"].values())
    assert set(counts["dropped"]) <= {*BEFORE, *AFTER}
    assert counts["dropped"].get("malformed", 0) == broken
    empty = sum(not row["text"].strip() for row in rows)
    assert counts["dropped"].get("empty_text", 0) == empty
    written = {split: read_rows(folder / "out" / f"{split}.jsonl") for split in SPLITS}
    assert {split: len(part) for split, part in written.items()} == counts["splits"]
    texts = [row["text"] for part in written.values() for row in part]
    assert len(texts) == len(set(texts)) == counts["kept"]
    after = Counter(row["label"] for part in written.values() for row in part)
    assert after == {
        label: each["after"] for label, each in counts["per_class"].items() if each["after"]
    }


def test_an_account_that_is_wrong_stops_the_run(tmp_path, monkeypatch):
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    monkeypatch.setattr(Ledger, "dropped", lambda self: {"near_duplicate": 1})
    with pytest.raises(RunError, match="60 in, 60 kept, 1 dropped; nothing was written"):
        run_prepare(path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_demo_rows_are_counted_reason_by_reason():
    demo = {"text": "definition", "label": "subject"}
    counts = run_prepare(DEMO, **demo).record["counts"]
    assert counts["in"] == 4014
    assert counts["dropped"] == {"exact_duplicate": 2, "near_duplicate": 1}
    assert counts["splits"] == {"train": 3209, "validation": 401, "test": 401}
    options = {"drop_labels": ["Tops,motive"], "reduce_majority_to": 5, "min_count": 20}
    counts = run_prepare(DEMO, **demo, **options).record["counts"]
    # The rarest class that stays is "feeling" or "relation" with 21: no class above 105.
    assert counts["dropped"]["dropped_label"] == 20
    assert counts["dropped"]["rare_label"] == counts["per_class"]["shape"]["before"] == 17
    after = {label: each["after"] for label, each in counts["per_class"].items()}
    assert max(after.values()) == after["person"] == 105
    assert (after["Tops"], after["shape"], after["feeling"]) == (0, 0, 21)


def test_the_same_rows_in_another_order_give_the_same_bytes(tmp_path):
    rows = sample_rows(40)
    files = []
    for seed in (1, 2):
        random.Random(seed).shuffle(rows)
        path = write_rows(tmp_path / "a.jsonl", rows)
        run_prepare(path, out=tmp_path / str(seed), reduce_majority_to=1.5)
        files.append(
            {name: (tmp_path / str(seed) / f"{name}.jsonl").read_bytes() for name in SPLITS}
        )
    assert files[0] == files[1]
    run_prepare(path, out=tmp_path / "other", seed=7)
    assert (tmp_path / "other" / "test.jsonl").read_bytes() != files[0]["test"]


def test_running_again_gives_the_same_bytes_in_every_file(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    for name in ("one", "two"):
        run_prepare(path, out=tmp_path / name)
    first, second = (
        {each.name: each.read_bytes() for each in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    )
    assert set(first) == {"train.jsonl", "validation.jsonl", "test.jsonl", "prepare.json"}
    assert first == second


def test_without_cleaning_duplicates_stay(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", sample_rows() * 2)
    assert run_prepare(path).record["counts"]["dropped"] == {"exact_duplicate": 60}
    assert run_prepare(path, clean=False).record["counts"]["dropped"] == {}


def test_given_splits_go_where_the_column_says(tmp_path):
    rows = [
        {**row, "part": "test" if row["number"] % 5 == 0 else "train"} for row in sample_rows(50)
    ]
    path = write_rows(tmp_path / "a.jsonl", rows)
    options = {"split": "given", "split_column": "part", "clean": False}
    run_prepare(path, out=tmp_path / "out", **options)
    parts = {name: read_rows(tmp_path / "out" / f"{name}.jsonl") for name in SPLITS}
    assert {row["number"] % 5 for row in parts["test"]} == {0}
    # Validation comes out of train's 120 rows: one ninth, as 0.1 is of 0.8 + 0.1.
    assert [len(parts[name]) for name in SPLITS] == [107, 13, 30]


def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch):
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    run_prepare(path, out=tmp_path / "out")
    before = {each.name: each.read_bytes() for each in (tmp_path / "out").iterdir()}

    def full(table, target):
        target.write_text("half a li")
        raise OSError(28, "No space left on device")

    write = writing.write_jsonl
    monkeypatch.setattr(
        preparing, "write_jsonl", lambda t, p: (full if p.name == "test.jsonl" else write)(t, p)
    )
    with pytest.raises(RunError, match="No space left on device; nothing was written"):
        run_prepare(path, out=tmp_path / "out", seed=7)
    assert {each.name: each.read_bytes() for each in (tmp_path / "out").iterdir()} == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.jsonl", "out"]


def test_the_command_prints_the_account_and_the_next_command(tmp_path, cli):
    rows = [*sample_rows(), {"text": "", "label": "a"}, {"text": "x"}, sample_rows()[0]]
    path = write_rows(tmp_path / "a.jsonl", rows)
    out = tmp_path / "out"
    ran = cli("prepare", path, "--text", "text", "--label", "label", "--out", out)
    assert (ran.code, ran.err) == (0, "")
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in ran.out.splitlines()]
    assert ["in", "63", ""] in lines
    assert ["dropped: empty_text (no text)", "1", "1.6%"] in lines
    assert ["dropped: empty_label (no label)", "1", "1.6%"] in lines
    assert ["kept", "60", "95.2%"] in lines
    assert ["a", "22", "20", "16", "2", "2"] in lines
    assert ran.out.splitlines()[-2].startswith(f"wrote   {out}/audit.html, {out}/prepare.json")
    assert ran.out.splitlines()[-1].startswith("next:   ")
    record = json.loads((out / "prepare.json").read_text())
    assert (record["text"], record["label"], record["labels"]) == (
        ["text"],
        "label",
        ["a", "b", "c"],
    )
    assert record["inputs"][0]["file"] == "a.jsonl"
    assert record["inputs"][0]["rows"] == 63


def test_quiet_prints_the_last_lines_only_and_a_dry_run_writes_nothing(tmp_path, cli):
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    flags = ("--text", "text", "--label", "label", "--out", tmp_path / "out")
    ran = cli("prepare", path, *flags, "--quiet")
    assert [line.split()[0] for line in ran.out.splitlines()] == ["wrote", "next:"]
    dry = cli("prepare", path, *flags[:-1], tmp_path / "dry", "--dry-run", "--target", "x/y")
    assert dry.code == 0
    assert "dry run: 60 of 60 rows kept; wrote nothing" in dry.out
    assert "│ kept" in dry.out
    assert not (tmp_path / "dry").exists()


def test_the_original_scripts_flags_work(tmp_path, cli):
    (tmp_path / "raw").mkdir()
    write_rows(tmp_path / "raw" / "a.jsonl", sample_rows(labels="abcd"))
    ran = cli(
        *("prepare", "--input-dir", tmp_path / "raw", "--input-filename", "a.jsonl"),
        *("--text", "text", "--subject-column", "label", "--labels-to-filter", "d"),
        *("--reduce-majority-to", "2", "--output-filename", tmp_path / "made" / "topics"),
    )
    assert ran.code == 0, ran.err
    names = sorted(each.name for each in (tmp_path / "made").iterdir())
    assert names == [
        f"topics_{n}"
        for n in ("audit.html", "prepare.json", *(f"{s}.jsonl" for s in sorted(SPLITS)))
    ]
    labels = Counter(row["label"] for row in read_rows(tmp_path / "made" / "topics_train.jsonl"))
    assert labels == {"a": 16, "b": 16, "c": 16}


def test_an_input_folder_alone_means_all_files_in_it(tmp_path, cli):
    folder = tmp_path / "raw"
    folder.mkdir()
    write_rows(folder / "b.jsonl", sample_rows(labels="b"))
    write_rows(folder / "a.jsonl", sample_rows(labels="a"))
    (folder / "notes.md").write_text("not rows")
    ran = cli("prepare", "--input-dir", folder, "--text", "text", "--subject", "label", "--dry-run")
    assert "dry run: 40 of 40 rows kept" in ran.out


def test_flags_win_over_the_recipe(tmp_path, cli):
    path = write_rows(tmp_path / "a.jsonl", sample_rows(100))
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "defaults: [_base/text_classification, _self_]\n"
        "prepare: {text: [text], label: label, sizes: [0.6, 0.2, 0.2], drop_labels: [c]}\n"
    )
    out = tmp_path / "out"
    ran = cli("prepare", path, "--recipe", recipe, "--out", out, "--sizes", "0.5,0.25,0.25")
    assert ran.code == 0, ran.err
    record = json.loads((out / "prepare.json").read_text())
    assert record["counts"]["splits"] == {"train": 100, "validation": 50, "test": 50}
    assert record["labels"] == ["a", "b"]
