"""The ``evaluate.Metric`` module of every task, loaded without a network."""

from __future__ import annotations

import socket

import evaluate
import numpy as np
import pytest
from transformers import EvalPrediction

from hfpipe.errors import UserError
from hfpipe.metrics.classification import classification_metrics
from hfpipe.metrics.hub import METRIC_MODULE, METRIC_MODULES, load_metric
from hfpipe.metrics.multi_label import multi_label_metrics
from hfpipe.metrics.regression import regression_metrics
from hfpipe.metrics.tasks import TASKS, Binary, task_of
from hfpipe.training.fit import compute_metrics

DRAW = np.random.default_rng(0)
CLASSES, SCORES = np.arange(60) % 5, DRAW.dirichlet(np.ones(5), 60)
MARKS, CELLS = DRAW.integers(0, 2, (60, 3)), DRAW.random((60, 3))
YES, CHANCES = MARKS[:, 0], CELLS[:, 0]
NUMBERS, GUESSES = DRAW.random((2, 60))
WEIGHTS = DRAW.random(60)


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_args, **_options):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.mark.parametrize(
    ("task", "truth", "scores", "options", "expected"),
    [
        ("classification", CLASSES, SCORES, {}, classification_metrics(CLASSES, SCORES)),
        (
            "classification",
            CLASSES,
            SCORES,
            {"sample_weight": WEIGHTS},
            classification_metrics(CLASSES, SCORES, WEIGHTS),
        ),
        ("binary", YES, CHANCES, {}, Binary().metrics(YES, CHANCES)),
        ("binary", YES, CHANCES, {"threshold": 0.3}, Binary().metrics(YES, CHANCES, 0.3)),
        (
            "multi_label",
            MARKS,
            CELLS,
            {"threshold": [0.2, 0.5, 0.8]},
            multi_label_metrics(MARKS, CELLS, [0.2, 0.5, 0.8]),
        ),
        ("regression", NUMBERS, GUESSES, {}, regression_metrics(NUMBERS, GUESSES, log1p=False)),
        (
            "regression",
            NUMBERS,
            GUESSES,
            {"log1p": True, "sample_weight": WEIGHTS},
            regression_metrics(NUMBERS, GUESSES, weights=WEIGHTS),
        ),
    ],
)
def test_a_module_gives_the_numbers_of_its_task_without_a_network(
    offline, task, truth, scores, options, expected
):
    metric = evaluate.load(str(METRIC_MODULES[task]))
    found = metric.compute(references=truth.tolist(), predictions=scores.tolist(), **options)
    assert found == pytest.approx(expected, rel=1e-12)


def test_rows_may_be_added_one_by_one(offline):
    metric = evaluate.load(str(METRIC_MODULE))
    for row, true in zip(SCORES.tolist(), CLASSES.tolist(), strict=True):
        metric.add(prediction=row, reference=true)
    assert metric.compute() == pytest.approx(classification_metrics(CLASSES, SCORES), rel=1e-12)


def test_every_task_has_a_module_that_says_what_it_takes(offline):
    assert set(METRIC_MODULES) == set(TASKS)
    for task in TASKS:
        metric = load_metric(task)
        assert set(metric.features) == {"predictions", "references"}
        assert "None where it is not defined" in metric.inputs_description
    with pytest.raises(UserError, match="no metric module 'binry'; did you mean 'binary'"):
        load_metric("binry")


@pytest.mark.parametrize(
    ("name", "truth", "logits"),
    [
        ("classification", CLASSES, np.log(SCORES)),
        ("binary", YES, CHANCES - 0.5),
        ("multi_label", MARKS, CELLS - 0.5),
        ("regression", NUMBERS, GUESSES),
    ],
)
def test_the_trainer_reports_what_the_module_computes(name, truth, logits):
    task = task_of(name, [str(at) for at in range(np.ndim(logits) == 2 and logits.shape[1])])
    told = compute_metrics(task)(EvalPrediction(logits, truth))
    scores = task.scores(logits)
    best = task.best_threshold(truth, scores)
    levels = list(best.values()) if isinstance(best, dict) else best
    options = {} if levels is None else {"threshold": levels}
    found = load_metric(name).compute(
        references=truth.tolist(), predictions=scores.tolist(), **options
    )
    defined = {metric: value for metric, value in found.items() if value is not None}
    assert told == pytest.approx(defined, rel=1e-12)
    assert task.primary in told


def test_weighted_yes_or_no_metrics_are_those_of_rows_as_often():
    metric = load_metric("binary")
    truth, scores, often = [1, 0, 0, 1], [0.9, 0.2, 0.6, 0.4], [1, 2, 3, 2]
    weighted = metric.compute(references=truth, predictions=scores, sample_weight=often)
    metric = load_metric("binary")
    rows = metric.compute(references=np.repeat(truth, often), predictions=np.repeat(scores, often))
    assert weighted == pytest.approx(rows, rel=1e-12)
    assert weighted["accuracy"] == 3 / 8


def test_the_trainer_measures_at_the_threshold_for_the_recipes_aim():
    truth = np.array([1.0, 0, 0, 1, 0, 1])
    logits = np.array([[2.0], [1.0], [0.0], [-0.5], [-1.0], [-2.0]])
    told = EvalPrediction(predictions=logits, label_ids=truth)
    aims = ("f1", "cost=5:1", "cost=1:5")
    found = {aim: compute_metrics(task_of("binary"), aim)(told) for aim in aims}
    # Wrong yeses are dear: only the surest is one. Wrong noes are dear: all are yes.
    assert found["cost=5:1"]["precision"] == 1
    assert found["cost=5:1"]["recall"] == pytest.approx(1 / 3)
    assert found["cost=1:5"]["recall"] == 1
    assert found["f1"]["f1"] >= max(each["f1"] for each in found.values())
