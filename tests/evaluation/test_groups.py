"""A profile's record: slices of groups, and no metric of probabilities where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from hfpipe.blocks import Evaluation
from hfpipe.errors import UserError
from hfpipe.evaluation.baselines import Guess
from hfpipe.evaluation.decisions import Decision
from hfpipe.evaluation.groups import group_slices, one_a_group
from hfpipe.evaluation.judging import Judged, judge
from hfpipe.evaluation.profiles import ProfileChoice, Scored
from hfpipe.metrics.tasks import task_of

YES_OR_NO = task_of("binary", ["no", "yes"])
REASON = "votes in all, v / (v + 1), are no probability"
OF_PROBABILITIES = ("log_loss", "brier", "ece")
GROUPS = list("abcabcddb")
ROWS = Scored(
    [str(at) for at in range(9)],
    [{}] * 9,
    np.array([1.0, 0, 1, 1, 0, 1, 0, 0, 0]),
    np.array([0.9, 0.6, 0.8, 0.2, 0.1, 0.7, 0.3, 0.4, 0.2]),
    {"lang": ["en", "de", "en", "en", "de", "en", None, float("nan"), "de"]},
    groups=GROUPS,
)
LANG = Evaluation(slices=["lang"], group_by="author", resamples=0)


def judged(
    aggregation: str, wanted: Evaluation = LANG, rows: Scored = ROWS, **more: Guess
) -> Judged:
    choice = ProfileChoice("author", aggregation, 0.5, {aggregation: 0.5})
    return judge(
        YES_OR_NO,
        rows,
        decision=Decision(0.5, "f1"),
        choice=choice,
        guesses=more,
        wanted=wanted,
        model="ada/m",
    )


def test_slices_are_of_groups():
    found = judged("mean").record.slices
    # The means of a, b, c and d are .55, .3, .75 and .35; a and c are positive.
    told = {name: (each["n"], each["accuracy"]) for name, each in found["lang"].items()}
    assert told == {"en": (2, 1.0), "(missing)": (1, 1.0), "de": (1, 1.0)}
    assert found["lang"]["en"]["brier"] == pytest.approx((0.45**2 + 0.25**2) / 2)
    assert found["lang"]["de"]["log_loss"] == pytest.approx(-np.log(0.7))


def test_groups_are_told_apart_by_their_size():
    rows = Scored(
        [str(at) for at in range(10)],
        [{}] * 10,
        np.array([1.0] + [0.0] * 2 + [1.0] * 7),
        np.linspace(0.1, 0.9, 10),
        {"length of text": ["short"] * 9 + ["long"]},  # of rows: it says nothing of a group
        groups=list("abbccccccc"),
    )
    record = judged("mean", Evaluation(group_by="author", resamples=0), rows).record
    assert list(record.slices) == ["rows of the group", "aggregation"]
    sizes = record.slices["rows of the group"]
    assert {name: each["n"] for name, each in sizes.items()} == {"1": 1, "2-5": 1, "6-20": 1}
    plain = Evaluation(group_by="author", automatic_slices=False, resamples=0)
    assert list(judged("mean", plain, rows).record.slices) == ["aggregation"]
    assert group_slices(ROWS, Evaluation()) == {}  # all of them have two or three


def test_a_column_that_varies_within_a_group_is_named():
    with pytest.raises(UserError, match=r"test: column 'lang' varies within group 'b' \('de' and "):
        one_a_group(["en", "de", "fr"], ["a", "b", "b"], "lang", "test")
    with pytest.raises(UserError, match=r"'lang'.*'a' \('\(missing\)' and 'en'\)"):
        one_a_group([" ", "de", "en"], ["a", "b", "a"], "lang")
    assert one_a_group([None, "de", " "], ["a", "b", "a"], "lang") == [None, "de"]


def test_a_column_of_groups_that_fail_is_found():
    random = np.random.default_rng(0)
    truth = np.arange(300) % 2
    failing = np.arange(300) % 3 == 0
    scores = np.clip(truth + random.normal(size=300) / 5, 0, 1)
    scores[failing] = random.random(failing.sum())
    rows = Scored(
        [str(at) for at in range(600)],
        [{}] * 600,
        np.tile(truth, 2).astype(float),
        np.tile(scores, 2),
        {"lang": ["fr" if each else "en" for each in failing] * 2},
        groups=[f"a{at}" for at in range(300)] * 2,
    )
    (worst,) = judged("mean", LANG, rows).record.worst_slices
    assert (worst["slice"], worst["n"], worst["metric"]) == ({"lang": "fr"}, 100, "roc_auc")
    assert worst["value"] < 0.65 < 0.99 < worst["rest"]


def test_votes_in_all_are_no_probabilities():
    guess = Guess(np.full(4, 0.5))
    wanted = Evaluation(slices=["lang"], group_by="author", resamples=60)
    record = judged("total_vote", wanted, majority=guess).record
    # One vote of a, one of b, two of c: v / (v + 1).
    said = [row["score"] for row in judged("total_vote").rows]
    assert said == pytest.approx([0.5, 0.5, 2 / 3, 0], abs=1e-6)
    for name in OF_PROBABILITIES:
        assert record.metrics[name] is None
        assert record.intervals[name] is None
        assert record.undefined[name] == REASON
        assert {each[name] for each in record.slices["lang"].values()} == {None}
    assert record.metrics["roc_auc"] == pytest.approx(0.875)
    assert record.intervals["accuracy"] is not None
    assert record.baselines["majority"]["brier"] == 0.25  # that is one
    assert record.differences["majority"]["roc_auc"]["value"] == pytest.approx(0.375)
    assert record.slices["aggregation"]["total_vote"]["brier"] is None


@pytest.mark.parametrize("aggregation", ["mean", "median", "mean_vote"])
def test_the_other_aggregations_keep_their_metrics(aggregation):
    record = judged(aggregation).record
    assert None not in [record.metrics[name] for name in OF_PROBABILITIES]
    assert not set(OF_PROBABILITIES) & set(record.undefined)


def test_without_a_labelled_group_the_reason_is_that_there_are_none():
    blank = Scored(["1"], [{}], np.array([np.nan]), np.array([0.4]), groups=["a"])
    record = judged("total_vote", Evaluation(group_by="author"), blank).record
    assert {record.undefined[name] for name in OF_PROBABILITIES} == {"no rows"}
