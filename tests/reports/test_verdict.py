"""The verdict says no more than the numbers bear."""

from __future__ import annotations

import pytest

from hfpipe.reports.curves import curve_plots, learning_lines
from hfpipe.reports.verdict import standing, verdict


def record(accuracy, other, n, ours=0.6, theirs=0.5):
    return {
        "n": n,
        "metrics": {"accuracy": accuracy, "macro_f1": ours},
        "baselines": {
            "majority": {"accuracy": 0.14, "macro_f1": 0.01},
            "tfidf_logistic_regression": {"accuracy": other, "macro_f1": theirs},
        },
    }


@pytest.mark.parametrize(
    ("accuracy", "other", "n", "word", "said"),
    [
        (0.836, 0.742, 4000, "better", "9.4 points better than TF-IDF + logistic regression"),
        (0.70, 0.742, 4000, "worse", "4.2 points worse than TF-IDF + logistic regression"),
        (0.80, 0.75, 100, "unclear", "on 100 rows such a difference can be chance"),
        (0.80, 0.10, 4000, "better", "66.0 points better than Most frequent class (14.0 %)"),
    ],
)
def test_it_compares_with_the_strongest_baseline(accuracy, other, n, word, said):
    found = record(accuracy, other, n)
    assert standing(found) == word
    assert said in verdict(found)[1]


def test_it_says_when_rare_classes_tell_another_story():
    assert len(verdict(record(0.836, 0.742, 4000, ours=0.6, theirs=0.5))) == 2
    behind = verdict(record(0.836, 0.742, 4000, ours=0.574, theirs=0.591))
    assert "macro F1 0.574 against 0.591" in behind[2]


def test_it_gives_the_margin_of_the_number_of_rows():
    assert "83.6 % of 4,000 rows (give or take 1.1 points)" in verdict(record(0.836, 0.7, 4000))[0]
    assert "give or take 7.3 points" in verdict(record(0.836, 0.7, 100))[0]


def test_no_baseline_and_no_label():
    found = {"n": 10, "metrics": {"accuracy": 0.5}, "baselines": {}}
    assert (standing(found), verdict(found)[1]) == (
        "unknown",
        "There is no baseline to compare it with.",
    )
    nothing = {"n": 0, "metrics": {"accuracy": None}, "baselines": {"majority": {"accuracy": None}}}
    assert standing(nothing) == "unknown"
    assert "nothing to score" in verdict(nothing)[0]


def test_curves_leave_out_what_is_not_finite():
    history = [
        {"loss": 2.0, "epoch": 0.5},
        {"loss": float("nan"), "epoch": 1.0},
        {"eval_loss": 1.0, "eval_accuracy": 0.5, "epoch": 1.0},
        {"train_runtime": 3.0, "epoch": 1.0},
    ]
    assert learning_lines(history, {"loss": "train", "eval_loss": "validation"}) == {
        "train": [(0.5, 2.0)],
        "validation": [(1.0, 1.0)],
    }
    loss, scores = curve_plots(history)
    assert "Loss" in loss
    assert "Accuracy: 0.5 at first, 0.5 at last" in scores
    assert "nan" not in loss + scores
    assert curve_plots([]) == []


def test_curves_without_epochs_go_by_step():
    assert learning_lines([{"loss": 1.0, "step": 5}], {"loss": "train"}) == {"train": [(5.0, 1.0)]}
