"""Bootstrap intervals: against a slow loop over the same draws; how often they hold the truth."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import bootstrap, norm
from sklearn import metrics as sk

from hfpipe.errors import UserError
from hfpipe.metrics.intervals import intervals
from hfpipe.metrics.resampling import Resamples
from hfpipe.metrics.tasks import Binary, Classification, Regression
from hfpipe.metrics.weighted import vectorised


def yes_or_no(rows, seed=0, apart=1.0):
    """Truth and probabilities whose accuracy and ROC AUC are known; see the coverage test."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, rows)
    return truth, expit(generator.normal(np.where(truth, apart, -apart)))


def looped(truth, scores, metric, **drawn):
    """The interval of a metric by the obvious loop over the same draws, corrected by SciPy."""
    draws = Resamples(len(truth), **drawn)
    units = [np.flatnonzero(draws.codes == unit) for unit in range(draws.units)]

    def of_units(chosen):
        rows = np.concatenate([units[unit] for unit in chosen])
        return metric(truth[rows], scores[rows])

    firsts = [rows[0] for rows in units]
    values = [
        of_units(np.repeat(np.arange(draws.units), counts[firsts].astype(int)))
        for counts in np.concatenate(list(draws.blocks()))
    ]
    found = bootstrap(
        (np.arange(draws.units),),
        of_units,
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=np.array(values)),
        method="BCa",
        vectorized=False,
    ).confidence_interval
    return [found.low, found.high]


PLAIN = {
    "accuracy": lambda truth, scores: sk.accuracy_score(truth, scores >= 0.4),
    "f1": lambda truth, scores: sk.f1_score(truth, scores >= 0.4),
    "mcc": lambda truth, scores: sk.matthews_corrcoef(truth, scores >= 0.4),
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
}


@pytest.mark.parametrize("grouped", [False, True], ids=["rows", "groups"])
def test_intervals_equal_a_plain_loop_over_the_same_draws(grouped):
    truth, scores = yes_or_no(80)
    scores = scores.round(1)  # ties
    groups = [f"author {row % 17}" for row in range(80)] if grouped else None
    found = intervals(Binary(), truth, scores, 0.4, groups, resamples=40, seed=3)
    for name, metric in PLAIN.items():
        wanted = looped(truth, scores, metric, times=40, seed=3, groups=groups)
        assert found[name] == pytest.approx(wanted, rel=1e-12, abs=1e-12), name
    assert list(found) == list(Binary().metrics(truth, scores))


def test_intervals_of_classes_equal_a_plain_loop():
    generator = np.random.default_rng(1)
    scores = generator.dirichlet(np.ones(5), 120)
    truth = np.where(generator.random(120) < 0.6, scores.argmax(axis=1), 3)
    found = intervals(Classification([*"abcde"]), truth, scores, resamples=40, seed=8)

    def macro_f1(truth, scores):
        return sk.f1_score(truth, scores.argmax(axis=1), average="macro")

    wanted = looped(truth, scores, macro_f1, times=40, seed=8)
    assert found["macro_f1"] == pytest.approx(wanted, rel=1e-12)
    assert found["macro_f1"][0] < macro_f1(truth, scores) < found["macro_f1"][1]


def test_many_rows_have_plain_percentiles():
    truth, scores = yes_or_no(600)
    found = intervals(Binary(), truth, scores, resamples=40, metrics=["accuracy"])["accuracy"]
    right = (scores >= 0.5) == truth
    counts = np.concatenate(list(Resamples(600, times=40).blocks()))
    assert found == pytest.approx(np.percentile(counts @ right / 600, [2.5, 97.5]), rel=1e-12)


@pytest.mark.parametrize("rows", [60, 600])
def test_a_metric_that_resampling_shifts_may_be_off_by_as_much_or_not_at_all(rows):
    truth = np.arange(rows) % 2
    scores = 0.5 + np.linspace(-0.05, 0.05, rows)  # chance gaps in its bins only
    found = intervals(Binary(), truth, scores, resamples=200, metrics=["ece"])["ece"]
    value = Binary().metrics(truth, scores)["ece"]
    ece = [
        Binary().metrics(np.repeat(truth, drawn), np.repeat(scores, drawn))["ece"]
        for drawn in np.concatenate(list(Resamples(rows, times=200).blocks())).astype(int)
    ]
    assert np.mean(np.array(ece) > value) > 0.75
    high = np.percentile(ece, 97.5)
    assert high > value
    assert found == pytest.approx([max(0, 2 * value - high), high], rel=1e-9)


def test_few_rows_are_covered_where_percentiles_are_too_narrow():
    # 1,500 repeats are in docs/uncertainty.md; percentiles hold 88 % of the ROC AUCs of 30 rows.
    assert coverage(repeats=300, rows=30, resamples=200)["roc_auc"] >= 0.905


def test_a_seed_gives_the_same_intervals_and_another_seed_others():
    truth, scores = yes_or_no(60)
    once, again, other = (intervals(Binary(), truth, scores, seed=seed) for seed in (4, 4, 5))
    assert once == again
    assert once["roc_auc"] != other["roc_auc"]


def test_counts_do_not_depend_on_the_size_of_blocks():
    draws = Resamples(37, times=50, seed=3, groups=[row % 9 for row in range(37)])
    whole, pieces = (np.concatenate(list(draws.blocks(cells))) for cells in (10**6, 100))
    assert whole.shape == (50, 37)
    assert (whole == pieces).all()


def test_draws_are_uniform_over_rows():
    counts = np.concatenate(list(Resamples(20, times=5000).blocks()))
    assert (counts.sum(axis=1) == 20).all()
    # Binomial(20, 1/20) a row and resample: mean 1, variance 0.95; four standard errors.
    assert counts.mean(axis=0) == pytest.approx(np.ones(20), abs=4 * (0.95 / 5000) ** 0.5)
    assert counts.var(axis=0) == pytest.approx(np.full(20, 0.95), rel=0.15)


def test_groups_of_one_row_each_are_rows():
    truth, scores = yes_or_no(60)
    alone = intervals(Binary(), truth, scores)
    assert (
        intervals(Binary(), truth, scores, groups=[f"author {row}" for row in range(60)]) == alone
    )


def test_repeating_every_row_in_its_group_makes_nothing_surer():
    truth, scores = yes_or_no(50)
    names = ["accuracy", "roc_auc", "average_precision", "log_loss"]
    once = intervals(Binary(), truth, scores, metrics=names)
    five, owners = np.repeat(np.arange(50), 5), np.repeat([f"author {n}" for n in range(50)], 5)
    grouped = intervals(Binary(), truth[five], scores[five], groups=owners, metrics=names)
    fooled = intervals(Binary(), truth[five], scores[five], metrics=names)
    for name in names:
        assert grouped[name] == pytest.approx(once[name], rel=1e-12), name
        assert np.ptp(fooled[name]) < 0.6 * np.ptp(once[name]), name


def test_what_most_resamples_leave_undefined_has_no_interval():
    truth = np.array([1] + [0] * 59)  # (1 - 1/60)**60 = 36 % of the resamples have no positive row
    scores = np.linspace(1, 0, 60)
    found = intervals(Binary(), truth, scores, 0.5)
    assert found["roc_auc"] is None
    assert found["recall"] is None
    assert found["precision"] is not None
    truth[:5] = 1  # (1 - 5/60)**60 = 0.5 %: left out
    found = intervals(Binary(), truth, scores, 0.5)
    assert found["roc_auc"] == [1.0, 1.0]
    one_class = intervals(Binary(), np.zeros(60, int), scores)
    assert one_class["roc_auc"] is None
    assert one_class["accuracy"] is not None


@pytest.mark.parametrize("rows", [0, 1])
def test_of_fewer_than_two_rows_nothing_is_known(rows):
    found = intervals(Regression(), np.ones(rows), np.zeros(rows))
    assert found == dict.fromkeys(["rmse_raw", "mae_raw", "r2_raw", "spearman"])


def test_of_one_group_nothing_is_known():
    truth, scores = yes_or_no(30)
    assert set(intervals(Binary(), truth, scores, groups=["ada"] * 30).values()) == {None}


def test_a_lower_confidence_is_narrower_and_inside():
    truth, scores = yes_or_no(60)
    wide, narrow = (
        intervals(Binary(), truth, scores, confidence=share, metrics=["log_loss"])["log_loss"]
        for share in (0.95, 0.5)
    )
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


class WithSpecificity(Binary):
    """A task with a metric that nobody wrote a fast form for."""

    def metrics(self, truth, scores, threshold=None):
        said = self.choices(scores, threshold)
        negatives = np.asarray(truth) == 0
        share = float((said[negatives] == 0).mean()) if negatives.any() else None
        return super().metrics(truth, scores, threshold) | {"specificity": share}


def test_a_metric_without_a_fast_form_has_an_interval_all_the_same():
    truth, scores = yes_or_no(40)
    task = WithSpecificity()
    assert "specificity" not in vectorised(task, truth, scores)
    found = intervals(task, truth, scores, resamples=50, metrics=["specificity", "accuracy"])

    def specificity(truth, scores):
        return sk.recall_score(truth, scores >= 0.5, pos_label=0)

    wanted = looped(truth, scores, specificity, times=50)
    assert found["specificity"] == pytest.approx(wanted, rel=1e-12)
    assert list(found) == ["specificity", "accuracy"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"metrics": ["acuracy"]}, "no metric 'acuracy'; did you mean 'accuracy'"),
        ({"confidence": 95}, "confidence 95: it must be between 0 and 1"),
        ({"resamples": 0}, "0 resamples: there must be at least 1"),
        ({"groups": ["ada"]}, "1 groups but 30 rows"),
    ],
    ids=["metric", "confidence", "resamples", "groups"],
)
def test_mistakes_are_named(wrong, message):
    truth, scores = yes_or_no(30)
    with pytest.raises(UserError) as caught:
        intervals(Binary(), truth, scores, **wrong)
    assert message in str(caught.value)


def of_authors(authors, seed):
    """The same rows by authors of 1 to 7 rows each, half of whose noise is the author's own."""
    generator = np.random.default_rng(seed)
    owner = np.repeat(np.arange(authors), generator.integers(1, 8, authors))
    own = generator.normal(0, 0.5**0.5, authors)[owner]
    truth = generator.integers(0, 2, len(owner))
    noise = own + generator.normal(0, 0.5**0.5, len(owner))
    return truth, expit(np.where(truth, 1, -1) + noise), owner


def coverage(repeats, rows, resamples, grouped=False):
    """How often the intervals of accuracy and ROC AUC hold the known values.

    Scores of positive rows are normal around 1, of others around -1: the accuracy at 0 is
    Phi(1) and the ROC AUC Phi(2 / sqrt 2). ``rows`` are authors where it is grouped.
    """
    known = {"accuracy": norm.cdf(1), "roc_auc": norm.cdf(2**0.5)}
    held = dict.fromkeys(known, 0)
    for seed in range(repeats):
        truth, scores, owner = of_authors(rows, seed) if grouped else (*yes_or_no(rows, seed), None)
        found = intervals(
            Binary(), truth, scores, groups=owner, resamples=resamples, seed=seed, metrics=known
        )
        for name, value in known.items():
            low, high = found[name]
            held[name] += low <= value <= high
    return {name: count / repeats for name, count in held.items()}


@pytest.mark.parametrize("grouped", [False, True], ids=["rows", "authors"])
def test_about_95_of_100_intervals_hold_the_true_value(grouped):
    # A larger run is in docs/uncertainty.md; here one standard error is 1.3 %.
    for name, share in coverage(300, 100, 200, grouped).items():
        assert 0.9 <= share <= 0.985, name


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(5, 520), digits=st.integers(1, 4))
def test_an_interval_holds_the_metric_itself_and_stays_in_its_range(seed, rows, digits):
    truth, scores = yes_or_no(rows, seed, apart=seed % 3)
    scores = scores.round(digits)
    found = intervals(Binary(), truth, scores, resamples=60, seed=seed)
    for name, value in Binary().metrics(truth, scores).items():
        if value is None or found[name] is None:
            continue
        low, high = found[name]
        assert low - 1e-12 <= value <= high + 1e-12, name
        assert low >= (-1 if name == "mcc" else 0) - 1e-12, name
        assert high <= 1 + 1e-12 or name == "log_loss", name
