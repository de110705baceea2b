"""One model beats another: paired bootstrap against a slow loop, McNemar against hand counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as sk

from hfpipe.errors import UserError
from hfpipe.metrics.intervals import intervals
from hfpipe.metrics.paired import Difference, McNemar, difference, differences, mcnemar
from hfpipe.metrics.resampling import Resamples
from hfpipe.metrics.tasks import Binary, Classification

TASK = Binary()


def two_models(rows=120, seed=0, better=0.8):
    """Truth and the scores of two models that find the same rows hard."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, rows)
    hard = generator.normal(0, 1, rows)
    first, second = (
        1 / (1 + np.exp(-(side * (2 * truth - 1) + hard + generator.normal(0, 0.3, rows))))
        for side in (better + 0.6, 0.6)
    )
    return truth, first, second


@pytest.mark.parametrize("grouped", [False, True], ids=["rows", "groups"])
def test_a_difference_equals_a_plain_loop_over_the_same_draws(grouped):
    truth, first, second = two_models(better=0.25)
    groups = np.arange(120) // 4 if grouped else None
    apart = []
    for counts in np.concatenate(list(Resamples(120, 49, 7, groups).blocks())):
        at = np.repeat(np.arange(120), counts.astype(int))
        one, two = first[at] >= 0.3, second[at] >= 0.6
        apart.append(sk.f1_score(truth[at], one) - sk.f1_score(truth[at], two))
    found = difference(TASK, truth, first, second, "f1", (0.3, 0.6), groups, resamples=49, seed=7)
    value = sk.f1_score(truth, first >= 0.3) - sk.f1_score(truth, second >= 0.6)
    assert found.value == pytest.approx(value, rel=1e-12)
    assert [found.low, found.high] == pytest.approx(np.percentile(apart, [2.5, 97.5]), rel=1e-12)
    below, above = np.sum(np.array(apart) <= 0), np.sum(np.array(apart) >= 0)
    assert found.p == pytest.approx(min(1, 2 * (min(below, above) + 1) / 50))


def test_a_model_does_not_differ_from_itself():
    truth, first, _ = two_models()
    assert difference(TASK, truth, first, first, "log_loss") == Difference(0.0, 0.0, 0.0, 1.0)


def test_the_least_p_is_that_of_the_resamples():
    truth, first, second = two_models(better=2.0)
    for resamples in (99, 999):
        found = difference(TASK, truth, first, second, "roc_auc", resamples=resamples)
        assert found.low > 0
        assert found.p == pytest.approx(2 / (resamples + 1))


def test_swapping_the_models_turns_the_sign():
    truth, first, second = two_models(better=0.2)
    there = difference(TASK, truth, first, second, "log_loss")
    back = difference(TASK, truth, second, first, "log_loss")
    assert [back.value, back.low, back.high] == pytest.approx(
        [-there.value, -there.high, -there.low], rel=1e-12
    )
    assert back.p == there.p


def test_pairing_sees_what_two_intervals_do_not():
    truth, first, second = two_models(rows=150, better=0.35)
    found = difference(TASK, truth, first, second, "log_loss")
    one, two = (
        intervals(TASK, truth, scores, metrics=["log_loss"])["log_loss"]
        for scores in (first, second)
    )
    assert one[1] > two[0]  # the two overlap
    assert found.high < 0  # and the first is better all the same
    assert found.p < 0.05
    assert found.high - found.low < 0.6 * math.hypot(np.ptp(one), np.ptp(two))


def test_several_metrics_at_once_are_those_one_by_one():
    truth, first, second = two_models()
    found = differences(TASK, truth, first, second, ["accuracy", "brier"], resamples=200)
    assert list(found) == ["accuracy", "brier"]
    assert found["brier"] == difference(TASK, truth, first, second, "brier", resamples=200)
    every = differences(TASK, truth, first, second, resamples=20)
    assert list(every) == list(TASK.metrics(truth, first))


def test_an_undefined_metric_has_no_difference():
    truth, first, second = two_models()
    found = difference(TASK, np.zeros_like(truth), first, second, "roc_auc")
    assert found == Difference(None, None, None, None)
    alone = difference(TASK, truth, first, second, "accuracy", groups=["ada"] * 120)
    assert (alone.low, alone.high, alone.p) == (None, None, None)
    assert alone.value is not None


def test_an_unknown_metric_is_named():
    truth, first, second = two_models()
    with pytest.raises(UserError, match="no metric 'rocauc'; did you mean 'roc_auc'"):
        difference(TASK, truth, first, second, "rocauc")


def test_equal_models_are_called_different_about_once_in_twenty():
    calls = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        truth = generator.integers(0, 3, 100)
        one, two = generator.dirichlet(np.ones(3), (2, 100))
        found = difference(
            Classification([*"abc"]), truth, one, two, "accuracy", resamples=99, seed=seed
        )
        calls += found.p < 0.05
    assert 1 <= calls <= 14  # 5 are expected; 4 standard errors


def rights(both, only_first, only_second, neither):
    first = [1] * both + [1] * only_first + [0] * only_second + [0] * neither
    second = [1] * both + [0] * only_first + [1] * only_second + [0] * neither
    return first, second


def test_mcnemar_of_few_rows_is_the_binomial_by_hand():
    found = mcnemar(*rights(50, 10, 2, 5))
    # 2 (C(12, 0) + C(12, 1) + C(12, 2)) / 2**12
    assert found == McNemar(10, 2, pytest.approx(2 * (1 + 12 + 66) / 4096, rel=1e-12))
    assert found.exact


@pytest.mark.parametrize("only_first", range(25))
def test_mcnemar_below_25_rows_is_scipys_binomial(only_first):
    found = mcnemar(*rights(3, only_first, 24 - only_first, 3))
    assert found.exact
    assert found.p == pytest.approx(binomtest(only_first, 24, 0.5).pvalue, rel=1e-12)


def test_mcnemar_of_many_rows_is_chi_square_by_hand():
    found = mcnemar(*rights(100, 30, 10, 20))
    assert not found.exact
    # (|30 - 10| - 1)**2 / 40 = 9.025 on one degree of freedom
    assert found.p == pytest.approx(math.erfc(math.sqrt(9.025 / 2)), rel=1e-12)
    assert found.p == pytest.approx(0.00266, abs=1e-5)
    # The first count of the chi-square: 25 rows, (|20 - 5| - 1)**2 / 25 = 7.84
    assert mcnemar(*rights(0, 20, 5, 0)).p == pytest.approx(math.erfc(math.sqrt(3.92)), rel=1e-12)


def test_mcnemar_without_a_side_to_take_is_1():
    assert mcnemar(*rights(5, 0, 0, 5)) == McNemar(0, 0, 1.0)
    assert mcnemar(*rights(0, 12, 12, 0)).p == 1.0
    assert mcnemar(*rights(0, 20, 20, 0)).p == 1.0
    assert mcnemar([], []) == McNemar(0, 0, 1.0)


def test_mcnemar_needs_the_same_rows():
    with pytest.raises(UserError, match="rows"):
        mcnemar([1, 0], [1])
