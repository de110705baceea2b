"""Adapters in place: without effect at first, learning alone, folded in, taken off, saved alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    SiglipConfig,
    SiglipForImageClassification,
    set_seed,
)

from hfpipe.errors import UserError
from hfpipe.models.adapters import as_adapter, fold_in, has_adapters, put_on, take_off
from hfpipe.models.families import Origin
from hfpipe.models.groups import head_modules, parameter_groups
from tests.models.support import BERT, CASES, LORA, SIGLIP, VOCABULARY, batch_of

DEBERTA = DebertaV2Config(
    vocab_size=VOCABULARY,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=16,
    relative_attention=True,
    position_biased_input=False,
    pos_att_type=["p2c", "c2p"],
)
BERT_2 = BertConfig(**{**BERT.to_dict(), "num_hidden_layers": 2})


CLASSES = {
    "bert": (BertForSequenceClassification, BERT_2),
    "deberta": (DebertaV2ForSequenceClassification, DEBERTA),
    "siglip": (SiglipForImageClassification, SiglipConfig(vision_config=SIGLIP.to_dict())),
}


def stock(kind: str) -> Any:
    """A tiny classifier of three labels, with weights large enough to tell logits apart."""
    set_seed(1)
    of, config = CLASSES[kind]
    config.num_labels = 3
    model = of(config).eval()
    for each in (each for each in model.parameters() if each.ndim > 1):
        torch.nn.init.normal_(each, std=0.3)
    return model


def batch_for(model: Any) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(2)
    labels = torch.tensor([0, 1, 2, 1])
    if model.main_input_name == "pixel_values":
        return {"pixel_values": torch.randn(4, 3, 8, 8, generator=random), "labels": labels}
    ids = torch.randint(1, VOCABULARY, (4, 7), generator=random)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def look(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(**batch).logits
    return found


def learn(model: Any, batch: dict[str, Any], steps: int = 3) -> None:
    learning = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.5)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()


ATTENTION = {"bert": "query", "deberta": "query_proj", "siglip": "q_proj"}
UNUSED = {("siglip", "all-linear"): 3}
STOCK = [
    (kind, {"r": 2, **more})
    for kind, name in ATTENTION.items()
    for more in (
        {"target_modules": [name]},
        {"target_modules": "all-linear", "lora_dropout": 0.2, "use_rslora": True},
    )
] + [("bert", {"r": 2, "use_dora": True})]


@pytest.mark.parametrize(("kind", "options"), STOCK)
def test_adapters_start_without_effect_learn_alone_and_fold_into_a_stock_model(kind, options):
    model = stock(kind)
    batch = batch_for(model)
    before, plain = look(model, batch), {k: v.clone() for k, v in model.state_dict().items()}
    targets = str(options.get("target_modules"))
    heads = {name for name in plain if name.startswith(tuple(head_modules(model)))}
    put_on(model, options)
    torch.testing.assert_close(look(model, batch), before, atol=1e-6, rtol=0)
    assert type(model) is type(stock(kind))
    assert has_adapters(model)
    learning = {name for name, each in model.named_parameters() if each.requires_grad}
    assert {name for name in learning if "lora_" not in name} == heads
    assert not [name for name in learning - heads if name.startswith(tuple(head_modules(model)))]
    assert [k for k, v in parameter_groups(model).items() if any(p.requires_grad for p in v)] == [
        "lora",
        "head",
    ]

    learn(model, batch)
    trained = look(model, batch)
    assert (trained - before).abs().max() > 1e-3
    moved = [n for n, each in model.named_parameters() if "lora_B" in n and each.any()]
    adapted = [name for name, _ in model.named_modules() if name.endswith("lora_A.default")]
    assert fold_in(model) == len(adapted)
    torch.testing.assert_close(look(model, batch), trained, atol=1e-5, rtol=0)
    assert not has_adapters(model)
    assert list(model.state_dict()) == list(plain)
    changed = {name for name, each in model.state_dict().items() if not each.equal(plain[name])}
    # SigLIP's own pooling head is adapted with all-linear, but no part of a classifier's logits.
    assert len(changed - heads) == len(moved) == len(adapted) - UNUSED.get((kind, targets), 0)
    assert fold_in(model) == 0


@pytest.mark.parametrize(("kind", "options"), STOCK)
def test_adapters_taken_off_leave_the_model_as_it_was(kind, options):
    model = stock(kind)
    batch = batch_for(model)
    before, names = look(model, batch), list(model.state_dict())
    for each in head_modules(model):
        model.get_submodule(each).requires_grad_(False)
    put_on(model, options)
    learn(model, batch)
    assert (look(model, batch) - before).abs().max() > 1e-4
    assert take_off(model) > 0
    assert torch.equal(look(model, batch), before)
    assert list(model.state_dict()) == names
    put_on(model, options)  # and anew
    torch.testing.assert_close(look(model, batch), before, atol=1e-6, rtol=0)


def test_folded_and_alone_stock_classes_load_them(tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification as Auto

    model = stock("bert")
    model.save_pretrained(tmp_path / "base")
    batch = batch_for(model)
    options = {"r": 2, "target_modules": "all-linear", "lora_dropout": 0.3}
    put_on(model, options)
    learn(model, batch)
    expected = look(model, batch)
    alone = as_adapter(model, options, Origin(str(tmp_path / "base"), "a" * 40))
    torch.testing.assert_close(look(alone, batch), expected, atol=1e-6, rtol=0)
    alone.save_pretrained(tmp_path / "alone")
    assert {each.name for each in (tmp_path / "alone").iterdir()} >= {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    config = json.loads((tmp_path / "alone" / "adapter_config.json").read_text())
    assert config["modules_to_save"] == ["classifier"]
    assert (config["base_model_name_or_path"], config["revision"]) == (
        str(tmp_path / "base"),
        "a" * 40,
    )
    alone.merge_and_unload().save_pretrained(tmp_path / "merged-by-peft")

    model = stock("bert")
    put_on(model, options)
    learn(model, batch)
    folded = look(model, batch)
    fold_in(model)
    model.save_pretrained(tmp_path / "folded")
    beside = PeftModel.from_pretrained(Auto.from_pretrained(tmp_path / "base"), tmp_path / "alone")
    loaded = (beside, Auto.from_pretrained(tmp_path / "folded"))
    for found, wanted in zip(loaded, (expected, folded), strict=True):
        torch.testing.assert_close(look(found, batch), wanted, atol=1e-5, rtol=0)


def test_a_checkpoint_of_adapters_and_a_layer_holds_all_of_the_model(tmp_path):
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments

    model = stock("bert")
    plain = {k: v.clone() for k, v in model.state_dict().items()}
    put_on(model, {"r": 2, "target_modules": ["query"]})
    for each in parameter_groups(model)["layers.1"]:
        each.requires_grad_(True)
    batch = {key: each.tolist() for key, each in batch_for(model).items()}
    arguments = TrainingArguments(
        tmp_path, max_steps=2, save_steps=2, learning_rate=0.05, disable_tqdm=True, use_cpu=True
    )
    Trainer(model, arguments, train_dataset=Dataset.from_dict(batch)).train()

    kept = load_file(tmp_path / "checkpoint-2" / "model.safetensors")
    assert set(kept) == set(model.state_dict())
    own = {name.replace(".base_layer", ""): each for name, each in kept.items()}
    assert set(plain) <= set(own)
    changed = {name for name in plain if not own[name].equal(plain[name])}
    assert {name for name in changed if ".layer.1." not in name} == {
        "classifier.weight",
        "classifier.bias",
    }
    assert [name for name in changed if ".layer.1." in name]
    assert all(each.abs().max() > 0 for name, each in kept.items() if "lora_B" in name)
    again = stock("bert")
    put_on(again, {"r": 2, "target_modules": ["query"]})
    again.load_state_dict(kept)
    assert torch.equal(look(again, batch_for(model)), look(model, batch_for(model)))


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("siglip", {"r": 2}, r"peft knows none for a siglip model: name them.*'q_proj'"),
        ("bert", {"target_modules": ["quary"]}, "no module 'quary'; did you mean 'query'"),
        ("bert", {"target_modules": ["classifier"]}, "no module 'classifier'"),
        ("bert", {"target_modules": "classifier"}, "[Nn]o modules were targeted"),
        ("bert", {"target_modules": "(que"}, "missing \\)"),
        ("bert", {"target_modules": ["LayerNorm"]}, "LayerNorm.*not supported"),
        ("bert", {"init_lora_weights": "pissa"}, "'pissa' is no start"),
        ("bert", {"init_lora_weights": "gausian"}, "did you mean 'gaussian'"),
        ("bert", {"layer_replication": [[0, 2]]}, "layer_replication: .*folded in"),
        ("bert", {}, "is empty: say which"),
        ("bert", {"bias": "all"}, "bias: .*stays frozen"),
        ("bert", {"rank_pattern": 3}, "keys"),
        ("bert", {"modules_to_save": ["embedings"]}, "'embedings'; did you mean 'embeddings'"),
    ],
)
def test_options_that_cannot_work_are_named(kind, options, words):
    with pytest.raises(UserError, match=f"^stages.one.lora.*{words}"):
        put_on(stock(kind), options, "stages.one.lora")


def test_adapters_are_put_on_once_and_pushed_alone_only_while_they_are_on():
    model = stock("bert")
    with pytest.raises(UserError, match="no adapters to push"):
        as_adapter(model, {"r": 2}, None)
    put_on(model, {"r": 2})
    with pytest.raises(UserError, match="has adapters: fold them in, or take them off"):
        put_on(model, {"r": 2})
    with pytest.raises(UserError, match="other adapters than these options make"):
        as_adapter(model, {"target_modules": ["key"]}, None)


@pytest.mark.parametrize("remove", [fold_in, take_off])
def test_towers_get_adapters_and_lose_them_again(remove):
    model = CASES["late_fusion"].make()
    batch = batch_of(model.config, 4)
    names, before = list(model.state_dict()), model(batch).logits
    tower = {name: each.clone() for name, each in model.towers["tweet"].state_dict().items()}
    put_on(model, {"tweet": LORA, "about": {}})
    assert has_adapters(model)
    learning = {k for k, v in parameter_groups(model).items() if any(p.requires_grad for p in v)}
    beneath = {"towers.tweet.embeddings", "towers.tweet.layers.0"}
    assert learning == set(parameter_groups(model)) - beneath
    torch.testing.assert_close(model(batch).logits, before, atol=1e-6, rtol=0)
    for group in learning - {"towers.tweet.lora"}:
        for each in parameter_groups(model)[group]:
            each.requires_grad_(False)
    optimizer = torch.optim.SGD(parameter_groups(model)["towers.tweet.lora"], lr=1.0)
    for _ in range(2):
        optimizer.zero_grad()
        model(batch, torch.tensor([0, 1, 0, 1])).loss.backward()
        optimizer.step()
    trained = model(batch).logits
    assert (trained - before).abs().max() > 1e-4
    assert remove(model) == 2  # query and value of one layer
    wanted = trained if remove is fold_in else before
    torch.testing.assert_close(model(batch).logits, wanted, atol=1e-5, rtol=0)
    assert (list(model.state_dict()), has_adapters(model)) == (names, False)
    assert "lora" not in model.config.towers["tweet"]
    same = [each.equal(tower[k]) for k, each in model.towers["tweet"].state_dict().items()]
    assert same.count(False) == (2 if remove is fold_in else 0)
    with pytest.raises(UserError, match="no tower is called 'twet'; did you mean 'tweet'"):
        put_on(model, {"twet": LORA})
    with pytest.raises(UserError, match="no tower is to have adapters"):
        put_on(model, {"tweet": {}})
