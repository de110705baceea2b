"""Leaking columns, drift, label errors and lengths: the planted is found, the rest is not."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from data_prep.audit import audit
from data_prep.audit.checks import label_errors, leakage
from data_prep.audit.columns import Judge
from tests.data_prep.audit_support import (
    audit_input,
    finding_of,
    rows_of,
    split_names,
    topic_texts,
)

ROWS = 1200
SPLITS = ("train", "validation", "test")


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
        audit(rows_of(ROWS, columns=columns, leakage_columns=["views", "likes"])), "leakage"
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
    rows = rows_of(ROWS, columns=columns, groups=groups, group_column="author")
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


def test_a_leak_shows_where_few_texts_or_few_groups_recur():
    labels = [("a", "b")[place % 2] for place in range(400)]
    columns = {"leak": [label * 3 for label in labels]}
    for texts in (["the same words"] * 400, ["some words", "other words"] * 200):
        for groups in (None, np.arange(400) % 3, np.zeros(400, dtype=np.int64)):
            rows = audit_input(texts, labels, split_names(400, 1), columns, groups=groups)
            assert finding_of(audit(rows), "leakage")["verdict"] == "fail"


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


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.93, 0.07]])
def test_a_model_that_cannot_tell_suspects_few(shares):
    texts, _ = topic_texts(1500, 0, "a")
    labels = np.random.default_rng(1).choice(["x", "y"], 1500, p=shares).tolist()
    found = finding_of(audit(audit_input(texts, labels, split_names(1500, 1))), "label_errors")
    assert found["numbers"]["marked_by_cleanlab"] > 70
    assert found["numbers"]["suspects"] < 30


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
