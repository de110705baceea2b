"""DeBERTa's fused attention against stock transformers: real models, built from a configuration."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
)
from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention

from hfpipe.models.parts import banded, distances
from hfpipe.models.parts.disentangled import FusedSelfAttention, fuse, unfuse

BASE: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "num_labels": 3,
    "max_position_embeddings": 512,
    "type_vocab_size": 0,
    "position_biased_input": False,
    "norm_rel_ebd": "layer_norm",
    "relative_attention": True,
    "position_buckets": 256,
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.2,
}
"""As microsoft/deberta-v3-base has it, but small; weights so large that positions matter."""


def pair(**changes: Any) -> tuple[nn.Module, nn.Module]:
    """A stock model and its fused copy, in training mode."""
    torch.manual_seed(0)
    stock = DebertaV2ForSequenceClassification(DebertaV2Config(**BASE | changes)).train()
    fused = copy.deepcopy(stock)
    assert fuse(fused) == 2
    return stock, fused


def batch(length: int, rows: int = 3) -> dict[str, Tensor]:
    """Rows of unequal lengths; the first is full."""
    torch.manual_seed(1)
    mask = torch.ones(rows, length, dtype=torch.long)
    for row in range(1, rows):
        mask[row, length - row * (length // (rows + 1)) :] = 0
    ids = torch.randint(5, 60, (rows, length)) * mask
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.arange(rows) % 3}


def gradients(model: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of all parameters."""
    model.zero_grad()
    model(**inputs).loss.backward()
    return {name: each.grad for name, each in model.named_parameters() if each.grad is not None}


def assert_same(stock: nn.Module, fused: nn.Module, inputs: dict[str, Tensor]) -> None:
    """Equal logits and hidden states, also of padding, and equal gradients."""
    ours = fused(**inputs, output_hidden_states=True)
    theirs = stock(**inputs, output_hidden_states=True)
    torch.testing.assert_close(ours.logits, theirs.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.hidden_states[-1], theirs.hidden_states[-1], atol=5e-5, rtol=0)
    expected, found = gradients(stock, inputs), gradients(fused, inputs)
    assert found.keys() == expected.keys()
    largest = max(float(each.abs().max()) for each in expected.values())
    for name, each in expected.items():
        size = max(float(each.abs().max()), 1e-3 * largest)
        assert float((found[name] - each).abs().max()) < 1e-4 * size, name


OPTIONS: dict[str, dict[str, Any]] = {
    "v3": {},
    "own projections": {"share_att_key": False},
    "c2p": {"pos_att_type": ["c2p"], "share_att_key": False},
    "p2c": {"pos_att_type": ["p2c"]},
    "neither": {"pos_att_type": []},
    "not relative": {"relative_attention": False, "position_biased_input": True},
    "linear": {"position_buckets": -1},
    "few positions": {"position_buckets": -1, "max_relative_positions": 9},
    "few buckets": {"position_buckets": 8, "max_relative_positions": 24},
    "convolution": {"conv_kernel_size": 3, "conv_act": "gelu"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_equals_stock(name: str) -> None:
    assert_same(*pair(**OPTIONS[name]), batch(37))


@pytest.mark.parametrize(("length", "buckets"), [(300, 256), (512, 256), (300, -1), (1, 256)])
def test_equals_stock_at_length(length: int, buckets: int) -> None:
    assert_same(*pair(position_buckets=buckets), batch(length, rows=2))


def test_the_bias_matters() -> None:
    """Else the tests above would pass without it."""
    stock, _ = pair()
    other, inputs = copy.deepcopy(stock), batch(37)
    other.deberta.encoder.rel_embeddings.weight.data.normal_()
    with torch.no_grad():
        assert float((stock(**inputs).logits - other(**inputs).logits).abs().max()) > 1e-2


def test_small_chunks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks of rows, several blocks with a short last one."""
    monkeypatch.setattr(distances, "CHUNK", 2 * 37 * 37)
    monkeypatch.setattr(distances, "BLOCK", 16)
    assert_same(*pair(), batch(37))


def test_derivative_is_that_of_the_function() -> None:
    torch.manual_seed(0)
    states = [torch.randn(2, 5, 6, dtype=torch.double, requires_grad=True) for _ in range(3)]
    tables = [torch.randn(9, 6, dtype=torch.double, requires_grad=True) for _ in range(2)]
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    mask[1, :, 3:], mask[1, :, :, 3:] = False, False

    def attend(*inputs: Tensor) -> Tensor:
        torch.manual_seed(3)  # the same dropout each time
        return banded.banded_attention(*inputs, mask, 2, 0.4, [0, 6, 5, 4], 0.3, True)[0]

    # The table of 9 rows has one more than 2 * span, which no distance uses.
    assert torch.autograd.gradcheck(attend, (*states, *tables), fast_mode=True)


def test_padding_changes_no_other_token() -> None:
    _, fused = pair()
    fused.eval()
    ids = torch.randint(5, 60, (2, 40))
    mask = torch.ones_like(ids)
    mask[0, 25:] = 0
    with torch.no_grad():
        alone = fused.deberta(ids[:1, :25]).last_hidden_state
        padded = fused.deberta(ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(padded[:1, :25], alone, atol=1e-5, rtol=0)


def test_a_mask_by_pairs() -> None:
    """A mask of its own for every pair of tokens, as packed rows have."""
    stock, fused = pair()
    inputs = batch(20, rows=2)
    segment = torch.arange(20) // 7
    inputs["attention_mask"] = (segment[:, None] == segment).long().expand(2, 20, 20).clone()
    encoder = {"attention_mask": inputs["attention_mask"], "output_hidden_states": False}
    words = stock.deberta.embeddings(inputs["input_ids"])
    theirs, ours = (m.deberta.encoder(words, **encoder).last_hidden_state for m in (stock, fused))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_saved_model_is_stock(tmp_path: Path) -> None:
    stock, fused = pair()
    stock.eval().save_pretrained(tmp_path / "stock")
    fused.eval().save_pretrained(tmp_path / "fused")
    files = sorted(path.name for path in (tmp_path / "stock").iterdir())
    assert sorted(path.name for path in (tmp_path / "fused").iterdir()) == files
    for name in files:
        same = (tmp_path / "fused" / name).read_bytes() == (tmp_path / "stock" / name).read_bytes()
        assert same, name
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "fused").eval()
    kinds = {type(m) for m in loaded.modules() if isinstance(m, DisentangledSelfAttention)}
    assert kinds == {DisentangledSelfAttention}
    inputs = batch(30)
    torch.testing.assert_close(loaded(**inputs).logits, fused(**inputs).logits, atol=1e-5, rtol=0)


def test_fuse_and_unfuse_count() -> None:
    _, fused = pair()
    assert fuse(fused) == 0
    assert unfuse(fused) == 2
    assert not any(isinstance(module, FusedSelfAttention) for module in fused.modules())
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    assert fuse(BertModel(BertConfig(vocab_size=9, num_hidden_layers=1, **sizes))) == 0


def test_attention_weights_are_stock() -> None:
    stock, fused = pair()
    inputs = batch(20)
    theirs, ours = (model(**inputs, output_attentions=True) for model in (stock, fused))
    assert torch.equal(ours.attentions[1], theirs.attentions[1])
    assert ours.attentions[1].shape == (3, 4, 20, 20)


def test_gradient_checkpointing_repeats_its_dropout() -> None:
    _, fused = pair(attention_probs_dropout_prob=0.2, hidden_dropout_prob=0.1)
    inputs = batch(30)
    torch.manual_seed(5)
    expected = gradients(fused, inputs)
    fused.gradient_checkpointing_enable()
    torch.manual_seed(5)
    found = gradients(fused, inputs)
    for name, each in expected.items():
        torch.testing.assert_close(found[name], each, atol=1e-6, rtol=1e-4)


def test_dropout_drops_its_share() -> None:
    kept = banded.keep((301, 333), 0.1, torch.zeros(1)).float()
    # Three standard deviations of the mean of 100,233 draws.
    assert abs(float(kept.mean()) - 0.9) < 0.003
    assert banded.kept_share(0.1) == pytest.approx(0.9, abs=1e-5)


def test_dropout_is_right_on_average() -> None:
    stock, fused = pair(attention_probs_dropout_prob=0.3, num_labels=2)
    attention = [m.deberta.encoder.layer[0].attention.self for m in (stock, fused)]
    hidden = torch.randn(1, 16, 32).expand(400, -1, -1)
    mask = torch.ones(400, 1, 16, 16)
    rows = stock.deberta.encoder.get_rel_embedding()
    place = stock.deberta.encoder.get_rel_pos(hidden)
    with torch.no_grad():
        theirs, ours = (
            each(hidden, mask, relative_pos=place, rel_embeddings=rows)[0] for each in attention
        )
    spread = theirs.std(0)
    assert float(((ours.mean(0) - theirs.mean(0)) / spread).abs().max()) < 0.35
    torch.testing.assert_close(ours.std(0), spread, atol=0, rtol=0.25)


def test_bf16_autocast_is_as_near_as_stock() -> None:
    """Near to float32: the errors of stock in bf16 are the measure."""
    stock, fused = pair()
    inputs = batch(60)
    exact = gradients(stock, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        theirs, ours = gradients(stock, inputs), gradients(fused, inputs)

    def error(found: dict[str, Tensor]) -> float:
        return (
            float(sum((found[name] - each).square().sum() for name, each in exact.items())) ** 0.5
        )

    size = error({name: torch.zeros_like(each) for name, each in exact.items()})
    assert error(ours) < 1.5 * error(theirs) < 0.1 * size


def test_compiles_in_one_graph() -> None:
    """The encoder: the loss of the stock head asks for values, and breaks the graph."""
    _, fused = pair()
    words = batch(24)["input_ids"]
    fused.deberta(words).last_hidden_state.square().sum().backward()
    expected = {name: each.grad for name, each in fused.deberta.named_parameters()}
    fused.zero_grad()
    compiled = torch.compile(fused.deberta, backend="aot_eager", fullgraph=True)
    compiled(words).last_hidden_state.square().sum().backward()
    for name, each in fused.deberta.named_parameters():
        torch.testing.assert_close(each.grad, expected[name], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("name", ["v3", "own projections", "p2c", "few buckets", "not relative"])
def test_accelerator_path_equals_stock(name: str) -> None:
    """The path that other devices take, computed on the CPU."""
    stock, _ = pair(**OPTIONS[name])
    torch.manual_seed(2)
    theirs = stock.deberta.encoder.layer[0].attention.self
    ours = copy.deepcopy(theirs)
    fuse(ours)
    hidden, mask = torch.randn(2, 21, 32), torch.ones(2, 1, 21, 21, dtype=torch.bool)
    mask[1, :, 15:], mask[1, :, :, 15:] = False, False
    rows, place = (
        stock.deberta.encoder.get_rel_embedding(),
        stock.deberta.encoder.get_rel_pos(hidden),
    )
    rows = rows.detach() if rows is not None else None
    parts = [part(hidden) for part in (ours.query_proj, ours.key_proj, ours.value_proj)]
    scale = (8 * (1 + len(ours.pos_att_type))) ** -0.5
    found = ours.on_accelerator(parts, mask, rows, scale, 0.0)
    expected, _ = theirs(hidden, mask, relative_pos=place, rel_embeddings=rows)
    valid = mask[:, 0, 0, :, None]
    torch.testing.assert_close(found * valid, expected * valid, atol=1e-5, rtol=0)
    (found * valid).square().sum().backward()
    (expected * valid).square().sum().backward()
    for each, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(each.grad, other.grad, atol=1e-3, rtol=1e-4)
