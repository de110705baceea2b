"""Initialisation, positions, pooling, and training by the stock Trainer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import default_collate
from transformers import Trainer, TrainingArguments

from hfpipe.errors import UserError
from hfpipe.models.parts.fusion import fuse
from hfpipe.models.parts.pooling import first_step, masked_max, masked_mean
from hfpipe.models.parts.positions import sinusoidal_positions
from hfpipe.models.sequence import SequenceConfig, SequenceModel
from tests.models.support import CASES, MESSAGES, batch_of


def spread(weight: torch.Tensor) -> tuple[float, float]:
    return weight.std().item(), weight.abs().max().item()


def test_weights_start_as_the_description_says():
    config = SequenceConfig(inputs={"messages": {"kind": "vector_sequence", "dim": 64}})
    model = SequenceModel(config)
    encoder = model.encoder
    std, most = spread(encoder.project.weight)
    xavier = math.sqrt(6 / (64 + 256))
    assert std == pytest.approx(xavier / math.sqrt(3), rel=0.02)
    assert xavier * 0.98 < most <= xavier
    for convolution, kernel in zip(encoder.convolutions, (3, 5, 7), strict=True):
        std, most = spread(convolution.weight)
        assert std == pytest.approx(math.sqrt(2 / (256 * kernel)), rel=0.02)
        assert most > 3 * std  # normal, not uniform
    attention = encoder.layers[0].self_attn
    own = nn.MultiheadAttention(256, 8)
    for name, parameter in own.named_parameters():
        found = attention.get_parameter(name)
        if parameter.ndim > 1:
            assert spread(found) == pytest.approx(spread(parameter), rel=0.03)
        else:
            assert found.abs().max() == 0
    assert not torch.equal(attention.in_proj_weight, encoder.layers[1].self_attn.in_proj_weight)
    assert encoder.project.bias.abs().max() == 0


def test_defaults_of_the_sequence_model_are_those_of_its_description():
    config = SequenceConfig()
    assert config.inputs == {"sequence": {"kind": "vector_sequence", "dim": 256}}
    assert (config.hidden_size, config.num_layers, config.num_heads) == (256, 2, 8)
    assert (config.kernel_sizes, config.dropout, config.logits) == ([3, 5, 7], 0.3, 1)
    for change, message in (
        ({"num_heads": 7}, "num_heads=7 does not divide hidden_size=256"),
        ({"kernel_sizes": [3, 4]}, "kernel_sizes must be odd, 4 is not"),
        ({"inputs": {**MESSAGES, "b": {"kind": "vector_sequence", "dim": 2}}}, "one input, not 2"),
        ({"inputs": {"b": {"kind": "vector_sequence"}}}, "needs n, sizes or dim"),
    ):
        with pytest.raises(UserError, match=message):
            SequenceModel(SequenceConfig(**change))


def test_the_order_of_a_sequence_matters_even_where_no_convolution_sees_it():
    model = CASES["sequence"].make(kernel_sizes=[1])
    batch = batch_of(model.config, 1)
    turned = {"messages": {**batch["messages"], "values": batch["messages"]["values"].flip(1)}}
    assert (model(batch).logits - model(turned).logits).abs().item() > 1e-4


@pytest.mark.parametrize("size", [6, 7])
def test_positions_are_the_sines_and_cosines_of_the_paper(size):
    found = sinusoidal_positions(5, size)
    for place in range(5):
        for at in range(size):
            angle = place / 10_000 ** (2 * (at // 2) / size)
            expected = math.cos(angle) if at % 2 else math.sin(angle)
            assert found[place, at].item() == pytest.approx(expected, abs=1e-6)


def test_pooling_is_that_of_a_loop_over_the_marked_steps():
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn(6, 5, 3, generator=random)
    mask = torch.rand(6, 5, generator=random) > 0.5
    mask[0, 0] = mask[:, 4] = True
    for row in range(6):
        kept = hidden[row][mask[row]]
        torch.testing.assert_close(masked_mean(hidden, mask)[row], kept.mean(0))
        torch.testing.assert_close(masked_max(hidden, mask)[row], kept.max(0).values)
        assert torch.equal(first_step(hidden, mask)[row], kept[0])


@pytest.mark.parametrize("strategy", ["concat", "sum_pool", "max_pool"])
def test_fused_vectors_are_those_of_a_loop_over_the_present_ones(strategy):
    random = np.random.default_rng(0)
    vectors = random.normal(size=(3, 8, 4)).astype("float32")
    present = random.random((8, 3)) > 0.4
    present[0] = False
    found = fuse([torch.tensor(each) for each in vectors], torch.tensor(present), strategy).numpy()
    for row in range(8):
        kept = [vectors[at, row] if present[row, at] else np.zeros(4) for at in range(3)]
        some = [vectors[at, row] for at in range(3) if present[row, at]] or [np.zeros(4)]
        body = {
            "concat": np.concatenate(kept),
            "sum_pool": np.sum(some, axis=0),
            "max_pool": np.max(some, axis=0),
        }[strategy]
        np.testing.assert_allclose(found[row], [*body, *present[row]], atol=1e-6)


class Rows(torch.utils.data.Dataset):
    """Rows of a batch, one at a time, collated by stacking."""

    def __init__(self, batch: dict, labels: torch.Tensor) -> None:
        self.batch, self.labels = batch, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, at: int) -> dict:
        row = {name: {key: each[at] for key, each in of.items()} for name, of in self.batch.items()}
        return {"inputs": row, "labels": self.labels[at]}


@pytest.mark.parametrize("name", ["gated_fusion", "late_fusion"])
def test_the_stock_trainer_trains_and_predicts_a_nested_batch(tmp_path, name):
    labels = torch.tensor([0, 1] * 5)
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=1,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=3,
        learning_rate=1.0,
        optim="sgd",
        max_grad_norm=0,
        lr_scheduler_type="constant",
        save_strategy="no",
        train_sampling_strategy="sequential",
    )
    one = CASES[name].make(dropout=0.0)
    for module in one.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    batch = batch_of(one.config, 10)
    start = {key: each.detach().clone() for key, each in one.named_parameters()}
    one(batch, labels).loss.backward()
    whole = {key: each.grad.clone() for key, each in one.named_parameters()}
    one.zero_grad()
    trainer = Trainer(
        model=one,
        args=arguments,
        train_dataset=Rows(batch, labels),
        data_collator=default_collate,
    )
    trainer.train()
    # Three parts of 4, 4 and 2 rows moved the weights by the gradient of the whole.
    for key, parameter in one.named_parameters():
        moved = start[key] - parameter.detach()
        torch.testing.assert_close(moved, whole[key], atol=1e-4, rtol=1e-3)
    predicted = trainer.predict(Rows(batch, labels))
    assert isinstance(predicted.predictions, np.ndarray)
    expected = one.eval()(batch).logits.detach().numpy()
    np.testing.assert_allclose(predicted.predictions, expected, atol=1e-5)
    assert predicted.metrics["test_loss"] == pytest.approx(one(batch, labels).loss.item(), abs=0.05)
