"""Intervals and paired differences: in the verdict, in the table, and told where they are from."""

from __future__ import annotations

import pytest

from hfpipe.reports.tables import metrics_table
from hfpipe.reports.uncertainty import (
    Difference,
    bracketed,
    difference_of,
    interval_of,
    method_words,
    undefined_notes,
)
from hfpipe.reports.verdict import standing, verdict

TFIDF = "tfidf_logistic_regression"


def record(value, low, high, metric="accuracy", ours=0.836, theirs=0.75, **more):
    """A record whose paired difference to its one baseline is known."""
    return {
        "n": 4000,
        "metrics": {metric: ours} | ({"rmse_raw": 9.0} if "rmse" in metric else {}),
        "baselines": {TFIDF: {metric: theirs}},
        "intervals": {metric: [0.824, 0.848]},
        "interval_method": {"resamples": 1000, "confidence": 0.95, "groups": None, "seed": 0},
        "differences": {TFIDF: {metric: {"value": value, "low": low, "high": high, "p": 0.001}}},
        **more,
    }


@pytest.mark.parametrize(
    ("ends", "word", "said"),
    [
        (
            (0.086, 0.069, 0.102),
            "better",
            "It is better than TF-IDF + logistic regression (75.0 %) by 8.6 points "
            "(95 % interval 6.9 to 10.2).",
        ),
        (
            (-0.042, -0.061, -0.02),
            "worse",
            "It is worse than TF-IDF + logistic regression (75.0 %) by 4.2 points "
            "(95 % interval 2.0 to 6.1): this model is not worth its cost yet.",
        ),
        (
            (0.005, -0.012, 0.021),
            "unclear",
            "Whether it is better than TF-IDF + logistic regression (75.0 %) these rows do not "
            "tell: the gain is +0.5 points (95 % interval -1.2 to +2.1).",
        ),
    ],
)
def test_the_verdict_is_the_paired_differences(ends, word, said):
    found = record(*ends)
    assert standing(found) == word
    first, second = verdict(found)
    assert first == (
        "The model names the right class of 83.6 % of 4,000 rows (95 % interval 82.4 to 84.8 %)."
    )
    assert second == said


def test_a_difference_that_the_rough_estimate_calls_chance_may_be_certain_in_pairs():
    found = record(0.01, 0.004, 0.016, ours=0.836, theirs=0.826)
    assert standing(found) == "better"
    assert standing({**found, "differences": {}}) == "unclear"
    assert "give or take" in verdict({**found, "intervals": {}})[0]


def test_of_an_error_less_is_better():
    found = record(-0.2, -0.25, -0.15, "rmse_log", 1.4, 1.6, intervals={"rmse_log": [1.3, 1.5]})
    assert standing(found) == "better"
    first, second = verdict(found)
    assert "the root mean squared error is 1.400 (95 % interval 1.300 to 1.500)" in first
    assert second == (
        "It is better than TF-IDF + logistic regression (1.600) by 0.200 "
        "(95 % interval 0.150 to 0.250)."
    )
    worse = record(0.2, 0.15, 0.25, "rmse_log", 1.8, 1.6)
    assert standing(worse) == "worse"
    assert "by 0.200 (95 % interval 0.150 to 0.250): this model" in verdict(worse)[1]


def test_a_difference_that_is_not_defined_falls_back_to_the_estimate():
    found = record(None, None, None)
    assert difference_of(found, TFIDF, "accuracy") is None
    assert verdict(found)[1].startswith("That is 8.6 points better than")
    assert standing(found) == "better"


def test_an_interval_that_ends_at_zero_decides_nothing():
    assert Difference(0.1, 0.0, 0.2).standing == "unclear"
    assert Difference(-0.1, -0.2, 0.0).standing == "unclear"


def test_the_table_has_the_interval_and_the_difference_to_the_strongest():
    found = record(0.086, 0.069, 0.102)
    found["baselines"]["majority"] = {"accuracy": 0.14}
    found["differences"]["majority"] = {"accuracy": {"value": 0.7, "low": 0.6, "high": 0.8}}
    table = metrics_table(found)
    assert table["against"] == "TF-IDF + logistic regression"
    (row,) = table["rows"]
    assert row["interval"] == (0.824, 0.848)
    assert row["difference"] == Difference(0.086, 0.069, 0.102)
    assert row["cells"] == [(0.836, True), (0.75, False), (0.14, False)]


def test_it_is_told_how_the_intervals_were_made():
    found = record(0.1, 0.0, 0.2)
    assert method_words(found) == (
        "The ranges are 95 % intervals, from 1,000 bootstrap resamples of the rows."
    )
    found["interval_method"] = {"resamples": 200, "confidence": 0.9, "groups": "author"}
    assert method_words(found).startswith(
        "The ranges are 90 % intervals, from 200 bootstrap resamples of whole groups of “author”."
    )
    assert bracketed(found, "accuracy") == " (90 % interval 0.824 to 0.848)"
    assert method_words({**found, "intervals": {"accuracy": None}}) == ""
    assert method_words({}) == ""


def test_a_metric_without_an_interval_has_none():
    assert interval_of({"intervals": {"f1": None}}, "f1") is None
    assert interval_of({"intervals": {"f1": [None, 0.5]}}, "f1") is None
    assert interval_of({}, "f1") is None
    assert bracketed({}, "f1") == ""


def test_metrics_that_lack_the_same_are_named_together():
    reasons = {"roc_auc": "no negative row", "precision": "no row", "mcc": "no negative row"}
    assert undefined_notes({"undefined": reasons}) == [
        ("ROC AUC and Matthews correlation (MCC)", "no negative row"),
        ("Precision", "no row"),
    ]
    found = {"n": 3, "metrics": {"roc_auc": None}, "undefined": {"roc_auc": "no negative row"}}
    assert verdict(found) == ["ROC AUC is not defined for these 3 rows: no negative row."]
