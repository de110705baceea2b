"""Aggregations of sequences to authors against a loop over the authors."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfpipe.errors import UserError
from hfpipe.metrics.aggregation import AGGREGATIONS, aggregate_scores, compare_aggregations
from hfpipe.metrics.binary import binary_metrics

ROWS = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0])), max_size=40
)


@given(ROWS, st.sampled_from([0.2, 0.5, 0.6]))
@settings(max_examples=100, deadline=None)
def test_every_aggregation_equals_a_loop_over_the_groups(rows, threshold):
    groups, scores = [row[0] for row in rows], [row[1] for row in rows]
    names, found = aggregate_scores(scores, groups, threshold)
    assert names.tolist() == sorted(set(groups))
    for index, name in enumerate(names.tolist()):
        own = [score for group, score in rows if group == name]
        votes = [score >= threshold for score in own]
        expected = {
            "mean": statistics.fmean(own),
            "median": statistics.median(own),
            "mean_vote": sum(votes) / len(votes),
            "total_vote": sum(votes) / (sum(votes) + 1),
        }
        ours = {how: values[index] for how, values in found.items()}
        assert ours == pytest.approx(expected, rel=1e-12)
    assert set(found) == set(AGGREGATIONS)


def test_the_comparison_is_of_groups_each_at_its_own_decision():
    truth = [1, 1, 1, 0, 0, 1]
    scores = [0.9, 0.1, 0.2, 0.3, 0.2, 0.8]
    groups = ["a", "a", "a", "b", "b", "c"]
    found = compare_aggregations(truth, scores, groups)
    assert {name: row["recall"] for name, row in found.items()} == {
        "mean": 0.5,
        "median": 0.5,
        "mean_vote": 0.5,
        "total_vote": 1.0,
    }
    assert found["total_vote"]["threshold"] == 0.5
    assert found["total_vote"]["roc_auc"] == 1.0
    assert (found["total_vote"]["log_loss"], found["total_vote"]["brier"]) == (None, None)
    assert found["mean_vote"]["brier"] is not None
    tuned = compare_aggregations(truth, scores, groups, decisions={"mean": 0.35})
    expected = binary_metrics([1, 0, 1], [0.4, 0.25, 0.8], 0.35)
    assert tuned["mean"] == pytest.approx(expected | {"threshold": 0.35})


def test_a_group_of_two_classes_and_other_lengths_are_refused():
    with pytest.raises(UserError, match="group 'a' has sequences of more than one class"):
        compare_aggregations([0, 1], [0.2, 0.3], ["a", "a"])
    with pytest.raises(UserError, match="scores but"):
        aggregate_scores([0.2, 0.3], np.array(["a"]))
    with pytest.raises(UserError, match="true classes but"):
        compare_aggregations([0], [0.2, 0.3], ["a", "a"])
