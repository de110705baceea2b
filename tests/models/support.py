"""One tiny model of each wrapper, and batches as the collator makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, SiglipVisionConfig, set_seed

import hfpipe.models.registration  # noqa: F401
from hfpipe.models.base import HfpipeConfig, HfpipeModel
from hfpipe.models.concat_mlp import ConcatMLPConfig, ConcatMLPModel
from hfpipe.models.gated_fusion import GatedFusionConfig, GatedFusionModel
from hfpipe.models.late_fusion import LateFusionConfig, LateFusionModel
from hfpipe.models.parts.towers import tower_config
from hfpipe.models.profile import ProfileConfig, ProfileModel
from hfpipe.models.sequence import SequenceConfig, SequenceModel

# Not in alphabetical order, which config.json has: what is saved must not depend on it.
VECTORS = {"video": {"kind": "vector", "dim": 6}, "audio": {"kind": "vector", "dim": 6}}
METADATA = {
    "numbers": {"kind": "numeric", "n": 3},
    "groups": {"kind": "categorical", "sizes": [4, 5]},
}
MESSAGES = {"messages": {"kind": "vector_sequence", "dim": 6}}
WORDS = {"words": {"kind": "text"}}
PICTURE = {"picture": {"kind": "image"}}
VOCABULARY = 20
SEQUENCE = {"hidden_size": 16, "num_heads": 2, "feedforward_size": 16, "num_layers": 1}

BERT = BertConfig(
    vocab_size=VOCABULARY,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=32,
)
SIGLIP = SiglipVisionConfig(
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    image_size=8,
    patch_size=4,
)
LORA = {"r": 2, "target_modules": ["query", "value"]}


def fusion_towers(lora: bool) -> dict[str, dict[str, Any]]:
    tweet = {"inputs": ["words"], "config": tower_config(BERT)}
    return {
        "tweet": tweet | ({"lora": dict(LORA)} if lora else {}),
        "picture": {"config": tower_config(SIGLIP), "pool": "pooler"},
        "about": {
            "inputs": ["numbers", "groups"],
            "config": {"model_type": "hfpipe-concat-mlp", "sizes": [8]},
        },
        "thread": {
            "inputs": ["messages"],
            "config": {"model_type": "hfpipe-sequence", **SEQUENCE},
        },
    }


GATED = {"inputs": {**VECTORS, **METADATA}, "tower_size": 8, "gate_size": 4, "sizes": [8, 8]}
FUSED = {**WORDS, **PICTURE, **METADATA, **MESSAGES}


def one_input(spec: dict[str, Any], rows: int, random: torch.Generator) -> dict[str, Tensor]:
    """Random features of an input; the shapes are those of the collator."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(rows, *shape, generator=random)

    kind = spec["kind"]
    if kind == "numeric":
        return {"values": normal(spec["n"]), "missing": (normal(spec["n"]) > 1).float()}
    if kind == "categorical":
        columns = [torch.randint(n, (rows, 1), generator=random) for n in spec["sizes"]]
        return {"codes": torch.cat(columns, dim=1)}
    everywhere = torch.ones(rows, dtype=torch.bool)
    if kind == "vector":
        return {"values": normal(spec["dim"]), "present": everywhere}
    if kind == "image":
        return {"pixel_values": normal(3, 8, 8), "present": everywhere}
    lengths = torch.randint(1, 6, (rows, 1), generator=random)
    lengths[0] = 5
    mask = torch.arange(5)[None] < lengths
    if kind == "vector_sequence":
        return {"values": normal(5, spec["dim"]) * mask[..., None], "mask": mask}
    tokens = torch.randint(1, VOCABULARY, (rows, 5), generator=random) * mask
    return {"input_ids": tokens, "attention_mask": mask.long(), "present": everywhere}


def batch_of(config: HfpipeConfig, rows: int, seed: int = 0) -> dict[str, dict[str, Tensor]]:
    random = torch.Generator().manual_seed(seed)
    return {name: one_input(spec, rows, random) for name, spec in config.inputs.items()}


def rows_at(batch: dict, at: slice | Tensor) -> dict:
    return {name: {key: each[at] for key, each in of.items()} for name, of in batch.items()}


def longer(batch: dict, steps: int) -> dict:
    """The same rows with more padding; what stands there is noise that must not be looked at."""
    grown: dict = {}
    for name, of in batch.items():
        padded = dict(of)
        if "mask" in of:
            noise = 7 * torch.ones(len(of["mask"]), steps, of["values"].shape[-1])
            padded["values"] = torch.cat([of["values"], noise], dim=1)
            padded["mask"] = nn.functional.pad(of["mask"], (0, steps))
        if "input_ids" in of:
            padded["input_ids"] = nn.functional.pad(of["input_ids"], (0, steps), value=3)
            padded["attention_mask"] = nn.functional.pad(of["attention_mask"], (0, steps))
        grown[name] = padded
    return grown


@dataclass(frozen=True)
class Case:
    """A wrapper, small."""

    model: type[HfpipeModel]
    config: Callable[..., HfpipeConfig]
    options: dict[str, Any] = field(default_factory=dict)

    def make(self, seed: int = 0, **options: Any) -> HfpipeModel:
        set_seed(seed)
        chosen = {"problem_type": "binary", **self.options, **options}
        return self.model(self.config(**chosen)).eval()


CASES = {
    "sequence": Case(SequenceModel, SequenceConfig, {"inputs": MESSAGES, **SEQUENCE}),
    "profile": Case(ProfileModel, ProfileConfig, {"sequence": {"inputs": MESSAGES, **SEQUENCE}}),
    "concat_mlp": Case(
        ConcatMLPModel, ConcatMLPConfig, {"inputs": {**VECTORS, **METADATA}, "sizes": [16, 8]}
    ),
    "pooled_mlp": Case(
        ConcatMLPModel,
        ConcatMLPConfig,
        {"inputs": VECTORS, "sizes": [16, 8], "strategy": "max_pool"},
    ),
    "metadata_mlp": Case(ConcatMLPModel, ConcatMLPConfig, {"inputs": METADATA, "sizes": [16, 8]}),
    "gated_fusion": Case(GatedFusionModel, GatedFusionConfig, GATED),
    "gated_concat": Case(GatedFusionModel, GatedFusionConfig, {**GATED, "strategy": "concat"}),
    "gated_max_pool": Case(GatedFusionModel, GatedFusionConfig, {**GATED, "strategy": "max_pool"}),
    "late_fusion": Case(
        LateFusionModel,
        LateFusionConfig,
        {"inputs": FUSED, "towers": fusion_towers(False), "projection_size": 8, "sizes": [8]},
    ),
    "weighted_lora_fusion": Case(
        LateFusionModel,
        LateFusionConfig,
        {
            "inputs": FUSED,
            "towers": fusion_towers(True),
            "projection_size": 8,
            "sizes": [8],
            "fusion": "weighted",
        },
    ),
}
GATES = ("gated_fusion", "gated_concat", "gated_max_pool")
FULL_WIDTH_TASKS = ("sequence", "concat_mlp", "gated_fusion", "late_fusion")
