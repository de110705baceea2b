"""What is fitted on validation, and what it does to rows that are scored."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit

from hfpipe.blocks import Evaluation
from hfpipe.evaluation.baselines import Guess
from hfpipe.evaluation.choosing import fit_choices
from hfpipe.evaluation.decisions import Decision
from hfpipe.evaluation.judging import judge
from hfpipe.evaluation.profiles import Scored
from hfpipe.metrics.tasks import task_of

SPAM = task_of("binary", ["ham", "spam"])
ROWS = 2000


def rows(seed: int, sharpness: float = 3.0, owners: bool = False) -> Scored:
    """Rows whose model is right about the order, and too sure of itself."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=ROWS)
    truth = (draw.random(ROWS) < expit(logits)).astype(np.float64)
    names = [f"r{at}" for at in range(ROWS)]
    whose = [f"author {at % 100}" for at in range(ROWS)] if owners else []
    return Scored(
        names,
        [{}] * ROWS,
        truth,
        expit(sharpness * logits),
        {"half": ["odd" if at % 2 else "even" for at in range(ROWS)]},
        owners=whose,
        owner="author" if owners else None,
    )


def test_an_overconfident_model_is_calibrated_and_its_order_stays():
    decision, _ = fit_choices(SPAM, rows(0))
    test = rows(1)
    judged = judge(SPAM, test, decision=decision, model="ada/spam", split="test")
    told = judged.record.calibration
    assert told["method"] in ("platt", "isotonic")
    assert told["rows"] == ROWS
    assert told["before"]["ece"] > 0.1
    assert told["after"]["ece"] < 0.04
    assert told["after"]["log_loss"] < told["before"]["log_loss"] - 0.05
    assert judged.record.metrics["ece"] == told["after"]["ece"]
    raw = SPAM.metrics(test.truth, test.scores)
    assert judged.record.metrics["roc_auc"] == pytest.approx(raw["roc_auc"], abs=2e-3)
    first = judged.rows[0]
    assert first["uncalibrated"] == pytest.approx(test.scores[0], abs=1e-6)
    assert first["score"] == pytest.approx(decision.apply(test.scores)[0], abs=1e-6)


def test_on_the_rows_of_the_fit_calibration_tells_of_rows_it_has_not_seen():
    found = rows(1)
    decision, _ = fit_choices(SPAM, found, Evaluation())
    told = decision.to_dict()["calibration"]
    here = judge(SPAM, found, decision=decision, fitted_here=True, model="m").record.calibration
    elsewhere = judge(SPAM, found, decision=decision, model="m").record.calibration
    assert (here["before"], here["after"]) == (told["before"], told["after"])
    assert here["after"] != elsewhere["after"]


def test_a_label_without_a_choice_is_told_with_its_reason():
    task = task_of("multi_label", ["cat", "dog"])
    draw = np.random.default_rng(0)
    truth = np.stack([draw.integers(0, 2, 200), np.zeros(200)], axis=1).astype(np.float64)
    names = [f"r{at}" for at in range(200)]
    found = Scored(names, [{}] * 200, truth, draw.random((200, 2)), {})
    decision, _ = fit_choices(task, found, Evaluation(calibrate=False))
    assert decision.threshold["dog"] == 0.5
    assert Decision.of(decision.to_dict()).undecided == {"dog": "no positive row"}
    record = judge(task, found, decision=decision, model="m").record
    assert record.undefined["threshold of 'dog'"] == (
        "no positive row in validation: the usual one is used"
    )
    assert "threshold of 'cat'" not in record.undefined


def test_test_rows_have_no_say_in_the_decision():
    decision, _ = fit_choices(SPAM, rows(0))
    usual = judge(SPAM, rows(1), decision=decision, model="m").record
    other = rows(1)
    turned = Scored(other.row_ids, other.inputs, 1 - other.truth, other.scores)
    found = judge(SPAM, turned, decision=decision, model="m").record
    assert (found.threshold, found.calibration["parameters"]) == (
        usual.threshold,
        usual.calibration["parameters"],
    )


def test_a_decision_comes_back_from_run_json():
    decision, _ = fit_choices(SPAM, rows(0), Evaluation(threshold_for="f2"))
    again = Decision.of(json.loads(json.dumps(decision.to_dict())))
    assert (again.threshold, again.aim) == (decision.threshold, "f2")
    scores = rows(1).scores
    assert again.apply(scores).tolist() == decision.apply(scores).tolist()


def test_a_run_json_of_an_earlier_hfpipe_has_a_threshold_and_no_calibration():
    old = Decision.of({"threshold": 0.31})
    assert (old.threshold, old.aim, old.calibrated, old.temperature) == (0.31, "f1", False, None)
    assert Decision.of({}).aim is None
    assert old.apply([0.2, 0.9]).tolist() == [0.2, 0.9]


def test_without_calibration_scores_are_those_of_the_model():
    decision, _ = fit_choices(SPAM, rows(0), Evaluation(calibrate=False))
    judged = judge(SPAM, rows(1), decision=decision, model="m")
    assert judged.record.calibration is None
    assert "uncalibrated" not in judged.rows[0]
    assert judged.rows[0]["score"] == pytest.approx(rows(1).scores[0], abs=1e-6)


def test_recall_matters_more_for_a_threshold_of_f2():
    aims = {aim: fit_choices(SPAM, rows(0), Evaluation(threshold_for=aim))[0] for aim in AIMS}
    thresholds = [aims[aim].threshold for aim in AIMS]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < thresholds[-1] - 0.1


AIMS = ("f2", "f1", "f0.5")


def test_every_metric_has_an_interval_that_holds_it_and_says_how_it_was_made():
    record = judge(SPAM, rows(1, owners=True), wanted=Evaluation(resamples=200), model="m").record
    assert set(record.intervals) == set(record.metrics)
    for name, value in record.metrics.items():
        low, high = record.intervals[name]
        assert low <= value <= high or name == "ece"  # that one is biased upwards in a resample
        assert high - low < 0.2
    assert record.interval_method == {
        "resamples": 200,
        "confidence": 0.95,
        "groups": "author",
        "seed": 0,
    }


def test_no_resamples_no_intervals():
    record = judge(SPAM, rows(1), wanted=Evaluation(resamples=0), model="m").record
    assert (record.intervals, record.interval_method, record.differences) == ({}, {}, {})


def test_the_difference_to_a_baseline_is_of_the_same_rows():
    scored = rows(1)
    draw = np.random.default_rng(2)
    weak = Guess(np.clip(scored.scores + draw.normal(size=ROWS) / 2, 0, 1), 0.5)
    same = Guess(scored.scores, 0.5)
    wanted = Evaluation(resamples=200)
    record = judge(
        SPAM,
        scored,
        decision=Decision(0.5),
        guesses={"weak": weak, "same": same},
        wanted=wanted,
        model="m",
    ).record
    found = record.differences["weak"]["roc_auc"]
    apart = record.metrics["roc_auc"] - record.baselines["weak"]["roc_auc"]
    assert found["value"] == pytest.approx(apart, abs=1e-12)
    assert 0 < found["low"] < found["value"] < found["high"]
    assert found["p"] < 0.05
    itself = record.differences["same"]["roc_auc"]
    assert (itself["value"], itself["low"], itself["high"]) == (0, 0, 0)


def test_a_slice_that_is_much_worse_is_found():
    scored = rows(1)
    rng = np.random.default_rng(3)
    odd = np.arange(ROWS) % 2 == 1
    spoilt = np.where(odd, rng.random(ROWS), scored.scores)
    worse = Scored(scored.row_ids, scored.inputs, scored.truth, spoilt, scored.slices)
    record = judge(SPAM, worse, wanted=Evaluation(resamples=0), model="m").record
    assert record.worst_slices[0]["slice"] == {"half": "odd"}
    assert record.worst_slices[0]["n"] == ROWS // 2
