"""Rows of another unit: items of lists, and groups of rows; nothing is lost without a reason."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import gathering
from data_prep.options import PrepareOptions
from data_prep.planning import row_plan
from data_prep.regrouping import Regrouped, regroup
from hfpipe.errors import UserError
from hfpipe.rows.paths import find_inputs
from tests.data_prep.support import read_rows, run_prepare, write_rows


def said(*pairs: tuple[str | None, str]) -> list[dict[str, Any]]:
    return [{"author": author, "text": text} for author, text in pairs]


#: Ann: two of three in "fork". Bob: a tie. Cat: one message. A message of nobody.
THREADS = [
    {"id": "t1", "list": "fork", "site": "s", "messages": said(("ann", "one"), ("bob", "two"))},
    {"id": "t2", "list": "exmh", "site": "s", "messages": said(("ann", "three"), ("cat", "four"))},
    {"id": "t3", "list": "fork", "site": "s", "messages": said(("ann", "five"), (None, "six"))},
    {"id": "t4", "list": "zzz", "site": "s", "messages": said(("bob", "seven"))},
    {"id": "t5", "list": "fork", "site": "s", "messages": []},
    {"id": "t6", "list": None, "site": "s", "messages": said(("cat", "eight"))},
]
MAPPED = {"fork": "fork", "*": "technical"}


def regrouped(*paths: Path, **options: Any) -> tuple[list[dict[str, Any]], Regrouped]:
    options.setdefault("text", ["text"])
    settled = PrepareOptions(**{"label": "list", **options})
    with tempfile.TemporaryDirectory() as folder:
        found = regroup(find_inputs([*paths]), settled, row_plan(settled), Path(folder))
        return pq.read_table(found.source.path).to_pylist(), found


def test_authors_become_rows_with_the_sequence_of_their_own_messages(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", THREADS)
    rows, found = regrouped(path, explode="messages", gather_by=["author"], map_labels=MAPPED)
    same = {"site": "s"}
    assert rows == [
        {"id": ["t1", "t3"], "list": "fork", **same, "author": "ann", "text": ["one", "five"]},
        {"id": ["t2"], "list": "technical", **same, "author": "cat", "text": ["four"]},
    ]
    assert found.units == [
        {"unit": "rows read", "in": 6, "dropped": {"empty_list": 1}, "kept": 5},
        {
            "unit": "items of messages",
            "in": 8,
            "dropped": {"empty_key": 1, "empty_label": 1, "other_label": 3},
            "kept": 3,
        },
        {"unit": "groups by author", "in": 2, "dropped": {}, "kept": 2},
    ]
    assert [(each["file"], each["rows"]) for each in found.inputs] == [("a.jsonl", 6)]


def test_each_author_and_thread_is_a_row_and_a_single_message_is_a_list_too(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", THREADS[:3])
    rows, found = regrouped(path, explode="messages", gather_by=["author,id"])
    assert [(row["author"], row["id"], row["list"], row["text"]) for row in rows] == [
        ("ann", "t1", "fork", ["one"]),
        ("bob", "t1", "fork", ["two"]),
        ("ann", "t2", "exmh", ["three"]),
        ("cat", "t2", "exmh", ["four"]),
        ("ann", "t3", "fork", ["five"]),
    ]
    assert found.units[-1]["unit"] == "groups by author, id"


def test_items_alone_are_rows_with_the_columns_of_theirs(tmp_path):
    threads = [*THREADS[:2], {"id": "t7", "list": "fork", "messages": [None, {"text": "x"}]}]
    rows, found = regrouped(write_rows(tmp_path / "a.jsonl", threads), explode="messages")
    assert [(row["id"], row["author"], row["text"], row["site"]) for row in rows] == [
        ("t1", "ann", "one", "s"),
        ("t1", "bob", "two", "s"),
        ("t2", "ann", "three", "s"),
        ("t2", "cat", "four", "s"),
        ("t7", None, None, None),
        ("t7", None, "x", None),
    ]
    assert [unit["in"] for unit in found.units] == [3, 6]


def test_rows_gather_without_lists_of_their_own_and_names_change_only_once(tmp_path):
    """Labels a and b change places: twice renamed they would be as before."""
    rows = [{"who": i // 2, "label": "ab"[i // 2 % 2], "text": f"w{i} x{i}"} for i in range(80)]
    rows += [{"who": 99, "label": "a", "text": "only one"}, {"who": None, "label": "a"}]
    write_rows(tmp_path / "in.jsonl", rows)
    prepared = run_prepare(
        tmp_path / "in.jsonl",
        out=tmp_path / "out",
        gather_by=["who"],
        map_labels={"a": "b", "b": "a"},
        clean=False,
    )
    counts = prepared.record["counts"]
    assert counts["units"] == [
        {"unit": "rows read", "in": 82, "dropped": {"empty_key": 1}, "kept": 81},
        {"unit": "groups by who", "in": 41, "dropped": {}, "kept": 41},
    ]
    assert (counts["in"], counts["kept"], counts["dropped"]) == (41, 41, {})
    found = [
        row for split in counts["splits"] for row in read_rows(tmp_path / f"out/{split}.jsonl")
    ]
    by_who = {row["who"]: (row["label"], row["text"]) for row in found}
    assert by_who[0] == ("b", ["w0 x0", "w1 x1"])
    assert by_who[1] == ("a", ["w2 x2", "w3 x3"])
    assert by_who[99] == ("b", ["only one"])


def test_numbers_to_predict_agree_as_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("k,y,text\nu,2.50,one\nu,2.5,two\nu,3,three\nv,1,four\nv,no,five\n")
    rows, found = regrouped(path, gather_by=["k"], label="y", task="regression")
    assert rows == [{"k": "u", "y": "2.5", "text": ["one", "two"]}]
    assert found.units[0]["dropped"] == {"other_label": 3}


def test_groups_are_encoded_as_sequences_and_split_by_their_author(tmp_path, hub, tiny_bert, cli):
    """The whole way: one vector a message, no author in two splits, units on screen and card."""
    threads = [
        {
            "id": f"t{i}",
            "list": ["fork", "exmh", "zzz"][i % 3],
            "messages": said(*((f"u{(i + j) % 12 * 3 + i % 3}", f"m{i} n{j}") for j in range(4))),
        }
        for i in range(36)
    ]
    path = write_rows(tmp_path / "threads.jsonl", [*threads, {"id": "e", "messages": []}, "no row"])
    arguments = [
        "prepare", path, "--explode", "messages", "--gather-by", "author,id", "--text", "text",
        "--label", "list", "--map-labels", "fork=fork,*=technical", "--group-by", "author",
        "--encode", "text=vectors", "--encode-model", tiny_bert, "--target", "profiles",
        "--no-clean", "--no-audit", "--max-bad-rows", "0.1", "--out", tmp_path / "out",
    ]  # fmt: skip
    ran = cli(*arguments)
    assert ran.code == 0, ran.err
    line = (
        "regrouped: 38 rows read (dropped: 1 malformed, 1 empty_list) → 144 items of messages → "
        "144 groups by author, id"
    )
    assert line in ran.out
    assert "threads.jsonl: line 38" in ran.out
    homes: dict[str, set[str]] = {}
    for split in ("train", "validation", "test"):
        for row in read_rows(tmp_path / f"out/{split}.jsonl"):
            homes.setdefault(row["author"], set()).add(split)
            assert len(row["text"]) == len(row["vectors"]) == 1
            assert len(row["vectors"][0]) == 32
    assert len(homes) == 36
    assert {len(splits) for splits in homes.values()} == {1}
    from huggingface_hub import hf_hub_download

    repo_id = re.findall(r"datasets/(\S+/profiles) @", ran.out)[0]
    card = hf_hub_download(repo_id, "README.md", repo_type="dataset")
    assert line in Path(card).read_text(encoding="utf-8")
    again = cli(*arguments)
    assert "unchanged: no new commit" in again.out


ITEM = st.fixed_dictionaries(
    {
        "author": st.sampled_from(["u", "v", "w", " ", None]),
        "text": st.sampled_from(["a", "b", "c", None]),
        "n": st.sampled_from([1, 2, None]),
    }
)
ROW = st.fixed_dictionaries(
    {
        "id": st.integers(0, 3),
        "list": st.sampled_from(["x", "y", "z", "", None]),
        "site": st.sampled_from(["s", "s", "s", None]),
        "tags": st.sampled_from([["p"], ["p", "q"]]),
        "items": st.lists(ITEM, max_size=4),
    }
)


def reference(
    rows: list[dict[str, Any]], keys: list[str], mapping: dict[str, str]
) -> list[dict[str, Any]]:
    """Slow and plain: what the groups are."""
    items = [{**row, **item} for row in rows for item in row["items"]]
    whole = [
        {**item, "list": mapping.get(item["list"], mapping.get("*", item["list"]))}
        for item in items
        if all(str(item[key]).strip() not in ("", "None") for key in keys) and item["list"]
    ]
    if not whole:
        return []
    frame = pd.DataFrame(whole, dtype=object).drop(columns="items")
    frame = frame.where(frame.notna(), None)
    groups = []
    for _, group in frame.groupby(keys, sort=False):
        votes = group["list"].mode()
        if len(votes) == 1:
            groups.append(group[group["list"] == votes[0]])
    groups.sort(key=lambda group: group.index[0])
    lists = {"author", "text", "n"} - {*keys}
    for name in {"id", "site", "tags"} - {*keys}:
        if any(len({repr(each) for each in group[name]}) > 1 for group in groups):
            lists.add(name)
    return [
        {
            name: group[name].tolist() if name in lists else group[name].iloc[0]
            for name in frame.columns
        }
        for group in groups
    ]


@given(
    st.lists(ROW, min_size=1, max_size=8),
    st.sampled_from([["author"], ["author", "id"], ["id"]]),
    st.sampled_from([{}, {"*": "both"}]),
    st.integers(1, 8),
    st.sampled_from([1, 3, 10_000]),
)
@settings(deadline=None, max_examples=50)
def test_groups_are_those_of_a_slow_reference(rows, keys, mapping, cut, portion):
    if not any(row["items"] for row in rows):
        rows = [*rows, {"id": 0, "list": "x", "site": "s", "tags": ["p"], "items": [FIRST]}]
    expected = reference(rows, keys, mapping)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathering, "PORTION", portion)
        paths = [
            write_rows(Path(folder) / f"{place}.jsonl", part)
            for place, part in enumerate((rows[:cut], rows[cut:]))
            if part
        ]
        options = {"explode": "items", "gather_by": keys, "map_labels": mapping}
        if not expected:
            with pytest.raises(UserError, match="no group of --gather-by|no class|no label"):
                regrouped(*paths, **options)
            return
        found, account = regrouped(*paths, **options)
    assert found == expected
    items = sum(len(row["items"]) for row in rows)
    kept = sum(len(row["text" if "text" in row else "n"]) for row in expected)
    assert (account.units[1]["in"], account.units[1]["kept"]) == (items, kept)
    assert account.units[2]["kept"] == len(expected)


FIRST = {"author": "u", "text": "a", "n": 1}
BOTH: dict[str, Any] = {"explode": "messages", "gather_by": ["author"]}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"explode": "mesages"}, "a.jsonl: no column 'mesages' (--explode); did you mean"),
        ({"explode": "site"}, "a.jsonl: column 'site' (--explode) holds string, not lists of obj"),
        ({"explode": "tags"}, "column 'tags' (--explode) holds list<item: string>"),
        ({"explode": "clash"}, "'site' is a column and a field of 'clash' (--explode)"),
        ({"explode": "none"}, "no row has an item in 'none' (--explode)"),
        ({**BOTH, "gather_by": ["auhtor"]}, "no column 'auhtor' (--gather-by); did you mean"),
        (
            {**BOTH, "gather_by": ["tags"]},
            "line 1: 'tags' holds a list, not a text; 6 of 6 rows are malformed",
        ),
        ({**BOTH, "gather_by": ["messages"]}, "say --gather-by FIELD"),
        ({**BOTH, "text": "messages.text"}, "--text messages.text: --explode messages makes colu"),
        ({**BOTH, "label": "deep.list"}, "label 'deep.list' lies within a column"),
        ({**BOTH, "label": "lisst"}, "no column 'lisst' (--label); did you mean 'list'"),
        ({**BOTH, "map_labels": {"frok": "x"}}, "frok"),
        ({**BOTH, "id_column": "id"}, "column 'id' (--id-column) becomes a list"),
        ({**BOTH, "where": ["id!=t1"]}, "column 'id' (--where) becomes a list"),
        ({**BOTH, "group_by": "id", "split": "group"}, "column 'id' (--group-by) becomes a list"),
        ({"gather_by": ["nobody"]}, "no group of --gather-by nobody is left (dropped: 6 empty_key"),
        ({**BOTH, "engine": "ray"}, "--explode is done on one machine: leave out --engine ray"),
        ({"gather_by": ["id"], "engine": "ray://h:1"}, "--gather-by is done on one machine"),
        ({**BOTH, "incremental": True, "target": "t"}, "--incremental does not go with --explode"),
        ({"gather_by": ["id"], "incremental": True, "target": "t"}, "not go with --gather-by"),
    ],
)
def test_what_cannot_be_regrouped_is_refused_in_one_line(tmp_path, options, complaint):
    more = {"tags": ["p"], "clash": [{"site": 1}], "none": [], "nobody": " ", "deep": {"list": "x"}}
    path = write_rows(tmp_path / "a.jsonl", [{**row, **more} for row in THREADS])
    with pytest.raises(UserError) as refused:
        run_prepare(path, **{"label": "list", "dry_run": True, **options})
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_field_that_clashes_with_a_column_of_another_file_is_refused(tmp_path):
    one = write_rows(tmp_path / "a.jsonl", [{"list": "x", "m": [{"text": "a"}]}])
    two = write_rows(tmp_path / "b.jsonl", [{"list": "x", "m": [{"who": 1}], "text": "mine"}])
    with pytest.raises(UserError, match=r"b\.jsonl: 'text' is a column and a field of 'm'"):
        regrouped(one, two, explode="m")


def test_too_many_lines_that_are_no_rows_stop_the_run_as_ever(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [*THREADS, "{"])
    with pytest.raises(UserError, match=r"1 of 7 rows are malformed, more than --max-bad-rows"):
        regrouped(path, explode="messages")
