"""Metrics of resamples: as scikit-learn's with weights, as the task's own on repeated rows."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from hfpipe.metrics import weighted_ranks
from hfpipe.metrics.resampling import Block, Resamples
from hfpipe.metrics.tasks import Binary, Classification, MultiLabel, Regression
from hfpipe.metrics.weighted import measures, vectorised
from hfpipe.metrics.weighted_ranks import Rankings

EXACT = {"rel": 1e-12, "abs": 1e-12, "nan_ok": True}
THRESHOLD = 0.5
quickly = settings(max_examples=20, deadline=None)


@st.composite
def binary_cases(draw):
    """Truth, scores with ties, and weights some of which are 0; often of one class only."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = draw(st.integers(1, 40))
    steps = draw(st.sampled_from([2, 5, 1000]))
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    truth = (generator.random(rows) < share).astype(int)
    return truth, generator.integers(0, steps + 1, rows) / steps, weights_of(generator, rows)


@st.composite
def class_cases(draw):
    """Truth and probabilities of 2 to 12 classes, of which some do not occur, and weights."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    classes, rows = draw(st.integers(2, 12)), draw(st.integers(1, 40))
    steps = draw(st.sampled_from([2, 4, 1000]))
    scores = generator.integers(0, steps + 1, (rows, classes)).astype(float)
    scores[scores.sum(axis=1) == 0] = 1.0
    truth = generator.integers(0, draw(st.integers(1, classes)), rows)
    return truth, scores / scores.sum(axis=1, keepdims=True), weights_of(generator, rows)


def weights_of(generator, rows):
    weights = generator.random(rows) * (generator.random(rows) < 0.8)
    weights[generator.integers(rows)] = 1.0
    return weights


def weighted(task, truth, scores, weights, threshold=None):
    """Every fast metric for one vector of weights, and once more within a larger block."""
    found = vectorised(task, truth, scores, threshold)
    alone, among = Block(weights[None, :]), Block(np.stack([weights * 3, weights, weights + 1]))
    values = {name: float(each(alone)[0]) for name, each in found.items()}
    for name, each in found.items():
        assert each(among)[1] == pytest.approx(values[name], **EXACT), name
    return values


def silently(function, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **options)


@given(binary_cases())
@quickly
def test_binary_metrics_equal_scikit_learn_with_weights(case):
    truth, scores, weights = case
    said = (scores >= THRESHOLD).astype(int)
    found = weighted(Binary(), truth, scores, weights, THRESHOLD)
    there = {side: weights[truth == side].sum() > 0 for side in (0, 1)}
    yes = weights[said == 1].sum() > 0
    no = weights[said == 0].sum() > 0
    given = {"sample_weight": weights}
    drawn = weights > 0
    occurring = sorted({*truth[drawn], *said[drawn]})
    wanted = {
        "accuracy": sk.accuracy_score(truth, said, **given),
        "precision": silently(sk.precision_score, truth, said, **given) if yes else np.nan,
        "recall": silently(sk.recall_score, truth, said, **given) if there[1] else np.nan,
        "f1": silently(sk.f1_score, truth, said, **given) if yes or there[1] else np.nan,
        "macro_f1": silently(sk.f1_score, truth, said, labels=occurring, average="macro", **given),
        "log_loss": sk.log_loss(truth, scores, labels=[0, 1], **given),
        "brier": np.average((scores - truth) ** 2, weights=weights),
        "average_precision": (
            sk.average_precision_score(truth, scores, **given) if there[1] else np.nan
        ),
        "roc_auc": sk.roc_auc_score(truth, scores, **given) if all(there.values()) else np.nan,
        "balanced_accuracy": (
            sk.balanced_accuracy_score(truth, said, **given) if all(there.values()) else np.nan
        ),
        "mcc": (
            sk.matthews_corrcoef(truth, said, **given)
            if all(there.values()) and yes and no
            else np.nan
        ),
    }
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, **EXACT), name


@given(class_cases())
@quickly
def test_metrics_of_classes_equal_scikit_learn_with_weights(case):
    truth, scores, weights = case
    classes = scores.shape[1]
    labels, said = range(classes), np.argmax(scores, axis=1)
    found = weighted(Classification([*"abcdefghijkl"[:classes]]), truth, scores, weights)
    drawn = weights > 0
    occurring = sorted({*truth[drawn], *said[drawn]})
    given = {"sample_weight": weights}
    rates = {"f1": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score}
    wanted = {"accuracy": sk.accuracy_score(truth, said, **given)}
    for average, (name, rate) in itertools.product(("micro", "macro", "weighted"), rates.items()):
        if average == "weighted" and name != "f1":
            continue
        wanted[f"{average}_{name}"] = silently(
            rate, truth, said, labels=occurring, average=average, zero_division=0, **given
        )
    wanted["log_loss"] = sk.log_loss(truth, scores, labels=labels, **given)
    apart = ((scores - np.eye(classes)[truth]) ** 2).sum(axis=1)
    wanted["brier"] = np.average(apart, weights=weights) / (2 if classes == 2 else 1)
    wanted["balanced_accuracy"] = silently(
        sk.balanced_accuracy_score, truth[drawn], said[drawn], sample_weight=weights[drawn]
    )
    if len({*truth[drawn]}) > 1 and len({*said[drawn]}) > 1:
        wanted["mcc"] = sk.matthews_corrcoef(truth, said, **given)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, **EXACT), name


@given(class_cases(), st.integers(0, 3))
@quickly
def test_rankings_of_classes_are_means_of_scikit_learns(case, lacking):
    truth, scores, weights = case
    marks = np.eye(scores.shape[1])[truth]
    marks[:, lacking % scores.shape[1]] = 0  # one class at least has no row
    found = weighted(MultiLabel([*"abcdefghijkl"[: scores.shape[1]]]), marks, scores, weights)
    auc, average = [], []
    for mark, values in zip(marks.T, scores.T, strict=True):
        if weights[mark == 1].sum() > 0:
            average.append(sk.average_precision_score(mark, values, sample_weight=weights))
            if weights[mark == 0].sum() > 0:
                auc.append(sk.roc_auc_score(mark, values, sample_weight=weights))
    assert found["macro_roc_auc"] == pytest.approx(np.mean(auc) if auc else np.nan, **EXACT)
    assert found["macro_average_precision"] == pytest.approx(
        np.mean(average) if average else np.nan, **EXACT
    )


def test_a_block_too_large_for_memory_is_ranked_in_halves(monkeypatch):
    generator = np.random.default_rng(2)
    marks, scores = generator.integers(0, 2, (30, 4)), generator.integers(0, 9, (30, 4)) / 8
    block = Block(generator.integers(0, 3, (7, 30)).astype(float))
    whole = Rankings(marks, scores)(block)
    monkeypatch.setattr(weighted_ranks, "MOST", 100)
    halved = Rankings(marks, scores)(block)
    assert whole.roc_auc.shape == (7, 4)
    for one, two in zip(whole, halved, strict=True):
        assert one == pytest.approx(two, **EXACT)


@given(class_cases())
@quickly
def test_calibration_errors_equal_a_loop_over_bins(case):
    truth, scores, weights = case

    def error(sure, right):
        total = 0.0
        for low, high in itertools.pairwise(np.linspace(0, 1, 16)):
            inside = (sure > low) & (sure <= high) | ((low == 0) & (sure == 0))
            mass = weights[inside].sum()
            if mass:
                means = (
                    np.average(each[inside], weights=weights[inside]) for each in (sure, right)
                )
                total += mass * abs(np.subtract(*means))
        return total / weights.sum()

    classes = scores.shape[1]
    found = weighted(Classification([*"abcdefghijkl"[:classes]]), truth, scores, weights)
    right = (np.argmax(scores, axis=1) == truth).astype(float)
    assert found["ece"] == pytest.approx(error(scores.max(axis=1), right), **EXACT)
    each = [error(scores[:, at], (truth == at).astype(float)) for at in range(classes)]
    assert found["classwise_ece"] == pytest.approx(np.mean(each), **EXACT)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.sampled_from([2, 1000]))
@quickly
def test_errors_of_numbers_equal_scikit_learn_with_weights(seed, rows, steps):
    generator = np.random.default_rng(seed)
    truth, guess = generator.integers(0, steps, (2, rows)) / steps * 5
    weights = weights_of(generator, rows)
    given = {"sample_weight": weights}
    found = weighted(Regression(log1p=True), truth, guess, weights)
    for scale, one, two in (("log", truth, guess), ("raw", np.expm1(truth), np.expm1(guess))):
        squared = sk.mean_squared_error(one, two, **given)
        assert found[f"rmse_{scale}"] == pytest.approx(squared**0.5, **EXACT)
        assert found[f"mae_{scale}"] == pytest.approx(
            sk.mean_absolute_error(one, two, **given), **EXACT
        )
        if len({*one[weights > 0]}) > 1:
            assert found[f"r2_{scale}"] == pytest.approx(sk.r2_score(one, two, **given), **EXACT)
        else:
            assert np.isnan(found[f"r2_{scale}"])
    counts = generator.integers(0, 4, rows)
    counts[:2] += 1
    drawn = np.repeat(truth, counts), np.repeat(guess, counts)
    spread = silently(stats.spearmanr, *drawn).statistic
    ours = weighted(Regression(), truth, guess, counts.astype(float))["spearman"]
    assert ours == pytest.approx(spread, **EXACT)


def test_variance_beside_a_huge_target_keeps_its_digits():
    truth = np.append(np.arange(10.0), 1e12)
    guess = truth + 1.0
    weights = np.append(np.ones(10), 0.0)
    found = weighted(Regression(), truth, guess, weights)["r2_raw"]
    assert found == pytest.approx(sk.r2_score(truth[:10], guess[:10]), **EXACT)


def test_equal_targets_have_no_variance_to_explain_and_nearly_equal_ones_do():
    # 0.1 + 0.1 + 0.1 is not 3 * 0.1: the mean of the three equal targets is off by its rounding.
    found = weighted(
        Regression(), np.array([0.1, 0.1, 0.1, 0.7]), np.ones(4), np.array([1.0, 1.0, 1.0, 0.0])
    )
    assert np.isnan(found["r2_raw"])
    near = 1e9 + np.arange(4.0)
    guess = near + np.array([0.5, 0.0, 0.0, -0.5])
    found = weighted(Regression(), near, guess, np.ones(4))
    assert found["r2_raw"] == pytest.approx(0.9, **EXACT)  # 1 - 0.5 / 5


def a_case(task, generator, rows):
    """Truth and scores of a task, with ties and classes that do not occur."""
    classes = len(task.labels)
    if task.name == "regression":
        truth, guess = generator.integers(0, generator.choice([1, 2, 50]), (2, rows)) / 10
        return (truth * 1e3, guess) if task.log1p and rows % 2 else (truth, guess)
    scores = generator.integers(0, 5, (rows, classes)) / 4
    if task.name == "binary":
        return generator.integers(0, 2, rows), scores[:, 1]
    if task.name == "multi_label":
        return generator.integers(0, 2, scores.shape) * (generator.random(classes) < 0.7), scores
    scores[scores.sum(axis=1) == 0] = 1.0
    scores /= scores.sum(axis=1, keepdims=True)
    return generator.integers(0, generator.integers(1, classes + 1), rows), scores


TASKS = [
    Binary(["no", "yes"]),
    Classification(["a"]),
    Classification(["a", "b"]),
    Classification(["a", "b", "c", "d"]),
    Classification([*"abcdefghij"]),
    MultiLabel(["a", "b", "c"]),
    Regression(),
    Regression(log1p=True),
]
THRESHOLDS = {"binary": 0.25, "multi_label": {"c": 0.75, "a": 0.25, "b": 0.5}}
IDS = ["binary", "one", "two", "four", "ten", "labels", "raw", "log"]


@pytest.mark.parametrize("task", TASKS, ids=IDS)
def test_every_metric_equals_the_tasks_own_on_the_drawn_rows(task):
    """Whatever names a task has: the same numbers, and undefined where it says None."""
    generator, threshold = np.random.default_rng(5), THRESHOLDS.get(task.name)
    for rows in (1, 2, 3, 5, 8, 13, 40):
        truth, scores = a_case(task, generator, rows)
        names = list(task.metrics(truth, scores))
        assert set(names) <= set(vectorised(task, truth, scores, threshold)), "no fast form"
        counts = next(Resamples(rows, times=4, seed=rows).blocks())
        block, each = Block(counts), measures(task, truth, scores, threshold, names)
        ours = {name: each[name](block) for name in names}
        for at, row in enumerate(counts.astype(int)):
            drawn = np.repeat(np.arange(rows), row)
            for name, value in task.metrics(truth[drawn], scores[drawn], threshold).items():
                found = float(ours[name][at])
                wanted = np.nan if value is None else value
                assert found == pytest.approx(wanted, **EXACT), (name, rows)
