"""The optimizer of a stage: which parameters learn at which rate, with which weight decay."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hfpipe.blocks import Group, Stage
from hfpipe.errors import UserError
from tests.training.small import fusion, mlp
from tests.training.staged import LORA


@pytest.fixture
def small() -> Any:
    """A BERT of three layers, nothing of it learnt."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=50,
        hidden_size=8,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=8,
        num_labels=3,
    )
    return BertForSequenceClassification(config)


def optimizer_groups(
    model: Any, stage: Stage, folder: Any, own: dict[str, Group] | None = None
) -> Callable[[str], list[Any]]:
    """The groups of the optimizer of a stage, by the name of a group; ``own`` is ``rates``."""
    from transformers import TrainingArguments

    from hfpipe.training.rates import open_groups, rates_of
    from hfpipe.training.trainer import HfpipeTrainer

    arguments = TrainingArguments(
        str(folder), learning_rate=1e-2, weight_decay=0.1, report_to="none", use_cpu=True
    )
    initial = {name: True for name, _ in model.named_parameters()}
    open_groups(model, stage, [], initial, "stages.it")
    rates = rates_of(model, stage, arguments, "stages.it", own)
    trainer = HfpipeTrainer(model, arguments, train_collator=list, rates=rates)
    made = trainer.create_optimizer().param_groups
    names = {id(each): name for name, each in model.named_parameters()}
    held = [names[id(each)] for group in made for each in group["params"]]
    assert len(held) == len(set(held))
    assert set(held) == {name for name, each in model.named_parameters() if each.requires_grad}
    return lambda name: [
        SimpleNamespace(**{**each, "names": [names[id(one)] for one in each["params"]]})
        for each in made
        if each["group"] == name
    ]


def test_weight_decay_is_a_group_s_own_and_none_is_on_biases_norms_and_adapters(small, tmp_path):
    from hfpipe.models.adapters import put_on

    put_on(small, LORA)
    groups = {
        "layers.2": Group(weight_decay=0.5),
        "layers.[01]": Group(2e-3),
        "head": Group(5e-3, 0.0),
        "lora": Group(1e-3),
    }
    found = optimizer_groups(small, Stage(groups), tmp_path)
    for name, (rate, decay) in {
        "layers.0": (2e-3, 0.1),
        "layers.1": (2e-3, 0.1),
        "layers.2": (1e-2, 0.5),
        "head": (5e-3, 0.0),
        "lora": (1e-3, 0.0),
    }.items():
        parts = found(name)
        assert parts
        for part in parts:
            assert part.lr == rate
            plain = [each for each in part.names if "bias" in each or "LayerNorm" in each]
            assert plain in ([], part.names)
            assert part.weight_decay == (0.0 if plain else decay)
    assert [len(part.names) for part in found("lora")] == [12]
    assert found("embeddings") == []


def test_each_layer_learns_at_a_share_of_the_one_above_it(small, tmp_path):
    found = optimizer_groups(small, Stage(layer_decay=0.5), tmp_path)
    for name, depth in {
        "head": 0,
        "layers.2": 1,
        "layers.1": 2,
        "layers.0": 3,
        "embeddings": 4,
        "base.pooler": 1,
    }.items():
        assert {part.lr for part in found(name)} == {1e-2 * 0.5**depth}, name
        assert {part.weight_decay for part in found(name)} <= {0.0, 0.1}


def test_layer_decay_is_of_the_rate_that_a_group_names(small, tmp_path):
    stage = Stage({"layers": Group(4e-3), "head": Group(1e-3)}, layer_decay=0.5)
    found = optimizer_groups(small, stage, tmp_path)
    assert [found(f"layers.{at}")[0].lr for at in range(3)] == [5e-4, 1e-3, 2e-3]
    assert found("head")[0].lr == 1e-3


def test_layers_of_a_tower_count_within_it(tmp_path):
    """An encoder's layers learn at shares; the fusion, and a tower without layers, as they did."""
    found = optimizer_groups(fusion(), Stage(layer_decay=0.5), tmp_path)
    for name, depth in {
        "towers.words.layers.1": 1,
        "towers.words.layers.0": 2,
        "towers.words.embeddings": 3,
        "towers.about": 0,
        "fusion": 0,
        "head": 0,
    }.items():
        assert {part.lr for part in found(name)} == {1e-2 * 0.5**depth}, name


def test_rates_of_a_recipe_are_of_the_groups_that_they_name(small, tmp_path):
    own = {"head": Group(5e-2), "layers.[12]": Group(2e-3, 0.5)}
    found = optimizer_groups(small, Stage(), tmp_path, own)
    for name, (rate, decay) in {
        "head": (5e-2, 0.1),
        "layers.1": (2e-3, 0.5),
        "layers.2": (2e-3, 0.5),
        "rest": (1e-2, 0.1),
    }.items():
        assert {part.lr for part in found(name)} == {rate}, name
        assert {part.weight_decay for part in found(name)} == {decay, 0.0}, name
    rest = {name for part in found("rest") for name in part.names}
    every = {name for name, _ in small.named_parameters()}
    assert rest == {name for name in every if "layer.1" not in name and "layer.2" not in name} - {
        "classifier.weight",
        "classifier.bias",
    }


def test_rates_of_a_recipe_are_decayed_by_layers_as_others_are(small, tmp_path):
    found = optimizer_groups(small, Stage(layer_decay=0.5), tmp_path, {"layers": Group(8e-3)})
    assert [found(f"layers.{at}")[0].lr for at in range(3)] == [1e-3, 2e-3, 4e-3]
    assert found("head")[0].lr == 1e-2


def test_a_pattern_may_fit_no_group(small, tmp_path):
    own = {"*pooler": Group(4e-2), "*.nowhere": Group(1.0)}
    found = optimizer_groups(small, Stage(), tmp_path, own)
    (weight, bias) = found("base.pooler")
    assert weight.names + bias.names == ["bert.pooler.dense.weight", "bert.pooler.dense.bias"]
    assert weight.lr == bias.lr == 4e-2
    assert {part.lr for part in found("rest")} == {1e-2}


def test_a_pooler_beside_more_of_its_base_is_a_group_of_its_own(tmp_path):
    from transformers import MPNetConfig, MPNetModel

    config = MPNetConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=8,
    )
    model: Any = torch.nn.ModuleDict({"mpnet": MPNetModel(config)})
    model.base_model_prefix = "mpnet"
    found = optimizer_groups(model, Stage(layer_decay=0.5), tmp_path, {"*.pooler": Group(4e-2)})
    assert {part.lr for part in found("base.pooler")} == {2e-2}
    assert {part.lr for part in found("base")} == {5e-3}
    found = optimizer_groups(model, Stage({"base": Group(1e-3)}), tmp_path)
    assert {part.lr for part in found("base") + found("base.pooler")} == {1e-3}


def test_adapters_learn_at_a_rate_of_a_recipe_and_nothing_else_begins_to(small, tmp_path):
    from hfpipe.models.adapters import put_on

    put_on(small, LORA)
    found = optimizer_groups(small, Stage(), tmp_path, {"head": Group(5e-2), "layers": Group(1)})
    assert {part.lr for part in found("head")} == {5e-2}
    assert {part.lr for part in found("lora")} == {1e-2}
    assert found("layers.0") == []


def test_a_stage_that_names_groups_gives_their_rates(small, tmp_path):
    stage = Stage({"layers": Group(), "head": Group(7e-3)})
    found = optimizer_groups(small, stage, tmp_path, {"head": Group(5e-2), "never": Group()})
    assert (found("head")[0].lr, found("layers.0")[0].lr) == (7e-3, 1e-2)


def test_rates_of_what_does_not_learn_are_told(small):
    from hfpipe.models.groups import freeze
    from hfpipe.training.rates import idle_rates

    freeze(small, ["layers"])
    own = {"layers": Group(1e-3), "head": Group(1e-3), "*.poolr": Group(1e-3)}
    assert idle_rates(small, own) == [
        "rates: 'layers' counts for nothing here: what it names does not learn",
        "rates: '*.poolr' counts for nothing here: no group of this model fits it",
    ]


def test_a_factor_is_of_the_rate_of_training(small, tmp_path):
    stage = Stage({"head": Group(times=10), "layers": Group(times=0.5), "embeddings": Group()})
    found = optimizer_groups(small, stage, tmp_path)
    assert found("head")[0].lr == pytest.approx(1e-1)
    assert found("layers.0")[0].lr == pytest.approx(5e-3)
    found = optimizer_groups(small, Stage(), tmp_path, {"head": Group(times=10)})
    assert found("head")[0].lr == pytest.approx(1e-1)
    assert {part.lr for part in found("rest")} == {1e-2}


def test_a_group_that_is_named_has_a_curve_of_its_own_at_any_rate(small, tmp_path):
    found = optimizer_groups(small, Stage(), tmp_path, {"head": Group(1e-2)})
    assert {part.lr for part in found("head")} == {part.lr for part in found("rest")} == {1e-2}


def test_adapters_that_are_not_on_yet_may_have_a_rate(small, tmp_path):
    found = optimizer_groups(small, Stage(), tmp_path, {"lora": Group(1.0), "head": Group(2e-2)})
    assert {part.lr for part in found("rest")} == {1e-2}
    assert found("lora") == []


def test_an_optimizer_with_groups_of_its_own_is_refused(small, tmp_path, monkeypatch):
    """As GaLore has, whose package is not here."""
    from transformers import TrainingArguments

    from hfpipe.training.rates import rates_of
    from hfpipe.training.trainer import HfpipeTrainer

    arguments = TrainingArguments(str(tmp_path), report_to="none", use_cpu=True)
    rates = rates_of(small, Stage(), arguments, "it", {"head": Group(times=10)})
    trainer = HfpipeTrainer(small, arguments, train_collator=list, rates=rates)
    galore = (torch.optim.AdamW, {"params": [], "lr": 1e-3})
    monkeypatch.setattr(trainer, "get_optimizer_cls_and_kwargs", lambda *_: galore)
    with pytest.raises(UserError, match=r"training.optim=\S+ has groups of its own .*rates=null"):
        trainer.create_optimizer()


def test_one_name_is_a_whole_tower(tmp_path):
    stage = Stage({"towers.words": Group(4e-3), "head": Group()}, layer_decay=0.5)
    found = optimizer_groups(fusion(), stage, tmp_path)
    assert {part.lr for part in found("towers.words.layers.0")} == {1e-3}
    assert found("towers.about") == found("fusion") == []


@pytest.mark.parametrize(
    ("model", "stage"),
    [
        (lambda: mlp("binary"), Stage(layer_decay=0.5)),
        (fusion, Stage({"head": Group(), "fusion": Group()}, layer_decay=0.5)),
    ],
)
def test_decay_by_layers_where_nothing_lies_in_layers_is_refused(tmp_path, model, stage):
    with pytest.raises(UserError) as caught:
        optimizer_groups(model(), stage, tmp_path)
    told = "stages.it.layer_decay: nothing that learns lies in layers: leave it out"
    assert str(caught.value) == told
    assert optimizer_groups(model(), Stage(stage.groups, layer_decay=1), tmp_path)("head")


def test_what_adapters_in_a_tower_stand_in_for_stays_as_it_is(tmp_path):
    """Nothing of the tower beneath them learns, embeddings included; the other tower does."""
    from hfpipe.models.adapters import put_on

    model = fusion()
    put_on(model, {"words": {"r": 2, "target_modules": ["query"]}})
    found = optimizer_groups(model, Stage(), tmp_path)
    for part in ("embeddings", "layers.0", "layers.1", "base.pooler"):
        assert found(f"towers.words.{part}") == []
    assert found("towers.words.lora")
    assert found("towers.about")
