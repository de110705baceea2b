"""Rows that lack inputs: what is absent never counts, whatever stands in its place."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from hfpipe.errors import UserError
from tests.models.support import CASES, GATES, batch_of

OPTIONAL = ["concat_mlp", *GATES, "late_fusion", "weighted_lora_fusion", "pooled_mlp"]


def optional_inputs(config) -> list[str]:
    return config.of_kind("text", "image", "vector", "vector_sequence")


def without(batch: dict, name: str, rows: torch.Tensor, filler: float = 0.0) -> dict:
    """The batch with an input absent from some rows, ``filler`` in its place."""
    of = dict(batch[name])
    if "mask" in of:
        of["mask"] = of["mask"] & ~rows[:, None]
    else:
        of["present"] = of["present"] & ~rows
    if "attention_mask" in of:
        of["attention_mask"] = of["attention_mask"] * ~rows[:, None]
    for key in ("values", "pixel_values"):
        if key in of:
            at = rows.view(-1, *[1] * (of[key].ndim - 1))
            of[key] = torch.where(at, torch.full_like(of[key], filler), of[key])
    return {**batch, name: of}


@pytest.mark.parametrize("name", OPTIONAL)
def test_every_pattern_of_missing_inputs_is_finite_and_blind_to_what_is_absent(name):
    model = CASES[name].make()
    names = optional_inputs(model.config)
    patterns = list(product([False, True], repeat=len(names)))
    if name == "pooled_mlp":  # nothing but vectors: a row needs one
        patterns = [each for each in patterns if not all(each)]
    full = batch_of(model.config, len(patterns))
    zeros, noise = full, full
    for at, each in enumerate(names):
        rows = torch.tensor([pattern[at] for pattern in patterns])
        zeros, noise = without(zeros, each, rows), without(noise, each, rows, filler=9.0)
    labels = torch.arange(len(patterns)) % 2
    found = model(zeros, labels)
    found.loss.backward()
    assert found.logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    torch.testing.assert_close(model(noise).logits, found.logits, atol=1e-6, rtol=0)
    # The row where all is there has the logit that it has without incomplete rows beside it.
    alone = {key: {k: v[:1] for k, v in of.items()} for key, of in full.items()}
    torch.testing.assert_close(model(alone).logits, found.logits[:1], atol=1e-5, rtol=0)
    assert found.logits.unique().numel() == len(patterns)


@pytest.mark.parametrize("name", ["sequence", "profile", "pooled_mlp"])
def test_a_row_with_nothing_is_refused_by_its_position(name):
    model = CASES[name].make()
    batch = batch_of(model.config, 4)
    for each in model.config.inputs:
        batch = without(batch, each, torch.tensor([False, False, True, False]))
    with pytest.raises(UserError, match="row 2 of the batch has no "):
        model(batch)


def test_late_fusion_refuses_a_row_that_no_tower_sees():
    case = CASES["late_fusion"]
    inputs = {each: case.options["inputs"][each] for each in ("words", "picture")}
    towers = {each: case.options["towers"][each] for each in ("tweet", "picture")}
    model = case.make(inputs=inputs, towers=towers)
    batch = batch_of(model.config, 3)
    for each in inputs:
        batch = without(batch, each, torch.tensor([False, True, False]))
    with pytest.raises(UserError, match="row 1 of the batch .* towers picture, tweet"):
        model(batch)


@pytest.mark.parametrize("name", GATES)
def test_gate_weights_sum_to_one_over_the_present_vectors(name):
    model = CASES[name].make()
    batch = batch_of(model.config, 4)
    batch = without(batch, "video", torch.tensor([False, True, False, True]))
    batch = without(batch, "audio", torch.tensor([False, False, True, True]))
    weights = model(batch).extras["gate_weights"]
    assert model.towers_in_order == ["audio", "video"]
    assert weights[1].tolist() == [1.0, 0.0]
    assert weights[2].tolist() == [0.0, 1.0]
    assert weights[3].tolist() == [0.0, 0.0]
    assert weights[0].sum().item() == pytest.approx(1, abs=1e-6)
    assert 0 < weights[0, 0] < 1


@pytest.mark.parametrize("name", GATES)
def test_the_head_sees_the_weighed_vectors_that_are_present(name):
    model = CASES[name].make(metadata_in_head=False)
    batch = without(batch_of(model.config, 3), "video", torch.tensor([False, True, True]))
    batch = without(batch, "audio", torch.tensor([False, False, True]))
    features, extras = model.encode(batch)
    audio, video = (
        model.towers[each](batch[each]["values"]) * extras["gate_weights"][:, at, None]
        for at, each in enumerate(("audio", "video"))
    )
    both = {
        "concat": torch.cat([audio, video], dim=1),
        "sum_pool": audio + video,
        "max_pool": torch.maximum(audio, video),
    }[model.config.strategy]
    alone = torch.cat([audio, 0 * audio], dim=1)[:, : both.shape[1]]
    expected = torch.stack([both[0], alone[1], torch.zeros_like(both[2])])
    torch.testing.assert_close(features, expected)
    assert (alone[1, :8] < 0).any()  # so that a maximum with an absent tower's zeros would show


def test_an_unknown_strategy_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="no strategy is called 'max'.* 'max_pool'"):
        CASES["gated_fusion"].make(strategy="max")


def test_the_gate_looks_at_the_metadata_and_at_what_is_present():
    model = CASES["gated_fusion"].make(metadata_in_head=False)
    batch = batch_of(model.config, 2)
    same = {
        name: {k: v[:1].repeat(2, *[1] * (v.ndim - 1)) for k, v in of.items()}
        for name, of in batch.items()
    }
    other = {**same, "numbers": batch["numbers"]}
    gates = [model(each).extras["gate_weights"] for each in (same, other)]
    assert torch.equal(gates[0][0], gates[0][1])
    assert not torch.allclose(gates[1][0], gates[1][1])


def test_without_vectors_and_without_metadata_in_the_head_a_row_has_the_same_logit_as_any_such():
    model = CASES["gated_fusion"].make(metadata_in_head=False)
    batch = batch_of(model.config, 2)
    for each in ("video", "audio"):
        batch = without(batch, each, torch.tensor([True, True]))
    logits = model(batch).logits
    assert torch.equal(logits[0], logits[1])
