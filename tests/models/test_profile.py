"""The four aggregations, against a loop over authors and against those of the metrics."""

from __future__ import annotations

import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hfpipe.errors import UserError
from hfpipe.metrics import aggregation as metrics
from hfpipe.models.profile import AGGREGATIONS, ProfileModel, aggregate, aggregate_all
from tests.models.support import CASES, batch_of

# Few values, so that ties and probabilities equal to the threshold are common.
PROBABILITY = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.75, 0.9, 1.0])


def slowly(authors: list[list[float]], threshold: float) -> dict[str, list[float]]:
    votes = [[float(each >= threshold) for each in author] for author in authors]
    return {
        "mean": [statistics.fmean(author) for author in authors],
        "median": [statistics.median(author) for author in authors],
        "mean_vote": [statistics.fmean(each) for each in votes],
        "total_vote": [sum(each) / (sum(each) + 1) for each in votes],
    }


@given(
    authors=st.lists(st.lists(PROBABILITY, min_size=1, max_size=7), min_size=1, max_size=6),
    threshold=st.sampled_from([0.0, 0.5, 0.75]),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_aggregations_are_those_of_a_loop(authors, threshold):
    flat = torch.tensor([each for author in authors for each in author], dtype=torch.float64)
    counts = torch.tensor([len(author) for author in authors])
    found = aggregate_all(flat, counts, threshold)
    expected = slowly(authors, threshold)
    assert list(found) == list(AGGREGATIONS) == list(expected)
    owners = torch.repeat_interleave(torch.arange(len(counts)), counts)
    names, measured = metrics.aggregate_scores(flat.numpy(), owners.numpy(), threshold)
    assert (names.tolist(), list(measured)) == (list(range(len(counts))), list(found))
    for method in AGGREGATIONS:
        assert found[method].tolist() == pytest.approx(expected[method], abs=1e-12)
        assert found[method].tolist() == pytest.approx(measured[method].tolist(), abs=1e-12)
        assert torch.equal(aggregate(flat, counts, method, threshold), found[method])


def grouped(model: ProfileModel, counts: list[int]) -> dict:
    batch = batch_of(model.config, sum(counts))
    batch["messages"]["counts"] = torch.tensor(counts)
    return batch


@pytest.mark.parametrize("method", AGGREGATIONS)
def test_logits_are_those_of_the_aggregated_sequences(method):
    model = CASES["profile"].make(aggregation=method, threshold=0.45)
    batch = grouped(model, [3, 1, 4])
    found = model(batch)
    alone = model.sequence(batch).logits[:, 0].sigmoid()
    torch.testing.assert_close(found.extras["sequence_probabilities"], alone)
    scores = aggregate(alone, torch.tensor([3, 1, 4]), method, 0.45)
    torch.testing.assert_close(found.logits[:, 0].sigmoid(), scores, atol=1e-6, rtol=0)


def test_all_four_scores_come_from_one_pass():
    model = CASES["profile"].make()
    batch = grouped(model, [2, 5])
    extras = model(batch).extras
    scores = aggregate_all(extras["sequence_probabilities"], extras["counts"])
    for method in AGGREGATIONS:
        model.config.aggregation = method
        torch.testing.assert_close(
            model(batch).logits[:, 0].sigmoid(), scores[method], atol=1e-6, rtol=0
        )


def test_a_profile_is_made_of_a_trained_sequence_model(tmp_path):
    sequence = CASES["sequence"].make(seed=5)
    sequence.save_pretrained(tmp_path)
    for source in (sequence, tmp_path):
        profile = ProfileModel.from_sequence(source, aggregation="median").eval()
        batch = grouped(profile, [1, 1])
        torch.testing.assert_close(profile(batch).logits, sequence(batch).logits, atol=1e-4, rtol=0)
    CASES["metadata_mlp"].make().save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match="not of a hfpipe-concat-mlp one"):
        ProfileModel.from_sequence(tmp_path / "other")


def test_what_cannot_be_aggregated_is_refused():
    half = torch.tensor([0.5, 0.5])
    with pytest.raises(UserError, match="did you mean 'median'"):
        aggregate(half, torch.tensor([2]), "medain")
    with pytest.raises(UserError, match="sum up to 3, not to 2"):
        aggregate(half, torch.tensor([3]))
    with pytest.raises(UserError, match="profile 1 of the batch has no sequence"):
        aggregate(half, torch.tensor([2, 0]))
    model = CASES["profile"].make(aggregation="total_vote").train()
    with pytest.raises(UserError, match="votes have no gradient"):
        model(grouped(model, [1, 1]), torch.tensor([0, 1]))
