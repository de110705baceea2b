"""The audit finds what was planted, counts it exactly, and leaves the innocent alone."""

from __future__ import annotations

import io
import json
from datetime import date, datetime, time
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy.sparse import csr_matrix
from sklearn.metrics import roc_auc_score

from data_prep.audit import all_checks, audit, audit_page, audit_section, print_audit
from data_prep.audit.checks import label_errors, leakage, near_duplicates
from data_prep.audit.columns import Judge
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


def rows_of(rows=ROWS, columns=None, topics="abcd", **more):
    """Rows in which nothing is wrong."""
    texts, labels = topic_texts(rows, 0, topics)
    return audit_input(texts, labels, split_names(rows, 1), columns, **more)


@pytest.fixture(scope="module")
def innocent():
    return audit(rows_of(columns={"noise": np.random.default_rng(5).normal(size=ROWS)}))


def test_rows_in_which_nothing_is_wrong_are_all_right(innocent):
    verdicts = {found["check"]: found["verdict"] for found in innocent["findings"]}
    assert verdicts == {
        "exact_duplicates": "ok",
        "near_duplicates": "ok",
        "leakage": "ok",
        "drift": "ok",
        "label_errors": "ok",
        "lengths": "ok",
        "groups": "skipped",
        "times": "skipped",
    }
    assert innocent["verdict"] == "ok"
    assert innocent["splits"] == {"train": 960, "validation": 120, "test": 120}
    assert [line.split(":")[0] for line in innocent["summary"]] == ["ok", "skipped"]


def test_the_same_rows_give_the_same_bytes_and_json(innocent):
    again = audit(rows_of(columns={"noise": np.random.default_rng(5).normal(size=ROWS)}))
    written = json.dumps(innocent, allow_nan=False)
    assert json.dumps(again, allow_nan=False) == written
    assert audit_page(again, {}) == audit_page(json.loads(written), {})
    assert audit_section(again) == audit_section(json.loads(written))


def test_the_order_of_the_input_changes_no_count():
    texts, labels = topic_texts(400, 3)
    texts[:40] = texts[360:]
    splits = split_names(400, 1)
    columns = {"c": [label * 2 for label in labels]}
    order = np.random.default_rng(0).permutation(400).tolist()

    def turned(values):
        return [values[place] for place in order]

    first = audit(audit_input(texts, labels, splits, columns, sample_rows=200))
    columns = {"c": turned(columns["c"])}
    second = audit(
        audit_input(turned(texts), turned(labels), turned(splits), columns, sample_rows=200)
    )
    for check in ("exact_duplicates", "near_duplicates", "drift", "leakage"):
        assert finding_of(first, check)["numbers"] == finding_of(second, check)["numbers"]


def test_progress_is_told_check_by_check_and_adds_up_to_the_rows():
    told = []
    audit(rows_of(123), told.append)
    assert (len(told), sum(told)) == (len(all_checks()), 123)


# Duplicates.


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


# Overlaps.


@settings(max_examples=60, deadline=None, derandomize=True)
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


@settings(max_examples=60, deadline=None, derandomize=True)
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


# Leakage.


def test_a_leaking_column_is_flagged_and_an_innocent_one_is_not():
    _, labels = topic_texts(ROWS, 0)
    codes = np.array([ord(label) for label in labels])
    generator = np.random.default_rng(2)
    columns = {
        "code": codes,
        "noisy_code": codes + 0.05 * generator.normal(size=ROWS),
        "name": [f"group {label}" for label in labels],
        "flag": [label == "b" for label in labels],
        "given_only_for_c": [1.0 if label == "c" else None for label in labels],
        "hint": np.where(generator.random(ROWS) < 0.4, codes, 0),
        "noise": generator.normal(size=ROWS),
        "colour": generator.choice(["red", "green"], ROWS),
        "unique": [f"id-{place}" for place in range(ROWS)],
        "number": np.arange(ROWS),
        "constant": [3] * ROWS,
        "empty": pa.nulls(ROWS),
    }
    found = finding_of(
        audit(rows_of(columns=columns, leakage_columns=["views", "likes"])), "leakage"
    )
    scores = {row["column"]: row for row in found["numbers"]["columns"]}
    assert scores.keys() == columns.keys()
    suspects = {name for name, row in scores.items() if row["score"] >= 0.95}
    assert suspects == {"code", "noisy_code", "name", "flag", "given_only_for_c"}
    assert 0.6 < scores["hint"]["score"] < 0.9
    for name in ("noise", "colour", "unique", "number", "constant", "empty"):
        assert scores[name]["score"] < 0.6, name
    assert scores["flag"]["of"] == "class 'b' against the rest"
    assert scores["given_only_for_c"]["missing"] == 1.0
    assert scores["code"]["missing"] is None
    assert found["verdict"] == "fail"
    assert found["numbers"]["refused"] == ["views", "likes"]
    assert found["figure"].endswith("; 2 columns refused")


def test_label_text_id_and_group_columns_are_not_looked_at():
    _, labels = topic_texts(ROWS, 0)
    columns = {"text": labels, "key": labels, "author": labels, "other": labels}
    groups = np.arange(ROWS)
    rows = rows_of(columns=columns, groups=groups, group_column="author")
    rows.id_columns = ["row_id", "key"]
    found = finding_of(audit(rows), "leakage")
    assert [row["column"] for row in found["numbers"]["columns"]] == ["other"]


def test_a_column_that_names_the_group_says_nothing_about_new_groups():
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 60, ROWS)
    labels = [str(code % 2) for code in generator.permutation(60)[groups]]
    texts, _ = topic_texts(ROWS, 0)
    columns = {"nickname": [f"n{group}" for group in groups], "posts": groups * 10}
    splits = split_names(ROWS, 1)
    alone = audit_input(texts, labels, splits, columns)
    assert finding_of(audit(alone), "leakage")["verdict"] == "fail"
    grouped = audit_input(texts, labels, splits, columns, groups=groups, group_column="author")
    found = finding_of(audit(grouped), "leakage")
    assert all(row["score"] < 0.75 for row in found["numbers"]["columns"])


def test_columns_of_every_type_are_read_or_named_as_unread():
    values = {
        "whole": pa.array([1, None] * 100, pa.int32()),
        "unsigned": pa.array([2**64 - 1, 0] * 100, pa.uint64()),
        "real": pa.array([float("inf"), float("nan")] * 100),
        "truth": pa.array([True, None] * 100),
        "money": pa.array([Decimal("1.50"), None] * 100),
        "moment": pa.array([datetime(2026, 1, 1), None] * 100),
        "day": pa.array([date(2026, 1, 1), None] * 100),
        "clock": pa.array([time(12, 0), None] * 100),
        "span": pa.array([5, None] * 100, pa.duration("s")),
        "short_clock": pa.array([5, None] * 100, pa.time32("s")),
        "word": pa.array(["a", None] * 100, pa.large_string()),
        "coded": pa.array(["a", None] * 100).dictionary_encode(),
        "tags": pa.array([["a"], None] * 100),
        "nothing": pa.nulls(200),
        "vector": pa.array([[1.0, 2.0], None] * 100, pa.list_(pa.float32(), 2)),
        "nested": pa.array([{"a": 1}, None] * 100),
        "bytes": pa.array([b"a", None] * 100),
    }
    found = finding_of(audit(rows_of(200, columns=values)), "leakage")
    assert found["numbers"]["not_looked_at"].keys() == {"vector", "nested", "bytes"}
    read = {row["column"] for row in found["numbers"]["columns"]}
    assert read == values.keys() - {"vector", "nested", "bytes"}


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_the_score_of_a_class_is_scikit_learns_roc_auc(seed):
    generator = np.random.default_rng(seed)
    rows = rows_of(300)
    judge = Judge(rows, np.arange(300))
    guesses = generator.integers(0, 6, (300, 4)) / 5
    found = judge._best_class(guesses)
    scores = [roc_auc_score(judge.codes == code, guesses[:, code]) for code in range(4)]
    assert found.score == pytest.approx(max(scores))
    assert found.average == pytest.approx(np.mean(scores))


def test_with_more_classes_than_are_scored_a_leak_still_shows():
    topics = [f"t{n}" for n in range(70)]
    texts, labels = topic_texts(2500, 0, topics)
    rows = audit_input(texts, labels, split_names(2500, 1), {"name": labels})
    assert leakage.check(rows)["verdict"] == "fail"
    assert len(label_errors.check(rows)["numbers"]["classes_left_out"]) == 10


# Drift.


def test_drift_of_classes_is_measured():
    texts, _ = topic_texts(1000, 0)
    splits = ["train"] * 800 + ["validation"] * 100 + ["test"] * 100
    labels = (["a"] * 400 + ["b"] * 400) + ["a", "b"] * 50 + ["a"] * 90 + ["b"] * 10
    found = finding_of(audit(audit_input(texts, labels, splits)), "drift")
    distances = found["numbers"]["distances"]["class shares"]
    assert distances["validation"] == {"statistic": 0.0, "largest": 0.0, "p": 1.0}
    assert distances["test"]["statistic"] == pytest.approx(0.4)
    assert distances["test"]["p"] < 1e-10
    assert found["verdict"] == "fail"
    assert found["numbers"]["classes"]["shares"]["test"] == [0.9, 0.1]


def test_a_class_without_a_train_or_a_test_row_is_said():
    texts, _ = topic_texts(100, 0)
    splits = ["train"] * 60 + ["validation"] * 20 + ["test"] * 20
    labels = ["a"] * 55 + ["b"] * 5 + ["a"] * 20 + ["a"] * 19 + ["c"]
    found = finding_of(audit(audit_input(texts, labels, splits)), "drift")
    assert found["numbers"]["classes"]["unseen"] == ["c"]
    assert found["numbers"]["classes"]["absent"] == ["b"]
    assert found["verdict"] == "fail"
    assert found["figure"].startswith("1 class without a train row; ")
    assert found["figure"].endswith("; 1 class without a test row")


def test_drift_of_lengths_is_measured():
    texts, labels = topic_texts(600, 0)
    splits = ["train"] * 400 + ["validation"] * 100 + ["test"] * 100
    texts[500:] = [f"{text} and so on" for text in texts[500:]]
    found = finding_of(audit(audit_input(texts, labels, splits)), "drift")
    distances = found["numbers"]["distances"]["text length"]
    assert distances["validation"]["statistic"] < 0.15
    assert distances["test"]["statistic"] > 0.5
    assert found["verdict"] == "fail"


# Label errors.


def test_planted_label_errors_are_found():
    texts, labels = topic_texts(2000, 0)
    generator = np.random.default_rng(7)
    flipped = np.sort(generator.choice(2000, 60, replace=False)).tolist()
    true = list(labels)
    for place in flipped:
        labels[place] = generator.choice([topic for topic in "abcd" if topic != true[place]])
    found = finding_of(audit(audit_input(texts, labels, split_names(2000, 1))), "label_errors")
    suspects = found["numbers"]["suspects"]
    hits = [row for row in found["examples"] if int(row["row_id"][4:]) in flipped]
    assert len(hits) == len(found["examples"]) == 20  # precision of what is shown: 1
    assert all(row["suggested"] == true[int(row["row_id"][4:])] for row in hits)
    assert 54 <= suspects <= 66  # recall at least about 0.9, few false alarms
    assert sum(row[2] for row in found["tables"][0]["rows"]) == suspects


def test_label_errors_are_looked_for_in_a_sample_that_keeps_small_classes():
    topics = "a" * 20 + "b" * 10 + "c"
    texts, labels = topic_texts(3000, 0, topics)
    rows = audit_input(texts, labels, split_names(3000, 1), sample_rows=300)
    places = rows.sample_by_class(np.arange(3000))
    assert len(places) == len(set(places.tolist())) == 300
    counts = np.bincount(rows.labels[places])
    assert counts[2] == 20
    assert counts[0] / counts[1] == pytest.approx(2, rel=0.15)
    found = finding_of(audit(rows), "label_errors")
    assert found["numbers"]["rows"] == 300


def test_classes_of_few_rows_are_left_out_of_the_search_for_label_errors():
    texts, labels = topic_texts(200, 0)
    labels[:4] = ["rare"] * 4
    found = finding_of(audit(audit_input(texts, labels, split_names(200, 1))), "label_errors")
    assert found["numbers"]["classes_left_out"] == ["rare"]
    assert found["numbers"]["rows"] == 196


def test_nothing_to_learn_from_is_a_reason_and_no_error():
    splits = ["train", "validation", "test"] * 4
    found = audit(audit_input([f"t{n} x{n}" for n in range(12)], list("abcdefghijkl"), splits))
    reasons = {each["check"]: each["figure"] for each in found["findings"]}
    assert reasons["label_errors"] == "fewer than two classes have 5 rows"
    assert reasons["leakage"] == "fewer than 50 rows have a label"


# Lengths.


def test_lengths_are_described_by_split():
    texts = ["x" * (n + 1) for n in range(100)] + ["word " * 600] * 10 + ["yy zz"] * 10
    splits = ["train"] * 100 + ["validation"] * 10 + ["test"] * 10
    found = finding_of(audit(audit_input(texts, ["a", "b"] * 60, splits)), "lengths")
    assert found["numbers"]["characters"]["train"] == {
        "min": 1,
        "median": 50.5,
        "mean": 50.5,
        "p95": 95.05,
        "max": 100,
    }
    assert found["numbers"]["words"]["validation"]["max"] == 600
    assert found["numbers"]["words"]["test"]["median"] == 2
    assert found["numbers"]["over_tokens"] == {"train": 0, "validation": 1, "test": 0}
    for shares in found["numbers"]["histogram"]["shares"].values():
        assert sum(shares) == pytest.approx(1)
    assert found["verdict"] == "warn"  # 10 of 120 rows are over


# Other shapes of rows.


def test_a_regression_is_audited_without_classes():
    generator = np.random.default_rng(0)
    targets = generator.normal(size=ROWS)
    targets[[3, 4]] = np.nan
    columns = {
        "views": np.exp(targets),
        "kind": np.where(targets > 0, "up", "down"),
        "noise": generator.normal(size=ROWS),
    }
    rows = rows_of(columns=columns, targets=targets)
    rows.labels, rows.label_names = np.full(ROWS, -1, dtype=np.int32), []
    found = audit(rows)
    leakage = finding_of(found, "leakage")
    scores = {row["column"]: row["score"] for row in leakage["numbers"]["columns"]}
    assert scores["views"] > 0.99
    assert scores["kind"] == pytest.approx(2 / np.pi, abs=0.05)  # the share of variance it tells
    assert scores["noise"] < 0.1
    assert leakage["verdict"] == "fail"
    assert finding_of(found, "label_errors")["verdict"] == "skipped"
    drift = finding_of(found, "drift")["numbers"]
    assert drift["classes"] is None
    assert drift["distances"]["target"]["test"]["p"] > 0.001
    assert "Audit of the splits" in audit_page(found, {})


@pytest.mark.parametrize("splits", ["train", "test"])
def test_one_split_alone_is_audited_as_far_as_it_goes(splits):
    texts, labels = topic_texts(100, 0)
    found = audit(
        audit_input(
            texts, labels, [splits] * 100, groups=np.arange(100), times=np.arange(100) * 1.0
        )
    )
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert finding_of(found, "near_duplicates")["verdict"] == "skipped"
    assert finding_of(found, "times")["verdict"] == "skipped"
    assert finding_of(found, "drift")["verdict"] == "skipped"
    assert "<h1>" in audit_page(found, {})


def test_texts_without_words_rows_without_labels_and_dropped_rows_are_no_trouble():
    texts, labels = ["?", "!", "x"] * 40, ["a", "b", "b"] * 40
    rows = audit_input(texts, labels, split_names(120, 0), rows=csr_matrix((120, 0)))
    rows.labels[:7] = -1
    rows.splits[7:14] = -1
    found = audit(rows)
    assert sum(found["splits"].values()) == 113
    assert finding_of(found, "near_duplicates")["figure"] == "no text has a word of two letters"
    assert finding_of(found, "label_errors")["verdict"] == "skipped"
    assert finding_of(found, "exact_duplicates")["verdict"] == "fail"
    assert "<h1>" in audit_page(found, {})


def test_rows_without_texts_are_audited_by_their_other_columns():
    texts, labels = topic_texts(200, 0)
    splits = split_names(200, 1)
    rows = audit_input(texts, labels, splits, {"leak": labels}, rows=None)
    rows.text_columns, rows.texts = [], lambda places: [""] * len(places)
    found = audit(rows)
    for check in ("near_duplicates", "label_errors", "lengths"):
        assert finding_of(found, check)["figure"] == "the rows have no text"
    assert finding_of(found, "exact_duplicates")["figure"] == "no row stands in two splits"
    assert finding_of(found, "drift")["numbers"]["distances"].keys() == {"class shares"}
    assert finding_of(found, "leakage")["verdict"] == "fail"


# Printing and the card.


def test_the_terminal_shows_each_check_and_the_worst_examples():
    texts, labels = topic_texts(100, 0)
    splits = ["train"] * 60 + ["validation"] * 20 + ["test"] * 20
    texts[90] = texts[1] = "[bold]not markup[/bold] [/red] \x1b[31m word " + texts[1]
    labels[90] = "[link=x]"
    found = audit(audit_input(texts, labels, splits))
    console = Console(file=io.StringIO(), width=110, force_terminal=True, color_system=None)
    print_audit(console, found)
    shown = console.file.getvalue()
    for each in found["findings"]:
        assert each["title"] in shown
    assert "row-90 (test, label [link=x]" in shown
    assert "[bold]not markup[/bold] [/red]" in shown
    assert "\x1b[31m" not in shown


def test_the_card_section_is_a_table_in_which_nothing_is_markup():
    names = {"<script>alert(1)</script>|x\n# y": [1, 2] * 200, "[a](javascript:b) `c`": [0] * 400}
    found = audit(audit_input(*topic_texts(400, 0, "ab"), split_names(400, 1), names))
    leak = finding_of(found, "leakage")
    assert leak["verdict"] == "ok"
    section = audit_section(found)
    assert section.startswith("## Audit\n\n**ok**: no check found a problem.")
    lines = [line for line in section.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(found["findings"])
    assert all(line.count("|") - line.count("\\|") == 4 for line in lines)
    assert "<script" not in section
    assert "](" not in section.replace("\\](", "").replace("\\]", "")
