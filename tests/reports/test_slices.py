"""Slices: leaked beside clean rows, the worst ones, small ones marked."""

from __future__ import annotations

import pytest

from hfpipe.reports.report import render_report
from hfpipe.reports.slices import leak_of, leak_words, slice_tables, worst_slices, worst_words
from hfpipe.reports.verdict import verdict
from tests.reports.support import complete, line_of


def leaky(clean, leaked, metric="accuracy", overall=0.82, **more):
    sides = {"clean": {"n": 90, metric: clean}, "leaked": {"n": 10, metric: leaked}}
    return {
        "n": 100,
        "metrics": {metric: overall, **more},
        "baselines": {},
        "slices": {"near-duplicate in train": sides},
    }


def test_leaked_rows_stand_beside_clean_ones():
    found = leak_of(leaky(0.8, 1.0))
    assert found["counts"] == [100, 90, 10]
    assert found["rows"] == [("Accuracy", [(0.82, None), (0.8, None), (1.0, None)])]
    assert found["sentence"] == (
        "10 of 100 rows (10.0 %) have a near-duplicate among the rows the model learned from. "
        "Trust the score of the clean ones, which is what new rows will get: accuracy 0.800, "
        "against 1.000 on the leaked ones."
    )


@pytest.mark.parametrize(
    ("record", "warned"),
    [
        (leaky(0.8, 1.0), True),
        (leaky(0.9, 0.8), False),
        (leaky(0.8, 0.85), False),
        (leaky(1.4, 0.5, "rmse_log", 1.3, rmse_raw=9.0), True),
        (leaky(1.4, 1.2, "rmse_log", 1.38, rmse_raw=9.0), False),
        (leaky(1.2, 1.4, "rmse_log", 1.22, rmse_raw=9.0), False),
        (leaky(0.8, None), False),
    ],
)
def test_the_verdict_warns_of_leaks_that_flatter(record, warned):
    assert any("near-duplicate" in sentence for sentence in verdict(record)) == warned


def test_without_a_leak_that_is_said_and_no_table_shown():
    record = leaky(0.8, None)
    record["slices"]["near-duplicate in train"] = {"clean": {"n": 100, "accuracy": 0.82}}
    assert leak_of(record)["rows"] == []
    assert leak_words(record) == (
        "No row has a near-duplicate among the rows the model learned from, so the score is not "
        "inflated by leaked rows."
    )
    assert leak_of({"metrics": {}, "slices": {}}) is None
    assert leak_words({}) == ""


def test_where_all_rows_are_leaked_no_clean_score_is_made_up():
    record = leaky(0.8, 1.0)
    record["slices"]["near-duplicate in train"] = {"leaked": {"n": 100, "accuracy": 1.0}}
    assert leak_words(record).endswith("; too few rows are clean to score the model on them alone.")


def worst(**more):
    each = {"slice": {"lang": "de"}, "n": 57, "metric": "accuracy", "value": 0.4567, "rest": 0.9}
    return {"metrics": {"accuracy": 0.8}, "slices": {"lang": {}}, "worst_slices": [each | more]}


def test_the_worst_slice_is_named_with_its_numbers():
    found = worst(slice={"lang": "de", "rows of the group": "1"}, p=3e-7)
    (row,) = worst_slices(found)["rows"]
    assert row == {
        "name": "lang is “de” and rows of the group is “1”",
        "metric": "Accuracy",
        "n": 57,
        "value": 0.4567,
        "rest": 0.9,
        "p": "< 0.001",
    }
    assert worst_words(found) == (
        "It is weakest where lang is “de” and rows of the group is “1” (57 rows): accuracy 0.457, "
        "and 0.900 elsewhere."
    )


def test_it_is_said_that_none_was_found_only_where_one_was_looked_for():
    found = {"metrics": {"accuracy": 0.8}, "slices": {"length of text": {}}, "worst_slices": []}
    assert worst_slices(found) == {"metric": "", "rows": []}
    assert worst_slices({**found, "slices": {"lang": {}, "all": {}, "aggregation": {}}}) is None
    assert worst_slices({"metrics": {}, "slices": {"length of text": {}}}) is None
    assert worst_words(found) == ""


def test_small_slices_are_marked_and_have_their_intervals():
    values = {
        "en": {"n": 30, "accuracy": 0.8},
        "de": {"n": 29, "accuracy": 0.7, "intervals": {"accuracy": [0.5, 0.9]}},
    }
    (table,) = slice_tables({"metrics": {"accuracy": 0.8}, "slices": {"lang": values}})
    assert table["columns"] == ["Accuracy"]
    assert [(row["value"], row["few"]) for row in table["rows"]] == [("en", False), ("de", True)]
    assert table["rows"][1]["cells"] == [(0.7, (0.5, 0.9))]


def test_all_of_it_is_on_the_page(evaluations):
    found = evaluations["binary"]
    record = complete(found.record.to_dict())
    page = render_report(record, found.rows)
    headings = ["Does it only remember?", "Where it fails", "Slice by slice"]
    places = [page.index(f"<h2>{each}</h2>") for each in headings]
    assert places == sorted(places)
    assert line_of(page[places[0] :], "Rows") == "Rows 300 260 40"
    assert line_of(page, "lang is “de” and rows of the group is “1”").endswith(
        "0.457 0.876 < 0.001"
    )
    assert "1-9 words few rows 12" in line_of(page, "1-9 words")
    assert "few rows" not in line_of(page, "&gt; 9 words")
    assert page.count("<bdi>near-duplicate in train</bdi>") == 0
    none = render_report({**record, "worst_slices": []}, found.rows)
    assert "On no slice of enough rows is it worse than on the rest" in none
