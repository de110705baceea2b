"""What holds for every stock model that goes through the door: DeBERTa and SigLIP among them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import set_seed

from hfpipe.errors import UserError
from hfpipe.inputs.targets import LabelSpec
from hfpipe.models.groups import freeze, head_modules, parameter_groups
from hfpipe.models.loss_settings import stock_loss
from hfpipe.models.losses import trainer_loss
from hfpipe.models.stock import scratch_classifier

TEXT, IMAGE = "AutoModelForSequenceClassification", "AutoModelForImageClassification"
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
WORDS = {"vocab_size": 20, "pad_token_id": 0, **SMALL}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": (TEXT, {"model_type": "bert", **WORDS}),
    "deberta": (
        TEXT,
        {
            "model_type": "deberta-v2",
            "relative_attention": True,
            "position_buckets": 8,
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "type_vocab_size": 0,
            "pooler_hidden_size": 16,
            **WORDS,
        },
    ),
    "siglip": (
        IMAGE,
        {"model_type": "siglip", "vision_config": {"image_size": 8, "patch_size": 4, **SMALL}},
    ),
}
BINARY = LabelSpec("y", "binary", ["no", "yes"])
every_model = pytest.mark.parametrize("name", CASES)


def make(name: str, target: LabelSpec = BINARY, dropout: float = 0.1) -> Any:
    auto, config = CASES[name]
    set_seed(0)
    return scratch_classifier(config, target, dropout, auto=auto).eval()


def batch_of(name: str, rows: int) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    if CASES[name][0] == IMAGE:
        return {"pixel_values": torch.randn(rows, 3, 8, 8, generator=random)}
    mask = (torch.arange(6)[None] < torch.randint(2, 7, (rows, 1), generator=random)).long()
    ids = torch.randint(3, 20, (rows, 6), generator=random) * mask
    return {"input_ids": ids, "attention_mask": mask}


def at(batch: dict[str, torch.Tensor], place: Any) -> dict[str, torch.Tensor]:
    return {key: each[place] for key, each in batch.items()}


@every_model
def test_rows_do_not_look_at_each_other(name):
    model, batch = make(name), batch_of(name, 5)
    with torch.no_grad():
        together = model(**batch).logits
        alone = torch.cat([model(**at(batch, slice(n, n + 1))).logits for n in range(5)])
    assert together.shape == (5, 2)
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["bert", "deberta"])
def test_padding_changes_nothing(name):
    model, batch = make(name), batch_of(name, 5)
    longer = {key: torch.nn.functional.pad(each, (0, 5)) for key, each in batch.items()}
    longer["input_ids"][:, 6:] = 7
    with torch.no_grad():
        torch.testing.assert_close(model(**longer).logits, model(**batch).logits, atol=1e-5, rtol=0)


@every_model
def test_every_parameter_is_in_one_group_and_gradient_reaches_each_group(name):
    model, batch = make(name).train(), batch_of(name, 8)
    groups = parameter_groups(model)
    assert {"embeddings", "layers.0", "layers.1", "head"} <= set(groups)
    assert sum(map(len, groups.values())) == len(list(model.parameters()))
    loss = trainer_loss(stock_loss({"pos_weight": 2.0}, BINARY))
    loss(model(**batch), torch.tensor([0.0, 1.0] * 4)).backward()
    for group, parameters in groups.items():
        reached = [each for each in parameters if each.grad is not None and each.grad.abs().sum()]
        assert reached, group


@every_model
def test_learns_a_toy_task(name):
    model, batch = make(name, dropout=0.0).train(), batch_of(name, 16)
    labels = torch.tensor([0.0, 1.0] * 8)
    if "pixel_values" in batch:
        batch["pixel_values"] = batch["pixel_values"].abs() * (2 * labels - 1).view(-1, 1, 1, 1)
    else:
        batch["input_ids"][:, 0] = 1 + labels.long()
    loss_of = trainer_loss(stock_loss({}, BINARY))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        loss = loss_of(model(**batch), labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    assert model.eval()(**batch).logits.argmax(1).tolist() == labels.long().tolist()


@every_model
def test_runs_in_bfloat16_near_to_float32(name):
    model, batch = make(name), batch_of(name, 4)
    with torch.no_grad():
        exact = model(**batch).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = model(**batch).logits
    assert exact.dtype == torch.float32
    torch.testing.assert_close(mixed.float(), exact, atol=0.1, rtol=0)


@every_model
def test_compiles_without_a_graph_break(name):
    model, batch = make(name), batch_of(name, 4)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        found, exact = compiled(**batch).logits, model(**batch).logits
    torch.testing.assert_close(found, exact, atol=1e-5, rtol=0)


STRANGER = """
import json, sys, transformers
from safetensors.torch import load_file, save_file
for folder in sys.argv[1:]:
    config = json.load(open(folder + "/config.json"))
    model = getattr(transformers, config["architectures"][0]).from_pretrained(folder).eval()
    save_file({"logits": model(**load_file(folder + "/batch")).logits}, folder + "/found")
    print(type(model).__name__)
assert "hfpipe" not in sys.modules
"""
CLASSES = [
    "BertForSequenceClassification",
    "DebertaV2ForSequenceClassification",
    "SiglipForImageClassification",
]


def test_a_fresh_process_without_hfpipe_gets_equal_logits_of_a_stock_class(tmp_path):
    for name in CASES:
        make(name).save_pretrained(tmp_path / name)
        save_file(batch_of(name, 3), tmp_path / name / "batch")
    ran = subprocess.run(
        [sys.executable, "-c", STRANGER, *(str(tmp_path / name) for name in CASES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == CLASSES
    for name in CASES:
        found = load_file(tmp_path / name / "found")["logits"]
        with torch.no_grad():
            expected = make(name)(**batch_of(name, 3)).logits
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_a_label_of_two_classes_has_two_logits_and_a_number_one():
    assert make("bert").config.problem_type == "single_label_classification"
    number = make("bert", LabelSpec("y", "regression"))
    assert (number.config.problem_type, number.config.num_labels) == ("regression", 1)
    several = make("bert", LabelSpec("y", "multi_label", ["a", "b", "c"]))
    assert several.config.problem_type == "multi_label_classification"
    assert several.config.id2label == {0: "a", 1: "b", 2: "c"}


@every_model
def test_frozen_groups_do_not_learn(name):
    model = make(name)
    freeze(model, ["embeddings", "layers.0"])
    learning = {id(each) for each in model.parameters() if each.requires_grad}
    groups = parameter_groups(model)
    assert not learning.intersection(map(id, groups["embeddings"] + groups["layers.0"]))
    assert learning.issuperset(map(id, groups["layers.1"] + groups["head"]))
    assert head_modules(model)


def test_what_cannot_be_frozen_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"model\.freeze: no group 'layer\.0'.*'layers\.0'"):
        freeze(make("bert"), ["layer.0"])
    with pytest.raises(UserError, match="nothing is left to learn"):
        freeze(make("bert"), ["embeddings", "layers", "base", "head"])


def test_a_config_that_makes_no_model_is_refused_in_one_line():
    with pytest.raises(UserError, match="model.scratch"):
        scratch_classifier({"model_type": "sigilp"}, BINARY, None, auto=IMAGE)
