"""DeBERTa's attention fused against stock, forward + backward: >= 1.2 times at 64 to 512 tokens.

Layers of the shape of microsoft/deberta-v3-base with random weights, in training mode, 2,048 tokens
a batch (1,024 in an emulated bf16), the last row of it padded. Stock, fused and a BERT of the same
size with sdpa, which has no relative positions and is what could be had at best, take turns step by
step; a ratio is the median over turns. Judged in the format that the machine is fast in: bf16 where
it has instructions for it, else float32; the other is shown.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from typing import Any

LENGTHS = (64, 128, 256, 512)
TARGET = 1.2
LAYERS, VOCABULARY = 2, 1000
SHAPE = {
    "vocab_size": VOCABULARY,
    "num_hidden_layers": LAYERS,
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "type_vocab_size": 0,
}
"""Of base size, both: the default of DeBERTa's configuration is twice as wide."""
DEBERTA = {
    "position_biased_input": False,
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
}


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Time all lengths in both formats."""
    import torch

    from hfpipe.training.precision import bf16_is_fast

    fast = bf16_is_fast()
    models = contenders()
    figures: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "bf16 is fast here": fast,
        "largest difference of hidden states": difference(models["stock"], models["fused"]),
    }
    passed = figures["largest difference of hidden states"] < 1e-4
    for bf16 in (False, True):
        judged = bf16 is fast
        turns = 2 if args.quick else 9 if judged else 3
        for length in LENGTHS:
            rows = (2048 if judged or not bf16 else 1024) // length
            ratio = compare(models, length, rows, bf16, turns, figures)
            passed &= not judged or ratio >= TARGET
    figures["passed"] = bool(passed)
    return figures


def contenders() -> dict[str, Any]:
    """Stock DeBERTa, the same fused, and BERT."""
    import torch
    from transformers import BertConfig, BertModel, DebertaV2Config, DebertaV2Model

    from hfpipe.models.parts.disentangled import fuse

    torch.manual_seed(0)
    stock = DebertaV2Model(DebertaV2Config(**SHAPE, **DEBERTA))
    fused = copy.deepcopy(stock)
    fuse(fused)
    bert = BertModel(
        BertConfig(**SHAPE | {"type_vocab_size": 2}, attn_implementation="sdpa"),
        add_pooling_layer=False,
    )
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    models = {"stock": stock, "fused": fused, "bert": bert}
    return {name: model.to(device).train() for name, model in models.items()}


def inputs(model: Any, length: int, rows: int) -> dict[str, Any]:
    """Random tokens; an eighth of the last row is padding."""
    import torch

    ids = torch.randint(5, VOCABULARY, (rows, length), device=model.device)
    mask = torch.ones_like(ids)
    mask[-1, length - length // 8 :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def difference(stock: Any, fused: Any) -> float:
    """Between the two in float32 without dropout, at 300 tokens."""
    import torch

    batch = inputs(stock, 300, 2)
    with torch.no_grad():
        one, two = (model.eval()(**batch).last_hidden_state for model in (stock, fused))
    stock.train(), fused.train()
    return float((one - two).abs().max())


def step(model: Any, batch: dict[str, Any], bf16: bool) -> float:
    """Seconds of one forward and backward pass."""
    import torch

    model.zero_grad()
    kind = model.device.type
    start = time.perf_counter()
    with torch.autocast(kind, torch.bfloat16, enabled=bf16):
        loss = model(**batch).last_hidden_state.float().square().mean()
    loss.backward()
    if kind != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - start


def compare(
    models: dict[str, Any], length: int, rows: int, bf16: bool, turns: int, figures: dict[str, Any]
) -> float:
    """Let them take turns, after one each that warms up; how much faster fused is."""
    batch = inputs(models["stock"], length, rows)
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(turns + 1):
        for name in list(models)[:: 1 if turn % 2 == 0 else -1]:
            seconds[name].append(step(models[name], batch, bf16))
    stock = seconds["stock"][1:]
    ratios = {
        name: statistics.median(s / o for s, o in zip(stock, seconds[name][1:], strict=True))
        for name in ("fused", "bert")
    }
    title = f"{'bf16' if bf16 else 'float32'}, {rows} x {length}"
    figures[f"{title}: stock, seconds"] = statistics.median(stock)
    figures[f"{title}: stock / fused (target {TARGET:g})"] = ratios["fused"]
    figures[f"{title}: stock / BERT (at best)"] = ratios["bert"]
    return ratios["fused"]
