"""LoRA as a user sees it: pushed merged or alone, and used by someone without hfpipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load

from hfpipe.errors import UserError
from tests.training.support import (
    METADATA,
    push,
    pushed_bytes,
    pushed_files,
    rows,
    scores,
    story,
    text,
    tune,
)

LORA = {"r": 4, "lora_alpha": 8, "target_modules": ["query", "value"]}
FAST = {"num_train_epochs": 6, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def dataset(hub) -> str:
    return push(hub, "adapted")


def adapt(hub, bert: str, folder: Path, target: str, dataset: str, **model: Any):
    chosen = {"kind": "sequence_classification", "base": bert, "lora": LORA, **model}
    return tune(
        hub, folder, target, dataset, chosen, {"text": text()}, training=FAST, task="binary"
    )


@pytest.fixture(scope="module")
def merged(hub, tiny_bert, dataset, tmp_path_factory):
    return adapt(hub, tiny_bert, tmp_path_factory.mktemp("m"), "lora-merged", dataset)


@pytest.fixture(scope="module")
def alone(hub, tiny_bert, dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("a")
    return adapt(hub, tiny_bert, folder, "lora-alone", dataset, push="adapter")


def logits_of(model: Any, tokenizer: Any, count: int = 8) -> torch.Tensor:
    texts = [row["text"] for row in rows(48, 3)[:count]]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        found: torch.Tensor = model.eval()(**batch).logits
    return found


def test_merged_adapters_are_a_stock_model_that_learnt(hub, tiny_bert, merged, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    names = pushed_files(hub, merged)
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= names
    assert not [name for name in names if name.startswith(("adapter_", "modeling_"))]
    weights = load(pushed_bytes(hub, merged, "model.safetensors"))
    assert not [key for key in weights if "lora" in key or "base_layer" in key]

    found = scores(hub, tmp_path, merged)
    assert found.record.metrics["roc_auc"] > 0.95
    model = AutoModelForSequenceClassification.from_pretrained(merged.model.repo_id)
    tokenizer = AutoTokenizer.from_pretrained(merged.model.repo_id)
    positive = torch.softmax(logits_of(model, tokenizer), dim=-1)[:, 1].tolist()
    assert positive == pytest.approx([row["score"] for row in found.rows[:8]], abs=2e-5)


def test_only_what_the_adapters_are_on_differs_from_the_base(hub, tiny_bert, merged):
    from transformers import AutoModel

    base = AutoModel.from_pretrained(tiny_bert).state_dict()
    weights = load(pushed_bytes(hub, merged, "model.safetensors"))
    changed = {
        key
        for key, each in base.items()
        if f"bert.{key}" in weights and not torch.equal(weights[f"bert.{key}"], each)
    }
    assert changed == {
        f"encoder.layer.{layer}.attention.self.{name}.weight"
        for layer in (0, 1)
        for name in ("query", "value")
    }


def test_adapters_alone_name_their_base_and_hold_nothing_of_it(hub, tiny_bert, alone):
    names = pushed_files(hub, alone)
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= names
    assert not [name for name in names if name.startswith(("model", "pytorch_model"))]
    config = json.loads(pushed_bytes(hub, alone, "adapter_config.json"))
    origin = story(hub, alone)["origins"]["base"]
    assert config["base_model_name_or_path"] == tiny_bert == origin["repo_id"]
    assert config["revision"] == origin["revision"]
    assert len(config["revision"]) == 40
    weights = load(pushed_bytes(hub, alone, "adapter_model.safetensors"))
    # 2 layers of query and value, A and B each, and the head.
    assert len([key for key in weights if "lora_" in key]) == 8
    assert {key for key in weights if "lora_" not in key} == {
        "base_model.model.classifier.bias",
        "base_model.model.classifier.weight",
    }


def test_adapters_alone_score_as_in_training_and_as_merged(hub, merged, alone, tmp_path):
    held = scores(hub, tmp_path / "held", alone, split="validation")
    for name, value in alone.record.metrics.items():
        assert held.record.metrics[name] == pytest.approx(value, abs=1e-5), name
    test = [scores(hub, tmp_path / each.model.repo_id, each) for each in (merged, alone)]
    each = [[row["score"] for row in found.rows] for found in test]
    assert each[0] == pytest.approx(each[1], abs=1e-5)
    assert test[0].record.threshold == pytest.approx(test[1].record.threshold, abs=1e-5)


def test_a_stranger_with_peft_gets_the_same_logits(hub, alone):
    from peft import AutoPeftModelForSequenceClassification
    from transformers import AutoTokenizer

    from hfpipe.loading import load_pushed

    own = load_pushed(hub, alone.model.repo_id)
    theirs = AutoPeftModelForSequenceClassification.from_pretrained(alone.model.repo_id)
    tokenizer = AutoTokenizer.from_pretrained(alone.model.repo_id)
    found = logits_of(theirs, tokenizer)
    assert found.shape == (8, 2)
    torch.testing.assert_close(found, logits_of(own.model, tokenizer), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"lora": {"target_modules": ["nothing"]}}, "no module 'nothing'"),
        ({"lora": {"target_modules": ["query", "vlue"]}}, "'vlue'; did you mean 'value'"),
        ({"lora": {"target_modules": ".*nothing"}}, "model.lora: .*[Nn]o modules"),
        ({"lora": {"rank": 4}}, "model.lora: .*rank"),
        ({"lora": {**LORA, "r": 0}}, "model.lora: "),
        ({"push": "adaptor"}, "model.push: no 'adaptor'; did you mean 'adapter'"),
        ({"push": "adapter", "lora": {}}, "model.push: .*model.lora"),
    ],
)
def test_what_cannot_work_is_one_clear_line(hub, tiny_bert, dataset, tmp_path, model, words):
    with pytest.raises(UserError, match=words) as caught:
        adapt(hub, tiny_bert, tmp_path, "lora-never", dataset, **model)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "lora-never" / "checkpoints").exists()


def test_a_tower_learns_by_adapters_and_is_pushed_with_them(hub, tiny_bert, dataset, tmp_path):
    about = {"kind": "concat_mlp", "config": {"sizes": [8]}}
    pushed = tune(
        hub,
        tmp_path,
        "lora-about",
        dataset,
        about,
        METADATA,
        training={"num_train_epochs": 1},
        task="binary",
    )
    model = {
        "kind": "late_fusion",
        "freeze": ["towers"],
        "config": {"projection_size": 8, "sizes": [8]},
        "towers": {
            "about": {"model": pushed.model.repo_id},
            "words": {"model": tiny_bert, "lora": LORA},
        },
    }
    inputs = {"words": text()}
    tuned = tune(hub, tmp_path, "lora-fusion", dataset, model, inputs, training=FAST, task="binary")
    weights = load(pushed_bytes(hub, tuned, "model.safetensors"))
    learnt = [each for key, each in weights.items() if "lora_B" in key]
    assert len(learnt) == 4
    assert all(each.abs().max() > 0 for each in learnt)  # B starts at zero
    held = scores(hub, tmp_path / "held", tuned, split="validation")
    for name, value in tuned.record.metrics.items():
        assert held.record.metrics[name] == pytest.approx(value, abs=1e-5), name


def test_the_card_of_adapters_says_how_to_load_them(hub, alone, merged):
    card = pushed_bytes(hub, alone, "README.md").decode()
    assert "library_name: peft" in card
    assert "AutoPeftModelForSequenceClassification.from_pretrained(" in card
    assert '"local/lora-alone", num_labels=2' in card
    assert "stock `transformers` model" not in card
    assert "stock `transformers` model" in pushed_bytes(hub, merged, "README.md").decode()
