"""What an offline W&B run holds of an evaluation, read back from its file."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sklearn_metrics

from hfpipe.tracking import log_curves, log_evaluation
from tests.tracking.support import binary, classes, marks, numbers, offline, read_back

PAGE = "<!doctype html><title>the report</title>"


def png(colour: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 3), (colour, 0, 0)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """Four runs, a task each."""
    found = {}
    for make in (binary, classes, marks, numbers):
        folder, evaluation = tmp_path_factory.mktemp(make.__name__), make()
        rows, record = evaluation.rows, evaluation.record
        if make is binary:
            rows = [row | {"uncalibrated": row["score"] / 2} for row in rows]
            record = replace(
                record,
                intervals={"roc_auc": [0.5, 0.9], "f1": None},
                undefined={"mcc": "one class"},
                baselines={"majority": {"accuracy": 0.25}},
                threshold_for="f1",
                calibration={"method": "platt", "before": {"ece": 0.2}, "after": {"ece": 0.1}},
                differences={
                    "majority": {"f1": {"value": 0.2, "low": -0.1, "high": 0.5, "p": 0.2}}
                },
                worst_slices=[
                    {
                        "slice": {"size": 1},
                        "n": 20,
                        "metric": "f1",
                        "value": 0.1,
                        "rest": 0.9,
                        "p": 0,
                    }
                ],
            )
        (folder / "report.html").write_text(PAGE)
        images = {"r0": png(9), "r1": png(7)} if make is classes else None
        with offline(folder) as run:
            log_evaluation(run, record, rows, report=folder / "report.html", images=images)
        found[make.__name__] = (evaluation, read_back(folder), rows)
    return found


@pytest.mark.parametrize(
    ("task", "plots", "tables"),
    [
        (
            "binary",
            {"pr", "roc", "confusion_matrix", "thresholds", "reliability"},
            {"metrics", "differences", "slices", "worst_slices", "errors"},
        ),
        (
            "classes",
            {"pr", "roc", "confusion_matrix", "thresholds", "reliability"},
            {"metrics", "errors"},
        ),
        ("marks", {"pr", "roc", "thresholds"}, {"metrics", "errors"}),
        ("numbers", {"predicted", "errors_histogram"}, {"metrics", "errors"}),
    ],
)
def test_every_plot_table_and_page_is_in_the_run(logged, task, plots, tables):
    _, run, _ = logged[task]
    assert {key.removeprefix("validation/") for key in run.charts} == plots
    names = {f"{name}_table" for name in plots} | tables | {"report"}
    assert {key for key in run.history if "/" in key} == {f"validation/{name}" for name in names}
    assert PAGE in run.file("validation/report").read_text()
    for key, chart in run.charts.items():
        query = chart["panel_config"]["userQuery"]["queryFields"][0]["fields"][-1]
        assert query["args"][0]["value"] == f"{key}_table"
        fields = set(chart["panel_config"]["fieldSettings"].values())
        assert fields <= set(run.table(f"{key}_table")[0])
        assert "validation" in chart["panel_config"]["stringSettings"]["title"]


def test_curves_of_a_binary_run_are_those_of_scikit_learn(logged):
    evaluation, run, _ = logged["binary"]
    truth, scores = evaluation.truth[:-1], evaluation.scores[:-1]
    false, true, _ = sklearn_metrics.roc_curve(truth, scores, drop_intermediate=False)
    assert run.line("validation/roc", "spam") == list(zip(false, true, strict=True))
    precision, recall, _ = sklearn_metrics.precision_recall_curve(truth, scores)
    assert run.line("validation/pr", "spam") == list(zip(recall, precision, strict=True))
    for at, f1 in run.line("validation/thresholds", "f1"):
        assert f1 == pytest.approx(sklearn_metrics.f1_score(truth, scores >= at), abs=1e-12)


def test_reliability_is_drawn_before_and_after_calibration(logged):
    _, run, rows = logged["binary"]
    after = run.line("validation/reliability", "after calibration")
    before = run.line("validation/reliability", "before calibration")
    assert max(x for x, _ in before) <= 0.5 < max(x for x, _ in after)
    known = [row for row in rows if row["truth"] is not None]
    low = [row for row in known if row["uncalibrated"] <= 1 / 15]
    assert before[0][1] == pytest.approx(np.mean([row["truth"] == "spam" for row in low]))
    _, plain, _ = logged["classes"]
    assert plain.line("validation/reliability", "probabilities")
    assert not plain.line("validation/reliability", "before calibration")


def test_confusion_matrix_counts_every_labelled_row(logged):
    evaluation, run, _ = logged["classes"]
    wanted = sklearn_metrics.confusion_matrix(evaluation.truth, evaluation.scores.argmax(axis=1))
    cells = run.table("validation/confusion_matrix_table")
    found = [row["nPredictions"] for row in cells]
    assert found == wanted.ravel().tolist()
    assert [row["Actual"] for row in cells[:4]] == ["ant", "ant", "ant", "bee"]


def test_coverage_of_several_classes_is_counted_from_the_surest(logged):
    evaluation, run, _ = logged["classes"]
    sure, right = (
        evaluation.scores.max(axis=1),
        evaluation.scores.argmax(axis=1) == evaluation.truth,
    )
    for at, accuracy in run.line("validation/thresholds", "accuracy of the rest"):
        assert accuracy == pytest.approx(right[sure >= at - 1e-6].mean())
    assert run.line("validation/thresholds", "share of the rows")[-1][1] == 1.0


def test_errors_are_told_with_inputs_truth_prediction_and_scores(logged):
    evaluation, run, _ = logged["classes"]
    table = run.table("validation/errors")
    wrong = [row for row in evaluation.rows if not row["top_1_correct"]]
    assert len(table) == len(wrong) > 3
    worst = max(wrong, key=lambda row: row["scores"][0])
    at = worst["inputs"]["size"]
    first = table[0]
    assert (first["row_id"], first["input: text"]) == (worst["row_id"], f"text <b>{at}</b>")
    assert (first["truth"], first["prediction"]) == (worst["truth"], worst["prediction"])
    assert first["score"] == worst["scores"][0] > first["truth_score"] > 0
    assert first["scores"].startswith(f"{worst['prediction']} ")
    pictured = [row["image"] for row in table if row["row_id"] in ("r0", "r1")]
    assert all(each["width"] == 4 and each["height"] == 3 for each in pictured)
    _, spam, rows = logged["binary"]
    away = {row["row_id"]: abs(row["score"] - 0.4) for row in rows if row["top_1_correct"] is False}
    assert {row["row_id"] for row in spam.table("validation/errors")} == set(away)
    assert away[spam.table("validation/errors")[0]["row_id"]] == max(away.values())
    _, regression, rows = logged["numbers"]
    sizes = [abs(row["error"]) for row in regression.table("validation/errors")]
    assert sizes == sorted((abs(row["error"]) for row in rows), reverse=True)


def test_summary_has_metrics_with_intervals_and_reasons(logged):
    evaluation, run, _ = logged["binary"]
    told = run.summary
    assert told["validation/roc_auc"] == evaluation.record.metrics["roc_auc"]
    assert (told["validation/roc_auc_low"], told["validation/roc_auc_high"]) == (0.5, 0.9)
    assert "validation/f1_low" not in told
    assert told["validation/mcc_undefined"] == "one class"
    assert told["validation/n"] == 39
    assert (told["validation/threshold"], told["validation/threshold_for"]) == (0.4, "f1")
    assert told["validation/majority_baseline/accuracy"] == 0.25
    assert told["validation/calibration"] == "platt"
    assert told["validation/before_calibration/ece"] == 0.2
    assert told["validation/after_calibration/ece"] == 0.1
    by_name = {row["metric"]: row for row in run.table("validation/metrics")}
    assert (by_name["roc_auc"]["low"], by_name["roc_auc"]["high"]) == (0.5, 0.9)
    assert by_name["accuracy"]["majority baseline"] == 0.25
    (difference,) = run.table("validation/differences")
    assert list(difference.values()) == ["majority", "f1", 0.2, -0.1, 0.5, 0.2]
    (worst,) = run.table("validation/worst_slices")
    assert list(worst.values()) == ["size: 1", "f1", 20, 0.1, 0.9, 0]
    slices = run.table("validation/slices")
    assert [(row["column"], row["value"], row["n"]) for row in slices] == [
        ("size", "1", 20),
        ("size", "2", 19),
    ]


def test_predicted_against_true_of_a_regression(logged):
    _, run, rows = logged["numbers"]
    dots = [tuple(row.values()) for row in run.table("validation/predicted_table")]
    assert dots == [(row["truth"], row["prediction"]) for row in rows]
    errors = [row["error"] for row in run.table("validation/errors_histogram_table")]
    assert errors == [row["error"] for row in rows]


def test_curves_of_training_are_told_apart_by_stage(tmp_path):
    history = [
        {"step": 1, "stage": 1, "epoch": 0.5, "loss": 3.0, "learning_rate": 0.1},
        {"step": 2, "stage": 1, "epoch": 1.0, "loss": 2.0, "learning_rate": 0.0},
        {"step": 2, "stage": 1, "epoch": 1.0, "eval_loss": 2.5},
        {"step": 3, "stage": 2, "epoch": 2.0, "loss": 1.0, "learning_rate": 0.2},
        {"step": 3, "stage": 2, "epoch": 2.0, "eval_loss": 1.5},
    ]
    with offline(tmp_path) as run:
        log_curves(run, history, ["head", "whole"])
    found = read_back(tmp_path)
    assert set(found.charts) == {"stages/loss", "stages/learning_rate", "stages/eval_loss"}
    assert found.line("stages/loss", "head") == [(1, 3.0), (2, 2.0)]
    assert found.line("stages/loss", "whole") == [(3, 1.0)]
    assert found.line("stages/eval_loss", "whole") == [(3, 1.5)]


def test_rows_without_any_label_leave_metrics_and_report(tmp_path):
    evaluation = numbers()
    rows = [row | {"truth": None, "error": None} for row in evaluation.rows]
    with offline(tmp_path) as run:
        log_evaluation(run, evaluation.record, rows, split="test")
    found = read_back(tmp_path)
    assert found.charts == {}
    assert {key for key in found.history if "/" in key} == {"test/metrics"}
    assert found.summary["test/spearman"] == evaluation.record.metrics["spearman"]


def test_scores_that_are_no_probabilities_have_no_reliability(tmp_path):
    evaluation = binary()
    record = replace(evaluation.record, undefined={"ece": "votes are no probability"})
    with offline(tmp_path) as run:
        log_evaluation(run, record, evaluation.rows, split="test")
    found = read_back(tmp_path)
    assert set(found.charts) == {f"test/{name}" for name in ("pr", "roc", "thresholds")} | {
        "test/confusion_matrix"
    }
    assert found.summary["test/ece_undefined"] == "votes are no probability"
