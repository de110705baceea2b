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
from hfpipe.models.adapters import put_on
from hfpipe.models.groups import depth, freeze, head_modules, match, parameter_groups, select
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


def adapted(model, targets=None):
    put_on(model, {"r": 2, "target_modules": targets})
    return model


STOCK = {
    "bert": (bert, {"embeddings", "layers.0", "base.pooler", "head"}),
    "deberta": (
        lambda: DebertaV2ForSequenceClassification(DEBERTA),
        {"embeddings", "layers.0", "layers.1", "base", "head"},
    ),
    "siglip": (siglip, {"embeddings", "layers.0", "base", "head"}),
    "adapters": (
        lambda: adapted(bert(), ["query"]),
        {"embeddings", "layers.0", "base.pooler", "head", "lora"},
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
        assert learns == {not name.startswith(("towers.tweet.", "head"))}, name


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


FUSION = ["towers.tweet", "towers.tweet.lora", "towers.lora", "fusion", "head"]
LAYERS = [*(f"layers.{number}" for number in range(12)), "embeddings", "base", "head", "lora"]


@pytest.mark.parametrize(
    ("groups", "name", "found"),
    [
        (FUSION, "towers", ["towers.tweet", "towers.lora"]),
        (FUSION, "towers.*", ["towers.tweet", "towers.lora"]),
        (FUSION, "towers.tweet", ["towers.tweet"]),
        (FUSION, "towers.*.lora", ["towers.tweet.lora"]),
        (FUSION, "*", ["towers.tweet", "towers.lora", "fusion", "head"]),
        (FUSION, "fusio", []),
        (
            ["towers.a.layers.0", "towers.b.base", "towers.c"],
            "towers.[ac]",
            ["towers.a.layers.0", "towers.c"],
        ),
        (["towers.a.layers.0", "towers.a.base"], "towers.a.layers", ["towers.a.layers.0"]),
        (LAYERS, "layers.1", ["layers.1"]),
        (LAYERS, "layers.1*", ["layers.1", "layers.10", "layers.11"]),
        (LAYERS, "layers.[!0-9]*", []),
        (LAYERS, "layers.[345]", ["layers.3", "layers.4", "layers.5"]),
        (LAYERS, "l*", LAYERS[:12]),
        (LAYERS, "lora", ["lora"]),
    ],
)
def test_a_name_stands_for_groups(groups, name, found):
    assert match(groups, name) == found


def test_names_are_resolved_for_a_model():
    wanted = {"layers.[01]": {}, "head": {"learning_rate": 1e-3}, "lora": {}}
    assert select(adapted(DebertaV2ForSequenceClassification(DEBERTA)), wanted, "here") == {
        "layers.[01]": ["layers.0", "layers.1"],
        "head": ["head"],
        "lora": ["lora"],
    }
    towers = select(CASES["weighted_lora_fusion"].make(), {"towers": {}}, "here")["towers"]
    assert sorted({each.split(".")[1] for each in towers}) == [
        "about",
        "picture",
        "thread",
        "tweet",
    ]
    assert "towers.tweet.layers.0" in towers
    assert not [each for each in towers if each.endswith(".lora")]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (["heads"], "stages.one.groups: no group 'heads'; did you mean 'head'"),
        (["lora"], "no group 'lora'; there is "),
        (["layers.[89]"], r"no group 'layers.\[89\]'"),
        (["layers", "layers.0"], "'layers' and 'layers.0' both stand for group 'layers.0'"),
        (["*", "head"], r"'\*' and 'head' both stand for group 'head'"),
    ],
)
def test_names_that_cannot_be_meant_are_one_clear_line(wanted, words):
    with pytest.raises(UserError, match=words) as caught:
        select(bert(), dict.fromkeys(wanted), "stages.one.groups")
    assert "\n" not in str(caught.value)


def test_depth_counts_down_from_the_head():
    found = {name: depth(name, LAYERS) for name in LAYERS}
    top = {"head": 0, "lora": 0, "base": 1, "embeddings": 13}
    assert found == {f"layers.{number}": 12 - number for number in range(12)} | top
    assert {depth(name, FUSION) for name in FUSION} == {0}
    inside = ["towers.a.embeddings", "towers.a.layers.0", "towers.a.layers.1", "towers.a.lora"]
    assert [depth(name, [*inside, *FUSION]) for name in inside] == [3, 2, 1, 0]
    groups = parameter_groups(DebertaV2ForSequenceClassification(DEBERTA))
    assert {name: depth(name, groups) for name in groups} == {
        "embeddings": 3,
        "layers.0": 2,
        "layers.1": 1,
        "base": 1,
        "head": 0,
    }
