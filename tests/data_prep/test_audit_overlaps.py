"""What lies on both sides of a split is counted exactly: texts, near texts, groups, times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.audit import audit
from data_prep.audit.checks import near_duplicates
from data_prep.audit.overlap import codes_of, overlap
from data_prep.times import NO_TIME
from tests.data_prep.audit_support import (
    audit_input,
    finding_of,
    split_names,
    topic_texts,
)

ROWS = 1200
SPLITS = ("train", "validation", "test")


def test_planted_exact_duplicates_are_counted_exactly():
    texts, labels = topic_texts(200, 0)
    splits = ["train"] * 100 + ["validation"] * 40 + ["test"] * 60
    for place in range(6):  # six test rows repeat three train texts, with another label
        texts[140 + place] = texts[place // 2]
        labels[140 + place] = "a" if labels[place // 2] != "a" else "b"
    texts[100:104] = [texts[10]] * 4  # four validation rows repeat one train text
    labels[100:104] = [labels[10]] * 4
    texts[199] = texts[105]  # one text in validation and test
    found = finding_of(audit(audit_input(texts, labels, splits)), "exact_duplicates")
    assert found["numbers"]["pairs"] == {
        "train-validation": {"shared": 1, "train": 1, "validation": 4},
        "train-test": {"shared": 3, "train": 3, "test": 6},
        "validation-test": {"shared": 1, "validation": 1, "test": 1},
    }
    assert found["numbers"]["shares"] == {"validation": 0.1, "test": 0.1}
    assert found["numbers"]["texts"] == 5
    assert found["verdict"] == "fail"
    assert found["examples"][0]["row_id"] == "row-100"
    said = {row["row_id"]: (row["also_in"], row["labels"]) for row in found["examples"]}
    last = "the same" if labels[105] == labels[199] else "conflicting"
    assert said == {
        "row-100": ("train", "the same"),
        "row-140": ("train", "conflicting"),
        "row-142": ("train", "conflicting"),
        "row-144": ("train", "conflicting"),
        "row-105": ("test", last),
    }


def test_one_exact_duplicate_in_many_rows_is_a_warning():
    texts, labels = topic_texts(3000, 0)
    splits = split_names(3000, 1)
    texts[splits.index("test")] = texts[splits.index("train")]
    found = finding_of(audit(audit_input(texts, labels, splits)), "exact_duplicates")
    assert found["verdict"] == "warn"
    assert found["figure"].startswith("none of the validation rows and 0.3 % of the test rows")


def test_planted_near_duplicates_are_found_with_their_labels():
    texts, labels = topic_texts(300, 0)
    splits = ["train"] * 200 + ["validation"] * 50 + ["test"] * 50
    for place in range(10):  # the words in another order: similarity 1
        texts[250 + place] = " ".join(reversed(texts[place].split()))
        labels[250 + place] = labels[place]
    labels[250] = "a" if labels[0] != "a" else "b"
    found = finding_of(audit(audit_input(texts, labels, splits)), "near_duplicates")
    assert found["verdict"] == "fail"
    assert found["numbers"]["shares"]["0.9"] == {"validation": 0.0, "test": 0.2}
    examples = {row["row_id"]: row for row in found["examples"]}
    assert examples.keys() == {f"row-{250 + place}" for place in range(10)}
    for place in range(10):
        row = examples[f"row-{250 + place}"]
        assert row["similarity"] == 1.0
        assert row["train_row_id"] == f"row-{place}"
        assert row["train_text"] == texts[place]
        assert row["labels"] == ("conflicting" if place == 0 else "the same")
    assert sum(found["numbers"]["histogram"]["rows"][20:]) == 10


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from([0.3, 0.6, 0.85, 0.9, 0.97]), st.booleans())
def test_shares_of_near_duplicates_are_those_of_the_full_comparison(seed, threshold, sampled):
    generator = np.random.default_rng(seed)
    texts = [" ".join(f"w{n}" for n in generator.integers(0, 12, 5)) for _ in range(60)]
    splits = generator.choice(SPLITS, 60, p=[0.6, 0.2, 0.2]).tolist()
    splits[:3] = SPLITS
    more = {"threshold": threshold, "sample_rows": 5 if sampled else 1000}
    rows = audit_input(texts, ["a"] * 60, splits, **more)
    found = near_duplicates.check(rows)
    dense = (rows.rows @ rows.rows.T).toarray()
    best = dense[:, rows.splits == 0].max(axis=1)
    main = min(max(threshold, 0.5), 0.9)
    for level, shares in found["numbers"]["shares"].items():
        if sampled and float(level) < main:
            continue
        for code, name in ((1, "validation"), (2, "test")):
            above = best[rows.splits == code] > float(level) + 1e-9
            assert shares[name] == pytest.approx(above.mean())
    counted = sum(found["numbers"]["histogram"]["rows"])
    assert counted == np.count_nonzero(best[rows.splits > 0] > 0.5 + 1e-9)


def test_tfidf_is_made_from_the_texts_where_it_is_not_given():
    texts, labels = topic_texts(200, 0)
    splits = split_names(200, 1)
    with_rows = audit(audit_input(texts, labels, splits))
    without = audit(audit_input(texts, labels, splits, rows=None))
    for check in ("near_duplicates", "label_errors"):
        first, second = finding_of(with_rows, check), finding_of(without, check)
        assert first["numbers"] == second["numbers"]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(-1, 6), st.integers(-1, 2)), max_size=40))
def test_overlaps_are_those_of_sets(rows):
    codes = np.array([code for code, _ in rows], dtype=np.int64)
    splits = np.array([split for _, split in rows], dtype=np.int8)
    found = overlap(codes, splits)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        shared = {c for c, s in rows if s == first} & {c for c, s in rows if s == second} - {-1}
        assert found.pairs()[f"{SPLITS[first]}-{SPLITS[second]}"] == {
            "shared": len(shared),
            SPLITS[first]: sum(c in shared for c, s in rows if s == first),
            SPLITS[second]: sum(c in shared for c, s in rows if s == second),
        }
    train = {code for code, split in rows if split == 0 and code >= 0}
    held_out = [code for code, split in rows if split == 2 and code >= 0]
    share = sum(code in train for code in held_out) / len(held_out) if held_out else None
    assert found.shares()["test"] == share


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30))
def test_codes_are_the_same_where_both_halves_of_a_key_are(keys):
    codes = codes_of(np.array(keys, dtype=np.uint64).reshape(-1, 2))
    assert len(set(codes.tolist())) == len(set(keys))
    assert len(set(zip(keys, codes.tolist(), strict=True))) == len(set(keys))


def test_planted_group_overlap_is_counted_exactly():
    texts, labels = topic_texts(100, 0)
    splits = ["train"] * 60 + ["validation"] * 20 + ["test"] * 20
    groups = np.arange(100)
    groups[[0, 1, 80, 81, 82]] = 7  # one author: two more train rows, three test rows
    groups[[50, 60]] = 1000  # another: train and validation
    groups[99] = -1  # alone
    rows = audit_input(texts, labels, splits, groups=groups, group_column="author")
    found = finding_of(audit(rows), "groups")
    assert found["numbers"]["pairs"] == {
        "train-validation": {"shared": 1, "train": 1, "validation": 1},
        "train-test": {"shared": 1, "train": 3, "test": 3},
        "validation-test": {"shared": 0, "validation": 0, "test": 0},
    }
    assert found["numbers"]["shares"] == {"validation": 0.05, "test": 0.15}
    assert found["numbers"]["straddling"] == 2
    assert (found["numbers"]["column"], found["verdict"]) == ("author", "fail")
    first = found["examples"][0]
    assert first["row_id"] == "row-80"
    assert [first[f"group_{split}_rows"] for split in SPLITS] == [3, 0, 3]


def test_groups_that_are_each_in_one_split_are_in_order():
    texts, labels = topic_texts(90, 0)
    splits = ["train"] * 60 + ["validation"] * 15 + ["test"] * 15
    groups = np.repeat(np.arange(6), 15)
    found = finding_of(audit(audit_input(texts, labels, splits, groups=groups)), "groups")
    assert (found["verdict"], found["figure"]) == ("ok", "each of 6 groups is in one split")


@pytest.mark.parametrize("kind", ["int64", "float64"])
def test_planted_time_travel_is_counted_exactly(kind):
    texts, labels = topic_texts(100, 0)
    splits = ["train"] * 60 + ["validation"] * 20 + ["test"] * 20
    times = (np.arange(100) * 86_400_000_000).astype(kind)
    times[:3] += 1000 * 86_400_000_000  # three train rows from the future
    times[5] = NO_TIME if kind == "int64" else np.nan
    rows = audit_input(texts, labels, splits, times=times, time_column="day")
    found = finding_of(audit(rows), "times")
    assert found["numbers"]["train_rows_later_than_first"] == {"validation": 3, "test": 3}
    assert found["numbers"]["share"] == pytest.approx(3 / 59, abs=1e-6)
    assert found["numbers"]["missing"] == 1
    assert found["verdict"] == "fail"
    assert [row["row_id"] for row in found["examples"]] == ["row-2", "row-1", "row-0"]
    assert sum(found["numbers"]["timeline"]["rows"]["train"]) == 59
    if kind == "int64":
        spans = found["numbers"]["spans"]
        assert spans["validation"] == ["1970-03-02 00:00:00", "1970-03-21 00:00:00"]


def test_a_split_by_time_is_in_order_and_a_tie_is_not_later():
    texts, labels = topic_texts(100, 0)
    splits = ["train"] * 60 + ["validation"] * 20 + ["test"] * 20
    times = np.arange(100, dtype=np.float64)
    times[59] = times[60]
    found = finding_of(audit(audit_input(texts, labels, splits, times=times)), "times")
    assert (found["verdict"], found["numbers"]["share"]) == ("ok", 0)
