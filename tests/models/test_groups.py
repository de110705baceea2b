"""Named groups of parameters: complete, disjoint, and what freezing one does."""

from __future__ import annotations

import pytest
from transformers import (
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    SiglipConfig,
    SiglipForImageClassification,
)

from hfpipe.errors import UserError
from hfpipe.models.adapters import with_adapters
from hfpipe.models.groups import freeze, head_modules, parameter_groups
from tests.models.support import BERT, CASES, SIGLIP

DEBERTA = DebertaV2Config(
    vocab_size=20,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=16,
    relative_attention=True,
    position_biased_input=False,
    pos_att_type=["p2c", "c2p"],
)


def bert() -> BertForSequenceClassification:
    return BertForSequenceClassification(BERT)


def siglip() -> SiglipForImageClassification:
    return SiglipForImageClassification(SiglipConfig(vision_config=SIGLIP.to_dict()))


def counts(model) -> dict[str, int]:
    return {name: len(each) for name, each in parameter_groups(model).items()}


STOCK = {
    "bert": (bert, {"embeddings", "layers.0", "base", "head"}),
    "deberta": (
        lambda: DebertaV2ForSequenceClassification(DEBERTA),
        {"embeddings", "layers.0", "layers.1", "base", "head"},
    ),
    "siglip": (siglip, {"embeddings", "layers.0", "base", "head"}),
    "adapters": (
        lambda: with_adapters(bert(), {"r": 2, "target_modules": ["query"]}, None),
        {"embeddings", "layers.0", "base", "head", "lora"},
    ),
}


@pytest.mark.parametrize("name", [*STOCK, *CASES])
def test_every_parameter_is_in_one_group(name):
    model = STOCK[name][0]() if name in STOCK else CASES[name].make()
    groups = parameter_groups(model)
    grouped = [id(each) for group in groups.values() for each in group]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(each) for each in model.parameters()}
    if name in STOCK:
        assert set(groups) == STOCK[name][1]


def test_a_frozen_group_and_no_other_learns_nothing():
    model = CASES["late_fusion"].make()
    freeze(model, ["towers.tweet", "head"])
    for name, group in parameter_groups(model).items():
        learns = {each.requires_grad for each in group}
        assert learns == {name not in ("towers.tweet", "head")}, name


def test_towers_are_all_of_them_but_not_their_adapters():
    model = CASES["weighted_lora_fusion"].make()
    freeze(model, ["towers"])
    learning = {
        name
        for name, group in parameter_groups(model).items()
        if any(each.requires_grad for each in group)
    }
    assert learning == {"towers.tweet.lora", "fusion", "head"}
    freeze(model, ["towers.tweet.lora"])
    assert not any(each.requires_grad for each in parameter_groups(model)["towers.tweet.lora"])


def test_layers_of_a_stock_model_are_frozen_one_by_one_or_together():
    model = DebertaV2ForSequenceClassification(DEBERTA)
    freeze(model, ["embeddings", "layers.0"])
    still = [name for name, each in model.named_parameters() if each.requires_grad]
    assert not [name for name in still if "embeddings.word" in name or "layer.0." in name]
    assert [name for name in still if "layer.1." in name]
    freeze(model, ["layers"])
    still = [name for name, each in model.named_parameters() if each.requires_grad]
    assert not [name for name in still if "layer.1." in name]
    assert "classifier.weight" in still


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["embedings"], "no group 'embedings'; did you mean 'embeddings'"),
        (["layers.7"], r"no group 'layers\.7'"),
        (["layer"], "no group 'layer'"),
        (["embeddings", "layers", "base", "head"], "nothing is left to learn"),
    ],
)
def test_what_cannot_be_frozen_is_one_clear_line(names, words):
    with pytest.raises(UserError, match=words) as caught:
        freeze(bert(), names)
    assert "\n" not in str(caught.value)


def test_the_head_is_what_is_not_the_encoder():
    assert head_modules(bert()) == ["classifier"]
    assert head_modules(DebertaV2ForSequenceClassification(DEBERTA)) == ["pooler", "classifier"]
    assert head_modules(siglip()) == ["classifier"]
    assert counts(siglip())["head"] == 2
