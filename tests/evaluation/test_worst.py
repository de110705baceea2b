"""The worst slices: planted ones are found and named, noise gives none."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from hfpipe.errors import UserError
from hfpipe.evaluation.chance import Losses, Ranking, permutation_p
from hfpipe.evaluation.row_losses import loss_of
from hfpipe.evaluation.worst import worst_slices
from hfpipe.metrics.tasks import task_of

TOPICS = task_of("classification", ["a", "b", "c"])
BINARY = task_of("binary", ["no", "yes"])
NUMBER = task_of("regression", log1p=True)
TAGS = task_of("multi_label", ["x", "y"])
COUNT = 1500


def columns(draw, count=COUNT):
    """Columns that have nothing to do with the labels."""
    return {
        "lang": draw.choice(["en", "de", "fr", None], count, p=[0.5, 0.3, 0.15, 0.05]).tolist(),
        "size": draw.gamma(2, 3, count).tolist(),
        "source": draw.choice(["web", "mail"], count).tolist(),
        "year": draw.integers(2020, 2025, count).tolist(),
    }


def classified(draw, wrong):
    """Truth and scores of three classes, with the rows wrong that shall be."""
    truth = draw.integers(0, 3, len(wrong))
    scores = draw.dirichlet([1, 1, 1], len(wrong)) * 0.3
    scores[np.arange(len(wrong)), (truth + wrong) % 3] += 0.7
    return truth, scores


def yes_or_no(draw, noise):
    """Truth and scores; the more noise a row has, the less its score says."""
    truth = (draw.random(len(noise)) < 0.3).astype(int)
    logit = 2 * (truth - 0.5) + noise * draw.normal(size=len(noise))
    return truth, 1 / (1 + np.exp(-logit))


def numbers(draw, spread):
    truth = draw.normal(3, 1, len(spread))
    return truth, truth + spread * draw.normal(size=len(spread))


def tags(draw, share):
    truth = draw.integers(0, 2, (len(share), 2))
    wrong = draw.random(truth.shape) < share[:, None]
    return truth, np.where(truth ^ wrong, 0.8, 0.2)


MAKERS = {
    "classification": (TOPICS, lambda draw, bad: classified(draw, draw.random(COUNT) < bad)),
    "binary": (BINARY, lambda draw, bad: yes_or_no(draw, 1 + 20 * bad**2)),
    "regression": (NUMBER, lambda draw, bad: numbers(draw, 0.5 + bad)),
    "multi_label": (TAGS, lambda draw, bad: tags(draw, bad)),
}


@pytest.mark.parametrize(("task", "make"), MAKERS.values(), ids=MAKERS)
def test_a_planted_slice_is_found_and_named(task, make):
    draw = np.random.default_rng(1)
    given = columns(draw)
    french = np.array([each == "fr" for each in given["lang"]])
    truth, scores = make(draw, np.where(french, 0.5, 0.1))
    first, *rest = worst_slices(task, truth, scores, given)
    assert first["slice"] == {"lang": "fr"}
    assert (first["n"], first["p"] < 1e-4) == (french.sum(), True)
    metrics = [task.metrics(truth[rows], scores[rows]) for rows in (french, ~french)]
    assert [first["value"], first["rest"]] == [each[first["metric"]] for each in metrics]
    assert rest == []


@pytest.mark.parametrize(("task", "make"), MAKERS.values(), ids=MAKERS)
def test_noise_has_no_worst_slice(task, make):
    false = 0
    for seed in range(20):
        draw = np.random.default_rng(seed)
        truth, scores = make(draw, np.full(COUNT, 0.2))
        false += bool(worst_slices(task, truth, scores, columns(draw)))
    assert false <= 1


def test_a_pair_is_told_where_neither_of_its_values_is_bad_alone():
    draw = np.random.default_rng(2)
    given = columns(draw)
    both = (np.array(given["lang"]) == "de") & (np.array(given["source"]) == "mail")
    found = worst_slices(TOPICS, *classified(draw, draw.random(COUNT) < 0.1 + 0.4 * both), given)
    assert [each["slice"] for each in found] == [{"lang": "de", "source": "mail"}]
    assert found[0]["n"] == both.sum()
    assert found[0]["value"] == pytest.approx(0.5, abs=0.07)
    assert found[0]["rest"] == pytest.approx(0.9, abs=0.03)


def test_a_pair_within_a_bad_slice_is_not_told_beside_it():
    names = []
    for seed in range(10):
        draw = np.random.default_rng(seed)
        given = columns(draw)
        bad = np.array(given["source"]) == "mail"
        truth, scores = classified(draw, draw.random(COUNT) < 0.1 + 0.3 * bad)
        names.append([each["slice"] for each in worst_slices(TOPICS, truth, scores, given)])
    assert names.count([{"source": "mail"}]) >= 9


def test_two_bad_slices_are_told_the_worse_first():
    draw = np.random.default_rng(3)
    given = columns(draw)
    lang, source = np.array(given["lang"]), np.array(given["source"])
    share = 0.05 + 0.5 * (lang == "fr") + 0.15 * (source == "mail")
    found = worst_slices(TOPICS, *classified(draw, draw.random(COUNT) < share), given)
    assert found[0]["slice"] in ({"lang": "fr"}, {"lang": "fr", "source": "mail"})
    told = [each["slice"] for each in found]
    assert told.index({"lang": "fr"}) < told.index({"source": "mail"})
    assert (
        len(worst_slices(TOPICS, *classified(draw, draw.random(COUNT) < share), given, most=1)) == 1
    )


def test_many_numbers_are_named_by_their_bins_and_what_is_missing_too():
    draw = np.random.default_rng(4)
    size = draw.gamma(2, 3, COUNT)
    cut = np.quantile(size, 0.75)
    found = worst_slices(
        TOPICS, *classified(draw, draw.random(COUNT) < 0.1 + 0.4 * (size > cut)), {"size": size}
    )
    ((name, value),) = found[0]["slice"].items()
    assert name == "size"
    assert float(value.removeprefix("> ")) == pytest.approx(cut, rel=0.01)
    gone = [None if at % 5 == 0 else "there" for at in range(COUNT)]
    wrong = draw.random(COUNT) < np.where([each is None for each in gone], 0.5, 0.1)
    found = worst_slices(TOPICS, *classified(draw, wrong), {"note": gone, "again": gone})
    assert [each["slice"] for each in found] == [{"note": "(missing)"}], "the same rows once"


def test_few_rows_are_no_slice():
    draw = np.random.default_rng(5)
    rare = ["rare"] * 29 + ["often"] * 371
    truth, scores = classified(draw, np.arange(400) < 29)
    assert worst_slices(TOPICS, truth, scores, {"kind": rare}) == []
    (found,) = worst_slices(TOPICS, truth, scores, {"kind": rare}, support=20)
    assert (found["slice"], found["n"], found["value"]) == ({"kind": "rare"}, 29, 0.0)
    many = classified(draw, np.arange(4000) < 79)
    assert worst_slices(TOPICS, *many, {"kind": ["rare"] * 79 + ["often"] * 3921}) == []


def test_a_metric_that_needs_both_classes_is_not_told_of_one():
    draw = np.random.default_rng(6)
    truth = np.array([0] * 300 + [1, 0] * 350)
    scores = np.where(np.arange(1000) < 300, 0.9, 0.3 + 0.4 * truth + draw.normal(0, 0.1, 1000))
    scores = scores.clip(0, 1)
    side = ["left"] * 300 + ["right"] * 700
    assert worst_slices(BINARY, truth, scores, {"side": side}) == []
    (found,) = worst_slices(BINARY, truth, scores, {"side": side}, metric="log_loss")
    assert (found["slice"], found["metric"]) == ({"side": "left"}, "log_loss")
    assert found["value"] > found["rest"], "the lower the better"


def test_more_positive_rows_alone_make_no_slice_worse():
    draw = np.random.default_rng(7)
    rich = np.arange(4000) % 4 == 0
    truth = (draw.random(4000) < np.where(rich, 0.5, 0.1)).astype(int)
    scores = 1 / (1 + np.exp(-(2 * truth - 2 + draw.normal(size=4000))))
    given = {"kind": np.where(rich, "rich", "poor").tolist()}
    assert worst_slices(BINARY, truth, scores, given) == []


def test_rows_without_a_label_do_not_count():
    draw = np.random.default_rng(8)
    given = columns(draw)
    wrong = draw.random(COUNT) < np.where(np.array(given["source"]) == "web", 0.4, 0.1)
    truth, scores = classified(draw, wrong)
    truth[::2] = -1
    (found,) = worst_slices(TOPICS, truth, scores, given)
    assert found["n"] == (np.array(given["source"])[1::2] == "web").sum()
    assert worst_slices(TOPICS, np.full(COUNT, -1), scores, given) == []


def test_rows_of_few_groups_that_err_together_are_no_evidence():
    found = {True: 0, False: 0}
    for seed in range(20):
        draw = np.random.default_rng(seed)
        owner = draw.integers(0, 40, COUNT)
        bad = draw.random(40) < 0.3
        truth, scores = classified(draw, bad[owner])
        given = {"kind": np.array(["a", "b", "c", "d"])[draw.integers(0, 4, 40)[owner]].tolist()}
        for known in found:
            groups = owner.astype(str).tolist() if known else None
            found[known] += bool(worst_slices(TOPICS, truth, scores, given, groups=groups))
    assert found[True] <= 1
    assert found[False] >= 15, "by rows alone it would look certain"


def test_groups_do_not_hide_a_slice_that_is_bad_in_all_of_them():
    draw = np.random.default_rng(9)
    given = columns(draw)
    wrong = draw.random(COUNT) < np.where(np.array(given["source"]) == "web", 0.4, 0.1)
    groups = [str(at % 100) for at in range(COUNT)]
    (found,) = worst_slices(TOPICS, *classified(draw, wrong), given, groups=groups)
    assert found["slice"] == {"source": "web"}


def test_chances_of_errors_are_exact_and_those_of_numbers_near_the_permutations():
    draw = np.random.default_rng(10)
    errors = (draw.random(300) < 0.2).astype(float)
    wanted = stats.fisher_exact(
        [[12, 28], [errors.sum() - 12, 300 - 40 - (errors.sum() - 12)]], alternative="greater"
    ).pvalue
    assert permutation_p(errors, [40], [12.0])[0] == pytest.approx(wanted, rel=1e-9)
    losses = draw.exponential(size=300) ** 2
    drawn = np.array([draw.permutation(losses)[:40].sum() for _ in range(20_000)])
    for share in (0.5, 0.9, 0.99):
        height = np.quantile(drawn, share)
        assert permutation_p(losses, [40], [height])[0] == pytest.approx(1 - share, rel=0.25)
    far = permutation_p(losses, [40], [np.quantile(drawn, 0.999)])[0]
    assert 0.0005 < far < 0.005, "far out it errs to the careful side"
    assert permutation_p(np.ones(50) * 0.3, [10], [3.0]).tolist() == [1.0]


def test_a_group_each_is_a_plain_test_and_one_group_says_nothing():
    draw = np.random.default_rng(11)
    losses, everything = draw.normal(size=400), np.ones(400, bool)
    rows = np.arange(400) < 150
    losses[rows] += 0.2
    wanted = stats.ttest_ind(losses[rows], losses[~rows], equal_var=False, alternative="greater")
    found = Losses(losses)
    assert found.group_p(rows, everything, np.arange(400)) == pytest.approx(wanted.pvalue, rel=0.1)
    assert found.group_p(rows, everything, (~rows).astype(int)) == 1.0


def test_chances_of_areas_are_those_of_drawing_again():
    draw = np.random.default_rng(12)
    truth, scores = yes_or_no(draw, np.ones(1200))
    scores = scores.round(2)
    rows = np.arange(1200) < 200
    found = Ranking(truth == 1, np.unique(scores, return_inverse=True)[1])
    areas = [roc_auc_score(truth[side], scores[side]) for side in (rows, ~rows)]
    assert found.difference(rows, rows | True) == pytest.approx(areas[1] - areas[0])
    (chance,), (gap,) = found.tests(np.where(rows, 0, -1), np.array([0]), rows | True)
    error = (found.difference(rows, rows | True) - gap) / stats.norm.isf(0.05)
    drawn = []
    for _ in range(80):
        again = [draw.choice(np.flatnonzero(side), side.sum()) for side in (rows, ~rows)]
        drawn.append(np.diff([roc_auc_score(truth[each], scores[each]) for each in again])[0])
    assert np.std(drawn) == pytest.approx(error, rel=0.25)
    assert chance == pytest.approx(stats.norm.sf((areas[1] - areas[0]) / error))
    # Each row a group: the same error.
    alone = found.group_p(rows, rows | True, np.arange(1200))
    assert alone == pytest.approx(chance, rel=0.3)


def test_the_loss_of_a_row_adds_up_to_the_metric():
    draw = np.random.default_rng(12)
    truth, scores = yes_or_no(draw, np.ones(500))
    told = BINARY.metrics(truth, scores, 0.4)
    for name in ("log_loss", "brier"):
        assert loss_of(BINARY, name)(BINARY, truth, scores, 0.4).mean() == pytest.approx(told[name])
    wrong = loss_of(BINARY, "f1")(BINARY, truth, scores, 0.4)
    assert 1 - wrong.mean() == pytest.approx(told["accuracy"])
    truth, scores = classified(draw, draw.random(500) < 0.3)
    told = TOPICS.metrics(truth, scores)
    for name in ("log_loss", "brier"):
        assert loss_of(TOPICS, name)(TOPICS, truth, scores, None).mean() == pytest.approx(
            told[name]
        )
    missed = loss_of(TOPICS, "top_2_accuracy")(TOPICS, truth, scores, None)
    assert 1 - missed.mean() == pytest.approx(told["top_2_accuracy"])
    truth, scores = numbers(draw, np.ones(500))
    told = NUMBER.metrics(truth, scores)
    for name, power in (("rmse_log", 0.5), ("mae_log", 1), ("rmse_raw", 0.5), ("mae_raw", 1)):
        mean = loss_of(NUMBER, name)(NUMBER, truth, scores, None).mean()
        assert mean**power == pytest.approx(told[name])
    truth, scores = tags(draw, np.full(500, 0.2))
    told = TAGS.metrics(truth, scores)
    cells = loss_of(TAGS, "hamming_loss")(TAGS, truth, scores, None)
    assert cells.mean() == pytest.approx(told["hamming_loss"])
    assert 1 - loss_of(TAGS, "accuracy")(TAGS, truth, scores, None).mean() == pytest.approx(
        told["accuracy"]
    )


def test_what_cannot_be_is_told():
    truth, scores = classified(np.random.default_rng(0), np.zeros(50, int))
    with pytest.raises(UserError, match="no metric 'acuracy' of a classification; did you mean"):
        worst_slices(TOPICS, truth, scores, {}, metric="acuracy")
    with pytest.raises(ValueError, match="lang has 3 rows, and there are 50 scores"):
        worst_slices(TOPICS, truth, scores, {"lang": ["en"] * 3})
    assert worst_slices(TOPICS, truth, scores, {}) == []


def test_many_rows_and_columns_take_no_time():
    draw = np.random.default_rng(13)
    given = columns(draw, 4000) | {"n": draw.normal(size=4000), "k": draw.integers(0, 15, 4000)}
    truth, scores = classified(draw, draw.random(4000) < 0.2)
    start = time.process_time()
    worst_slices(TOPICS, truth, scores, given)
    assert time.process_time() - start < 1
