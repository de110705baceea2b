"""Towers from trained models, adapters, cached outputs, dropped modalities."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    BertForSequenceClassification,
    SiglipConfig,
    SiglipForImageClassification,
    SiglipTextConfig,
    ViTConfig,
    ViTForImageClassification,
    set_seed,
)

from hfpipe.errors import UserError
from hfpipe.models.late_fusion import LateFusionConfig, LateFusionModel, fed_as
from hfpipe.models.parts.fusion import drop_modalities
from hfpipe.models.parts.towers import tower_config
from tests.models.support import BERT, CASES, LORA, SIGLIP, WORDS, batch_of, rows_at

SMALL = {"projection_size": 8, "sizes": [8], "problem_type": "binary"}
CACHED = ("about", "picture", "thread", "tweet")


def text_classifier(seed: int = 1) -> BertForSequenceClassification:
    set_seed(seed)
    return BertForSequenceClassification(BERT).eval()


def image_classifier() -> SiglipForImageClassification:
    text = SiglipTextConfig(
        vocab_size=9, hidden_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    config = SiglipConfig(
        vision_config={**SIGLIP.to_dict(), "vision_use_head": False}, text_config=text.to_dict()
    )
    return SiglipForImageClassification(config).eval()


def test_towers_come_from_saved_classifiers_and_wrappers_with_their_weights(tmp_path):
    text, image = text_classifier(), image_classifier()
    metadata = CASES["metadata_mlp"].make(seed=2)
    for name, model in (("tweet", text), ("picture", image), ("about", metadata)):
        model.save_pretrained(tmp_path / name)
    towers = {name: tmp_path / name for name in ("tweet", "picture", "about")}
    fused = LateFusionModel.from_towers(towers, inputs={"picture": {"kind": "image"}}, **SMALL)
    fused.eval()
    assert set(fused.config.inputs) == {"tweet", "picture", "numbers", "groups"}
    batch = batch_of(fused.config, 4)
    found = fused.tower_outputs(batch)

    tokens = {key: each for key, each in batch["tweet"].items() if key != "present"}
    hidden = text.bert(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    expected = (hidden * mask).sum(1) / mask.sum(1)
    torch.testing.assert_close(found["tweet"], expected)
    seen = image.vision_model(pixel_values=batch["picture"]["pixel_values"]).last_hidden_state
    torch.testing.assert_close(found["picture"], seen.mean(1))
    known = {name: batch[name] for name in ("numbers", "groups")}
    torch.testing.assert_close(found["about"], metadata.pooled(known))

    fused.save_pretrained(tmp_path / "fused")
    loaded = AutoModel.from_pretrained(tmp_path / "fused").eval()
    torch.testing.assert_close(loaded(batch).logits, fused(batch).logits)
    stored = load_file(tmp_path / "fused" / "model.safetensors")
    assert not [key for key in stored if "pooler" in key or "classifier" in key]


def test_any_image_encoder_and_models_in_memory_are_towers_too():
    set_seed(0)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=8,
        patch_size=4,
    )
    vit = ViTForImageClassification(config).eval()
    fused = LateFusionModel.from_towers(
        {"picture": vit}, options={"picture": {"pool": "first"}}, **SMALL
    )
    batch = batch_of(fused.config, 3)
    expected = vit.vit(batch["picture"]["pixel_values"]).last_hidden_state[:, 0]
    torch.testing.assert_close(fused.eval().tower_outputs(batch)["picture"], expected)


def test_a_tower_of_another_type_is_refused_before_training(tmp_path):
    text_classifier().save_pretrained(tmp_path / "text")
    with pytest.raises(UserError, match="tower 'a': its input is a image, but a bert model takes"):
        LateFusionModel.from_towers({"a": tmp_path / "text"}, inputs={"a": {"kind": "image"}})
    with pytest.raises(UserError, match="tower 'a': .* is no model that can be loaded"):
        LateFusionModel.from_towers({"a": tmp_path / "nothing"})
    CASES["metadata_mlp"].make().save_pretrained(tmp_path / "metadata")
    with pytest.raises(UserError, match="trained with input 'numbers' as .* processor"):
        LateFusionModel.from_towers(
            {"a": tmp_path / "metadata"}, inputs={"numbers": {"kind": "numeric", "n": 5}}
        )
    bare = tmp_path / "text" / "config.json"
    bare.write_text(bare.read_text().replace('"num_hidden_layers": 1', '"num_hidden_layers": 2'))
    with pytest.raises(UserError, match=r"lacks weights of a bert model, such as encoder.layer.1"):
        LateFusionModel.from_towers({"a": tmp_path / "text"})


def test_towers_come_from_hub_repos_by_id_and_revision_and_the_whole_goes_back(hub):
    old, new = text_classifier(1), text_classifier(2)
    first = old.push_to_hub("local/tower", token=hub.token)
    new.push_to_hub("local/tower", token=hub.token)
    fused = LateFusionModel.from_towers(
        {"old": "local/tower", "new": "local/tower"},
        loading={"old": {"revision": first.oid}},
        **SMALL,
    )
    for name, source in (("old", old), ("new", new)):
        weight = fused.towers[name].backbone.embeddings.word_embeddings.weight
        assert torch.equal(weight, source.bert.embeddings.word_embeddings.weight)
    source = {"repo_id": "local/tower", "revision": first.oid}
    assert fused.config.towers["old"]["source"] == source
    fused.eval().push_to_hub("local/fused", token=hub.token)
    again = AutoModel.from_pretrained("local/fused", token=hub.token).eval()
    batch = batch_of(fused.config, 3)
    torch.testing.assert_close(again(batch).logits, fused(batch).logits)
    assert again.config.towers["old"]["source"] == source
    with pytest.raises(UserError, match="tower 'a': 'local/none' is no model that can be loaded"):
        LateFusionModel.from_towers({"a": "local/none"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"towers": {}}, "no towers"),
        ({"fusion": "cocat"}, "did you mean 'concat'"),
        ({"modality_dropout": 1.0}, "modality_dropout=1.0 is not in"),
        ({"towers": {"tweet": {"config": {}}}}, "tower 'tweet' takes no known input 'tweet'"),
        ({"inputs": {**WORDS, "more": {"kind": "text"}}}, "no tower takes input 'more'"),
        (
            {"towers": {"words": {"config": {"model_type": "brt"}}}},
            "tower 'words': 'brt' is no model type",
        ),
        (
            {"towers": {"words": {"config": {"model_type": "bert"}, "pool": "men"}}},
            "did you mean 'mean'",
        ),
    ],
)
def test_a_config_that_cannot_be_built_says_why(change, message):
    tower = {"inputs": ["words"], "config": {"model_type": "bert"}}
    config = LateFusionConfig(**{"inputs": WORDS, "towers": {"t": tower}, **change})
    with pytest.raises(UserError, match=message):
        LateFusionModel(config)


def test_groups_are_towers_their_adapters_fusion_and_head():
    model = CASES["weighted_lora_fusion"].make()
    groups = model.parameter_groups()
    assert set(groups) == {
        *(f"towers.tweet.{part}" for part in ("embeddings", "layers.0", "lora")),
        *(f"towers.picture.{part}" for part in ("embeddings", "layers.0", "base")),
        "towers.about",
        "towers.thread",
        "fusion",
        "head",
    }
    assert sum(each.numel() for each in groups["towers.tweet.lora"]) == 2 * 2 * (16 * 2)
    tweet = {"towers.tweet.embeddings", "towers.tweet.layers.0", "towers.tweet.lora"}
    assert set(model.cache_boundary()["tweet"]) == tweet
    assert model.cache_boundary()["about"] == ["towers.about"]


def test_adapters_start_without_effect_train_and_merge_into_the_same_logits():
    model = CASES["late_fusion"].make()
    batch = batch_of(model.config, 4)
    before = model(batch).logits
    model.add_lora("tweet", LORA)
    torch.testing.assert_close(model(batch).logits, before, atol=1e-6, rtol=0)
    adapters = model.parameter_groups()["towers.tweet.lora"]
    base = [each.detach().clone() for each in model.parameter_groups()["towers.tweet.layers.0"]]
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=1.0)
    for _ in range(2):
        optimizer.zero_grad()
        model(batch, torch.tensor([0, 1, 0, 1])).loss.backward()
        optimizer.step()
    assert all(each.grad.abs().sum() > 0 for each in adapters)
    for old, new in zip(base, model.parameter_groups()["towers.tweet.layers.0"], strict=True):
        assert torch.equal(old, new)
    trained = model(batch).logits
    model.merge_lora()
    torch.testing.assert_close(model(batch).logits, trained, atol=1e-5, rtol=0)
    assert "towers.tweet.lora" not in model.parameter_groups()
    assert list(model.state_dict()) == list(CASES["late_fusion"].make().state_dict())
    with pytest.raises(UserError, match="no tower is called 'twet'; did you mean 'tweet'"):
        model.add_lora("twet", LORA)
    with pytest.raises(UserError, match="tower 'tweet': lora: .*nowhere"):
        model.add_lora("tweet", {"target_modules": ["nowhere"]})


def test_a_tower_with_adapters_gives_what_it_gave_and_stays_as_it_was():
    from peft import LoraConfig, get_peft_model

    text = get_peft_model(text_classifier(), LoraConfig(**LORA)).eval()
    for name, parameter in text.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    fused = LateFusionModel.from_towers({"tweet": text}, **SMALL).eval()
    batch = batch_of(fused.config, 3)
    tokens = {key: each for key, each in batch["tweet"].items() if key != "present"}
    hidden = text.get_base_model().bert(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    expected = (hidden * mask).sum(1) / mask.sum(1)
    torch.testing.assert_close(fused.tower_outputs(batch)["tweet"], expected, atol=1e-5, rtol=0)
    assert any("lora_A" in name for name, _ in text.named_parameters())
    assert not any("lora_" in name for name, _ in fused.named_parameters())


def test_a_late_fusion_is_a_tower_too_adapters_merged_or_anew():
    expert = CASES["weighted_lora_fusion"].make()
    for name, parameter in expert.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    batch = batch_of(expert.config, 3)
    fused = LateFusionModel.from_towers({"expert": expert}, **SMALL).eval()
    found = fused.tower_outputs(batch)["expert"]
    torch.testing.assert_close(found, expert.pooled(batch), atol=1e-5, rtol=0)
    assert expert.config.towers["tweet"]["lora"] == LORA
    assert not any("lora_" in name for name, _ in fused.named_parameters())
    anew = {"inputs": sorted(expert.config.inputs), "config": tower_config(expert.config)}
    config = LateFusionConfig(inputs=expert.config.inputs, towers={"expert": anew}, **SMALL)
    fresh = dict(LateFusionModel(config).named_parameters())
    started = [each.abs().max().item() for name, each in fresh.items() if "lora_B" in name]
    assert started == [0.0, 0.0]


@pytest.mark.parametrize("name", ["late_fusion", "weighted_lora_fusion"])
def test_cached_tower_outputs_give_equal_logits(name):
    model = CASES[name].make()
    batch = batch_of(model.config, 5)
    batch["words"]["present"] = torch.tensor([True, False, True, True, False])
    expected = model(batch).logits
    with torch.no_grad():
        pooled = model.tower_outputs(batch)
    present = {each: model.tower_present(each, batch) for each in CACHED}
    cached = {fed_as(each): {"pooled": pooled[each], "present": present[each]} for each in CACHED}
    torch.testing.assert_close(model(cached).logits, expected, atol=1e-6, rtol=0)
    some = {**batch, fed_as("tweet"): cached[fed_as("tweet")]}
    del some["words"]
    torch.testing.assert_close(model(some).logits, expected, atol=1e-6, rtol=0)
    part = rows_at(cached, slice(1, 3))
    torch.testing.assert_close(model(part).logits, expected[1:3], atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="tower 'tweet': its cached output has dimension 5, not 16"):
        model({**cached, fed_as("tweet"): {"pooled": torch.zeros(5, 5)}})


def test_modalities_are_dropped_at_their_rate_but_never_all():
    set_seed(0)
    present = torch.ones(20_000, 3, dtype=torch.bool)
    present[:, 2] = torch.arange(20_000) % 2 == 0
    kept = drop_modalities(present, 0.4)
    assert not (kept & ~present).any()
    assert kept.any(dim=1).all()
    # All three drop at 0.4**3, and then one of the three is saved: 1 - 0.4 + 0.4**3 / 3.
    full = present[:, 2]
    assert kept[full].float().mean(dim=0).tolist() == pytest.approx([0.6213] * 3, abs=0.015)
    assert kept[~full, :2].float().mean(dim=0).tolist() == pytest.approx([0.68] * 2, abs=0.015)
    alone = torch.tensor([[False, True, False]]).repeat(50, 1)
    assert torch.equal(drop_modalities(alone, 0.9), alone)


def test_modality_dropout_acts_in_training_only():
    model = CASES["late_fusion"].make(modality_dropout=0.5, dropout=0.0)
    plain = CASES["late_fusion"].make(dropout=0.0)
    batch = batch_of(model.config, 6)
    torch.testing.assert_close(model(batch).logits, plain(batch).logits)
    found = model.tower_outputs(batch)
    pooled = {fed_as(name): {"pooled": each} for name, each in found.items()}
    model.train()
    assert (model(pooled).logits - plain(batch).logits).abs().max() > 1e-3


def test_gradient_checkpointing_of_the_towers_gives_the_same_gradient():
    labels = torch.tensor([0, 1, 1])
    gradients = []
    for checkpointing in (False, True):
        model = CASES["late_fusion"].make().train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            elif isinstance(module, torch.nn.MultiheadAttention):
                module.dropout = 0.0
        if checkpointing:
            model.gradient_checkpointing_enable()
            assert model.is_gradient_checkpointing
        model(batch_of(model.config, 3), labels).loss.backward()
        gradients.append(torch.cat([each.grad.flatten() for each in model.parameters()]))
    torch.testing.assert_close(gradients[0], gradients[1])
