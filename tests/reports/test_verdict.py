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


def binary(auc, other, n=1000, positive=200, **more):
    metrics = {
        "roc_auc": auc,
        "average_precision": 0.5,
        "f1": 0.6,
        "precision": 0.55,
        "recall": 0.66,
    }
    return {
        "n": n,
        "metrics": metrics,
        "threshold": 0.31,
        "split": "test",
        "per_class": {"no": {"support": n - positive}, "yes": {"support": positive}},
        "baselines": {
            "majority": {"roc_auc": 0.5, "average_precision": 0.2},
            "logistic_regression": {"roc_auc": other, "average_precision": 0.4},
        },
        **more,
    }


@pytest.mark.parametrize(
    ("auc", "other", "n", "word", "said"),
    [
        (0.80, 0.70, 1000, "better", "That is 0.100 better than Logistic regression (0.700)."),
        (0.70, 0.80, 1000, "worse", "That is 0.100 worse than Logistic regression (0.800)"),
        (0.80, 0.77, 1000, "unclear", "That is within 0.030 of Logistic regression (0.770)"),
        (0.80, 0.70, 100, "unclear", "on 100 rows such a difference can be chance"),
    ],
)
def test_a_binary_model_is_judged_by_its_ranking(auc, other, n, word, said):
    found = binary(auc, other, n, positive=n // 5)
    assert standing(found) == word
    assert said in verdict(found)[1]


def test_a_binary_verdict_names_the_threshold_and_what_guessing_gives():
    first, _, third, fourth = verdict(binary(0.8, 0.7))
    # Hanley & McNeil: Q1 = 2/3, Q2 = 0.7111, 200 against 800 rows; 1.96 standard errors.
    assert "80.0 % of the time: ROC AUC 0.800 (give or take 0.039) on 1,000 rows" in first
    assert "0.500, where guessing gives 0.200" in third
    assert fourth == (
        "F1 is 0.600 (precision 0.550, recall 0.660) at threshold 0.310, chosen for the best F1 "
        "on the validation rows."
    )


def test_a_better_ranking_may_hide_a_worse_top():
    found = binary(0.8, 0.7)
    found["baselines"]["logistic_regression"]["average_precision"] = 0.6
    assert "average precision 0.500 against 0.600 of Logistic regression" in verdict(found)[-1]


def test_a_regression_is_judged_by_its_error():
    found = {
        "n": 900,
        "metrics": {"rmse_log": 1.4, "mae_log": 0.693147, "rmse_raw": 900.0, "mae_raw": 90.0},
        "baselines": {
            "mean": {"rmse_log": 2.0, "mae_log": 1.5},
            "ridge": {"rmse_log": 1.6, "mae_log": 0.6},
        },
    }
    first, second, third = verdict(found)
    assert "off by 0.693 on average in log(1 + y), a factor of 2.00" in first
    assert second == "That is 0.200 lower, so better than Ridge regression (1.600)."
    assert "on the typical row it is behind" in third
    assert standing(found) == "better"
    # 1.96 x sqrt(1.4² + 1.6²) / sqrt(2 x 100) = 0.295: more than the 0.2 between them.
    assert standing({**found, "n": 100}) == "unclear"
    worse = {**found, "metrics": {"rmse_log": 1.9, "rmse_raw": 1.0}}
    assert standing(worse) == "worse"
    assert "0.300 higher, so worse than Ridge regression" in verdict(worse)[1]
    raw = {"n": 900, "metrics": {"rmse_raw": 3.0, "mae_raw": 2.0}, "baselines": {}}
    assert "off by 2.000 on average" in verdict(raw)[0]


def test_several_labels_are_judged_by_macro_f1():
    found = {
        "n": 1000,
        "metrics": {"macro_f1": 0.7, "micro_f1": 0.8, "accuracy": 0.5, "hamming_loss": 0.1},
        "threshold": 0.4,
        "baselines": {"majority": {"macro_f1": 0.0, "micro_f1": 0.0}},
    }
    assert standing(found) == "better"
    assert (
        "F1 is 0.700 (macro) on 1,000 rows; 50.0 % of them have every label right"
        in (verdict(found)[0])
    )
    assert "threshold 0.400" in verdict(found)[2]


def test_curves_of_other_tasks_show_their_own_metrics_in_one_scale():
    history = [{"eval_rmse_log": 1.5, "eval_rmse_raw": 9e6, "eval_mae_raw": 1e6, "epoch": 1.0}]
    (scores,) = curve_plots(history)
    assert "RMSE (log scale): 1.5 at first" in scores
    assert "Mean absolute error" not in scores
    (scores,) = curve_plots([{"eval_roc_auc": 0.8, "eval_accuracy": 0.9, "epoch": 1.0}])
    assert "ROC AUC: 0.8 at first" in scores
    assert "Accuracy" not in scores
