"""The audit finds what was planted, counts it exactly, and leaves the innocent alone."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console
from scipy.sparse import csr_matrix

from data_prep.audit import all_checks, audit, audit_page, audit_section, print_audit
from tests.data_prep.audit_support import (
    audit_input,
    finding_of,
    rows_of,
    split_names,
    topic_texts,
)

ROWS = 1200
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def innocent():
    return audit(rows_of(ROWS, columns={"noise": np.random.default_rng(5).normal(size=ROWS)}))


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
    again = audit(rows_of(ROWS, columns={"noise": np.random.default_rng(5).normal(size=ROWS)}))
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
    ids = [f"row-{place}" for place in order]
    turned_rows = (turned(texts), turned(labels), turned(splits))
    second = audit(audit_input(*turned_rows, columns, sample_rows=200, ids=ids))
    for check in ("exact_duplicates", "near_duplicates", "drift", "leakage", "label_errors"):
        assert finding_of(first, check)["numbers"] == finding_of(second, check)["numbers"]


def test_progress_is_told_check_by_check_and_adds_up_to_the_rows():
    told = []
    audit(rows_of(123), told.append)
    assert (len(told), sum(told)) == (len(all_checks()), 123)


def test_a_regression_is_audited_without_classes():
    generator = np.random.default_rng(0)
    targets = generator.normal(size=ROWS)
    targets[[3, 4]] = np.nan
    columns = {
        "views": np.exp(targets),
        "kind": np.where(targets > 0, "up", "down"),
        "noise": generator.normal(size=ROWS),
    }
    rows = rows_of(ROWS, columns=columns, targets=targets)
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
