"""Thresholds and calibration in words, in tables and in plots."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hfpipe.metrics.thresholds import ThresholdCurve
from hfpipe.reports.decisions import (
    aim_words,
    calibration_method,
    calibration_table,
    calibration_words,
    threshold_words,
)
from hfpipe.reports.report import render_report
from hfpipe.reports.threshold_plot import threshold_plot
from hfpipe.reports.trust import reliability_plots
from tests.reports.support import calibrated, complete, line_of


@pytest.mark.parametrize(
    ("aim", "said"),
    [
        ("f1", "the best F1"),
        ("f2", "the best F2, which weighs recall more than precision"),
        ("f0.5", "the best F0.5, which weighs precision more than recall"),
        (
            "youden",
            "the best Youden index (recall minus the share of negative rows called positive)",
        ),
        ("precision_at_recall=0.9", "the highest precision at a recall of at least 0.9"),
        ("recall_at_precision=0.95", "the highest recall at a precision of at least 0.95"),
        ("cost=1:5", "the lowest cost, a false positive costing 1 and a false negative 5"),
        ("balanced_accuracy", "the best balanced accuracy"),
        ("mcc", "the best Matthews correlation (MCC)"),
        ("cost=", "the best cost="),
    ],
)
def test_what_a_threshold_is_best_for(aim, said):
    assert aim_words(aim) == said


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"threshold": None}, ""),
        ({"threshold": 0.5, "split": "test"}, "the usual threshold 0.500"),
        ({"threshold": 0.5, "threshold_for": None}, "the usual threshold 0.500"),
        ({"threshold": 0.25, "threshold_for": None}, "threshold 0.250"),
        # Written before there were aims.
        ({"threshold": 0.25}, "threshold 0.250, chosen for the best F1 on the validation rows"),
        (
            {"threshold": 0.5, "threshold_for": "f2", "split": "test"},
            "threshold 0.500, chosen for the best F2, which weighs recall more than precision, on "
            "the validation rows",
        ),
        (
            {"threshold": 0.2, "threshold_for": "f1", "split": "validation"},
            "threshold 0.200, chosen for the best F1 on these very rows, which flatters it",
        ),
        (
            {"threshold": {"cat": 0.2, "dog": 0.7}, "threshold_for": "f1"},
            "a threshold for each label, chosen for the best F1 on the validation rows",
        ),
    ],
)
def test_where_a_threshold_comes_from(record, said):
    assert threshold_words(record) == said


def test_each_label_has_its_own_threshold_in_the_table(evaluations):
    found = evaluations["multi_label"]
    record = found.record.to_dict() | {
        "threshold": {"cat": 0.123, "dog": 0.456, "bird": 0.789},
        "threshold_for": "f1",
    }
    page = render_report(record, found.rows)
    for label, number in {"cat": "0.123", "dog": "0.456", "bird": "0.789"}.items():
        support = record["per_class"][label]["support"]
        assert line_of(page, label).endswith(f"{number} {support}")
    assert "All at a threshold for each label, chosen for the best F1" in page


def curve(**changes):
    found = {
        "threshold": np.array([0.1, 0.2, 0.4, 0.8]),
        "precision": np.array([0.25, 0.5, 1.0, np.nan]),
        "recall": np.array([1.0, 1.0, 0.5, 0.0]),
        "f1": np.array([0.4, 0.6667, 0.6667, 0.0]),
        "share": np.array([1.0, 0.5, 0.25, 0.0]),
    }
    return ThresholdCurve(**found | changes)


def test_the_threshold_curve_is_four_lines_and_a_mark():
    drawn = threshold_plot(curve(), 0.4)
    lines = re.findall(r'<polyline points="([^"]*)"', drawn)
    assert [len(line.split()) for line in lines] == [3, 4, 4, 4]
    # From 44 to 374 for 0 to 0.8, from 114 to 364 for 1 to 0.
    assert lines[1].split() == ["85.2,114.0", "126.5,114.0", "209.0,239.0", "374.0,364.0"]
    assert '<line x1="209" y1="110" x2="209" y2="364" class="ideal"/>' in drawn
    assert ">threshold 0.400</text>" in drawn
    assert (
        "At the threshold 0.400: Precision 1.000, Recall 0.500, F1 0.667; 25.0 % of rows called "
        "positive." in drawn
    )


def test_a_gap_in_a_line_is_a_gap():
    precision = np.array([0.2, 0.4, np.nan, 0.5])
    drawn = threshold_plot(curve(precision=precision), 0.4)
    lines = re.findall(r'<polyline points="([^"]*)"', drawn)
    assert [len(line.split()) for line in lines] == [2, 4, 4, 4]
    assert "nan" not in drawn


def test_calibration_is_told_with_its_reason():
    record = {
        "calibration": {
            "method": "platt",
            "parameters": {"slope": 1.25, "intercept": -0.5, "knots": [1, 2]},
            "reason": "lowest log loss in cross-validation.",
            "rows": 1600,
        }
    }
    assert calibration_words(record) == [
        "The scores were calibrated by Platt scaling (slope 1.250, intercept -0.500), fitted on "
        "1,600 validation rows.",
        "Why: lowest log loss in cross-validation.",
    ]
    none = {"calibration": {"method": None, "parameters": {}, "reason": "none helped"}}
    assert calibration_method(none) == ""
    assert calibration_words(none) == [
        "The scores are as the model gives them, not calibrated.",
        "Why: none helped.",
    ]
    assert calibration_words({"temperature": 1.5}) == [
        "The scores were calibrated by temperature scaling (temperature 1.500)."
    ]
    assert calibration_words({}) == []


def test_before_and_after_are_compared_metric_by_metric():
    numbers = {"before": {"log_loss": 0.5, "ece": 0.1}, "after": {"log_loss": 0.4, "ece": None}}
    assert calibration_table({"calibration": numbers}) == [
        ("Log loss", 0.5, 0.4, True),
        ("Calibration error (ECE)", 0.1, None, False),
    ]


@pytest.mark.parametrize("kind", ["binary", "classification"])
def test_reliability_is_drawn_before_and_after(kind, evaluations, topics):
    found = topics if kind == "classification" else evaluations["binary"]
    record, rows = complete(found.record.to_dict()), calibrated(found.rows)
    (before, first), (after, second) = reliability_plots(kind, rows, record)
    assert (before, after) == ("Before calibration", "After calibration")
    ids = [re.findall(r'id="(\w+)-title"', each)[0] for each in (first, second)]
    assert ids == ["uncalibrated", "reliability"]
    assert first.split("<rect")[1] != second.split("<rect")[1]
    ((name, alone),) = reliability_plots(kind, found.rows, record)
    assert name == ""
    assert alone == second.replace("Reliability after calibration", "Reliability diagram")
    page = render_report(record, rows)
    table = page[page.index("After calibration</th>") :]
    assert line_of(table, "Log loss") == "Log loss 0.654 0.543"
    assert '<span class="n best">0.543</span>' in table
    assert "Why: it fits best." in page


def test_before_calibration_nothing_is_said_of_it(evaluations):
    found = evaluations["binary"]
    page = render_report(found.record.to_dict(), found.rows)
    assert "alibration</th>" not in page
    assert page.count('id="reliability-title"') == 1
