"""Stages that cannot be: one line that names the place, before any row is encoded."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from hfpipe.errors import UserError
from tests.training.broken import RIDGE
from tests.training.staged import (
    BEST,
    LAST,
    LORA,
    bert,
    learn,
    recipe_file,
    same,
    topics_of,
)

Refused = Callable[..., str]


@pytest.fixture(scope="session")
def topics(hub) -> str:
    return topics_of(hub, "bad-stages", 9)


@pytest.fixture
def turned_down(hub, tiny_bert, topics, tmp_path, monkeypatch) -> Refused:
    """The line in which a recipe is refused; whoever encodes a row fails the test."""
    from hfpipe.hub.repos import api
    from hfpipe.inputs.training_data import TrainingData

    def encode(*_: Any, **__: Any) -> None:
        raise AssertionError("a row is encoded")

    monkeypatch.setattr(TrainingData, "encoded_rows", encode)

    def turned_down(
        stages: dict[str, Any], model: dict[str, Any] | None = None, **more: Any
    ) -> str:
        wanted = bert(tiny_bert, **(model or {})) if "kind" not in (model or {}) else model
        with pytest.raises(UserError) as caught:
            learn(hub, tmp_path, "never-staged", topics, wanted, stages, **more)
        assert caught.value.exit_code == 2
        line = str(caught.value)
        assert "\n" not in line
        assert not api(hub).repo_exists("local/never-staged")
        assert not (tmp_path / "never-staged").exists()
        return line

    return turned_down


def groups(*names: str, **rates: Any) -> dict[str, Any]:
    return {"it": {"groups": {**{name: {} for name in names}, **rates}}}


@pytest.fixture
def said(tmp_path) -> Callable[..., str]:
    """The line that refuses a recipe once its model is there, as every run looks at it."""
    from transformers import BertConfig, BertForSequenceClassification

    from hfpipe.models.groups import freeze
    from hfpipe.recipe import load_recipe
    from hfpipe.runs import validate_recipe
    from hfpipe.training.reporting import Reporting
    from hfpipe.training.stages import check_stages

    def said(stages: dict[str, Any], model: dict[str, Any] | None = None, **blocks: Any) -> str:
        config = BertConfig(
            vocab_size=9,
            hidden_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=8,
        )
        path = recipe_file(
            tmp_path, "refused", "local/any", bert("any", **(model or {})), stages, **blocks
        )
        recipe = load_recipe(str(path))
        validate_recipe(recipe)
        network = BertForSequenceClassification(config)
        if recipe.model.freeze:
            freeze(network, recipe.model.freeze)
        before = {name: each.clone() for name, each in network.state_dict().items()}
        learning = SimpleNamespace(
            recipe=recipe, model=network, folder=tmp_path / "none", reporting=Reporting()
        )
        with pytest.raises(UserError) as caught:
            check_stages(learning)  # type: ignore[arg-type]
        assert same(before, network.state_dict())  # it looked at a copy
        assert not (tmp_path / "none").exists()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return said


@pytest.mark.parametrize(
    ("rates", "stages", "words"),
    [
        ({"haed": 1e-3}, {}, "rates: no group 'haed'; did you mean 'head'?"),
        ({"haed": 1e-3}, {"a": groups("head")["it"], "b": {}}, "rates: no group 'haed'"),
        ({"layers": 1, "layers.1": 1}, {}, "rates: 'layers' and 'layers.1' both stand for group"),
        ({"head": -1}, {}, "rates.head.learning_rate=-1.0: it is a number from 0 on"),
        ({"head": {"weight_decay": -1}}, {}, "rates.head.weight_decay=-1.0: it is a number"),
        ({"head": {"times": -1}}, {}, "rates.head.times=-1.0: it is a number"),
        ({"head": {"rate": 1}}, {}, "rates: no group 'head.rate'; did you mean 'head'?"),
        (
            {"head": {"learning_rate": 1e-3, "times": 10}},
            {},
            "rates.head has learning_rate and times: give one of them, as rates.head=0.001",
        ),
    ],
)
def test_rates_of_a_recipe_that_cannot_be(said, rates, stages, words):
    assert words in said(stages, rates=rates)


def test_what_is_no_rate_is_named_with_its_recipe(turned_down):
    line = turned_down({}, rates={"head": "fast"})
    assert re.fullmatch(
        r"recipe \S+: rates.head: 'fast' is no rate: give a number \(1.0e-3\) or a factor \(10x\)",
        line,
    )
    assert "stages.it.groups.head: 'True' is no rate" in turned_down(groups(head=True))


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        (groups("haed"), "stages.it.groups: no group 'haed'; did you mean 'head'?"),
        (groups("layers.7"), "no group 'layers.7'; did you mean 'layers.1' or 'layers.0'?"),
        (groups("lora"), "stages.it.groups: no group 'lora'"),
        (groups("layers", "layers.1"), "'layers' and 'layers.1' both stand for group 'layers.1'"),
        (groups("layers.*", "layers.[01]"), "both stand for group 'layers.0'"),
        (groups(head=-1e-3), "stages.it.groups.head.learning_rate=-0.001: it is a number from 0"),
        (groups(head={"weight_decay": -1}), "stages.it.groups.head.weight_decay=-1.0"),
        ({"it": {"layer_decay": 0}}, "stages.it.layer_decay=0.0: it is above 0 and at most 1"),
        ({"it": {"layer_decay": 1.5}}, "stages.it.layer_decay=1.5: it is above 0 and at most 1"),
        # The second of two is looked at as early as the first.
        ({"a": {}, "b": {"groups": {"haed": {}}}}, "stages.b.groups: no group 'haed'"),
        (
            {"it": {"training": {"gradient_accumulation_steps": 0}}},
            "training.gradient_accumulation_steps: '0' is no whole number from 1 on",
        ),
        ({"it": {"training": {"lr_scheduler_type": "linaer"}}}, "linaer"),
    ],
)
def test_groups_and_rates_that_cannot_be(said, stages, words):
    assert words in said(stages)


def test_a_run_is_refused_by_its_last_stage_before_any_row_is_encoded(turned_down):
    stages = {"a": {"lora": "on", "groups": {"lora": {}}}, "b": groups("haed")["it"]}
    line = turned_down(stages, {"lora": LORA})
    assert "stages.b.groups: no group 'haed'; did you mean 'head'?" in line


@pytest.mark.parametrize(
    ("stages", "model", "words"),
    [
        (groups("head"), {"freeze": ["head"]}, "stages.it: nothing is left to learn; its groups"),
        (
            {"it": {"lora": "on"}},
            {"lora": {"target_modules": ["nothing"]}},
            "the model has no module 'nothing'; there is",
        ),
        ({"it": {"lora": "on"}}, {"lora": {"rank": 4}}, "model.lora: "),
    ],
)
def test_frozen_groups_and_adapters_that_match_nothing(said, stages, model, words):
    assert words in said(stages, model)


@pytest.mark.parametrize(
    ("stages", "model", "words"),
    [
        (
            {"it": {"lora": "on"}},
            {},
            "stages.it.lora: which adapters? give model.lora, as model.lora.r=8",
        ),
        ({"it": {"lora": "onn"}}, {"lora": LORA}, "no 'onn'; did you mean 'on'?"),
        ({"it": {"lora": "merge"}}, {"lora": LORA}, "stages.it.lora: no 'merge'; did you mean"),
        ({"it": {}}, {"lora": LORA}, "model.lora: no stage puts the adapters on"),
        (
            {"it": {"lora": "on", "groups": {"layers": {}, "head": {}}}},
            {"lora": LORA, "push": "adapter"},
            "stages.it: trains layers, but model.push=adapter pushes adapters and head alone",
        ),
        (
            {"a": {"lora": "on"}, "b": {"lora": "merged"}},
            {"lora": LORA, "push": "adapter"},
            "stages.b: changes the model beneath them, but model.push=adapter",
        ),
        (
            {"a": {"groups": {"emb*": {}}}, "b": {"lora": "on"}},
            {"lora": LORA, "push": "adapter"},
            "stages.a: trains emb*, but model.push=adapter",
        ),
    ],
)
def test_adapters_that_cannot_be(turned_down, stages, model, words):
    assert words in turned_down(stages, model)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ({"it": {"group": {}}}, "unknown key 'stages.it.group'; did you mean 'stages.it.groups'"),
        ({"it": {"layerdecay": 1}}, "did you mean 'stages.it.layer_decay'"),
        (groups(head={"lr": 1}), "unknown key 'stages.it.groups.head.lr'"),
        (
            {"it": {"early_stopping": {"patient": 1}}},
            "did you mean 'stages.it.early_stopping.patience'",
        ),
        (
            {"it": {"training": {"learning_rat": 1}}},
            "unknown key 'stages.it.training.learning_rat'; did you mean "
            "'stages.it.training.learning_rate'",
        ),
        (
            {"it": {"training": {"num_train_epochs": "many"}}},
            "stages.it.training.num_train_epochs: 'many' is not of type",
        ),
        ({"it": {"training": {"hub_token": "hf_x"}}}, "stages.it.training.hub_token has another"),
        ({"a stage": {}}, "stages.a stage: a stage's name is letters, digits, _ and -"),
        ({"../up": {}}, "stages.../up: a stage's name is letters"),
        (groups(head={"learning_rate": ".inf"}), "stages.it.groups.head.learning_rate"),
        (groups(head="fast"), "stages.it.groups.head"),
        ({"it": {"layer_decay": "half"}}, "stages.it.layer_decay"),
        ({"it": 3}, "stages.it"),
        ({"it": {"groups": "head"}}, "stages.it.groups"),
        ({"it": {"early_stopping": {"patience": -1}}}, "stages.it.early_stopping.patience=-1"),
        ({"it": {"early_stopping": {"epsilon": -0.1}}}, "stages.it.early_stopping.epsilon=-0.1"),
        (
            {"it": {"early_stopping": {"min_epochs": -2}}},
            "stages.it.early_stopping.min_epochs=-2.0: it is a number from 0 on",
        ),
    ],
)
def test_keys_and_values_that_no_stage_has(turned_down, stages, words):
    line = turned_down(stages)
    assert words in line
    assert "hf_x" not in line


@pytest.mark.parametrize(
    ("stages", "blocks", "words"),
    [
        (
            {"it": {"early_stopping": {"metric": "acuracy", "patience": 1}}},
            {"training": BEST},
            "stages.it.early_stopping.metric 'acuracy' is not a metric of this task; did you mean "
            "'accuracy'",
        ),
        (
            {},
            {"training": BEST, "early_stopping": {"metric": "f_1", "patience": 1}},
            "never-staged: early_stopping.metric 'f_1' is not a metric of this task; there is",
        ),
        (
            {"a": {}, "b": {"training": {"metric_for_best_model": "acuracy"}}},
            {"training": BEST},
            "stages.b.training.metric_for_best_model 'acuracy' is not a metric of this task",
        ),
        (
            {"it": {"training": {"eval_strategy": "no", "save_strategy": "no"}}},
            {"training": LAST, "early_stopping": {"patience": 2}},
            "stages.it.early_stopping: nothing is evaluated while it learns: set "
            "training.eval_strategy=epoch",
        ),
        (
            {},
            {"training": LAST, "early_stopping": {"patience": 2}},
            "early_stopping keeps the best weights: set training.load_best_model_at_end=true",
        ),
        ({}, {"early_stopping": {"patience": -1}}, "early_stopping.patience=-1: it is a number"),
        (
            {},
            {"training": {**LAST, "gradient_accumulation_steps": 0}},
            "training.gradient_accumulation_steps: '0' is no whole number from 1 on",
        ),
    ],
)
def test_stopping_that_cannot_be(turned_down, stages, blocks, words):
    assert words in turned_down(stages, **blocks)


@pytest.mark.parametrize(
    "blocks",
    [
        {"stages": {"head": {}}},
        {"stages": {"head": {"early_stopping": {"patience": 1}}}},
        {"early_stopping": {"patience": 1}},
    ],
)
def test_a_table_has_no_stages(turned_down, blocks):
    given = {"stages": {}, "training": {"seed": 3}, **blocks}
    assert "a ridge model has no Trainer" in turned_down(given.pop("stages"), RIDGE, **given)
