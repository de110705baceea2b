"""Which weights a stage ends with, and whether they go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hfpipe.errors import UserError
from hfpipe.training.watch import Watch
from tests.toys import push_rows
from tests.training.small import TOYS, trainer_of
from tests.training.staged import BEST, LAST, LORA, bert, checkpoint, learn, same, topics_of
from tests.training.support import METADATA, PREPARED, push, rows, story, tune

PLAIN = TOYS["stock BERT, class weights"]


@pytest.fixture(scope="module")
def dataset(hub) -> str:
    return topics_of(hub, "weighed")


def test_a_stage_that_took_the_adapters_off_goes_on_whatever_was_with_them(
    hub, tiny_bert, dataset, tmp_path
):
    """What it began with was never measured: going back there would help nobody."""
    stages = {
        "good": {
            "lora": "on",
            "groups": {"lora": 0.05, "head": 0.05},
            "training": {"num_train_epochs": 4},
        },
        "last": {"lora": "off", "groups": {"head": 1e-4}, "training": {"max_steps": 2}},
    }
    model = bert(tiny_bert, lora=LORA)
    tuned = learn(hub, tmp_path, "taken-off", dataset, model, stages, training=BEST)
    told = story(hub, tuned)["stages"]
    assert told[1]["best"] > told[0]["best"]  # it is worse, as a loss
    assert [each["kept"] for each in told] == [True, True]
    assert same(tuned.folder / "checkpoints" / "2-end.safetensors", checkpoint(tuned, "last"))


def test_only_an_evaluation_whose_weights_are_saved_is_the_best_one(
    hub, tiny_bert, dataset, tmp_path
):
    """Nothing learns, so that the first that counts is the best: at step 3, not at 1."""
    steps = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 3}
    training = {**BEST, **steps, "learning_rate": 0.0}
    tuned = learn(hub, tmp_path, "unsaved", dataset, bert(tiny_bert), training=training)
    (only,) = story(hub, tuned)["stages"]
    assert only["best_step"] == 3


@pytest.mark.parametrize("schedule", ["constant", "reduce_lr_on_plateau"])
def test_an_evaluation_without_the_metric_is_not_better_and_is_told_once(
    tmp_path, capsys, schedule
):
    """MCC is not defined where one class alone is predicted."""
    model = PLAIN.model()
    with torch.no_grad():
        model.classifier.bias[0] = 100.0
    trainer = trainer_of(
        PLAIN,
        tmp_path,
        PLAIN.rows(12),
        PLAIN.rows(8, 1),
        model=model,
        rows=4,
        watch=Watch(None, PLAIN.kind),
        per_device_train_batch_size=4,
        max_steps=3,
        learning_rate=1e-6,
        lr_scheduler_type=schedule,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        load_best_model_at_end=True,
        metric_for_best_model="mcc",
        greater_is_better=True,
    )
    trainer.train()
    assert trainer.state.global_step == 3
    assert trainer.state.best_global_step is None
    assert capsys.readouterr().err.count("validation mcc is not defined") == 1


def one_sided(hub: Any, name: str) -> str:
    """Rows whose validation split has no positive one."""
    held = [row for row in rows(48, 2) if row["answer"] == "no"]
    splits = {"train": rows(48, 1), "validation": held, "test": rows(12, 3)}
    return push_rows(hub, f"local/{name}", PREPARED, **splits)


@pytest.mark.parametrize(
    ("metric", "words"),
    [("roc_auc", "no positive row"), ("recall", "no positive row"), ("mcc", "")],
)
def test_a_metric_that_validation_cannot_have_is_refused(hub, tmp_path, metric, words):
    dataset = one_sided(hub, "one-sided")
    model = {"kind": "concat_mlp", "config": {"sizes": [4]}}
    training = {"metric_for_best_model": metric}
    with pytest.raises(UserError) as caught:
        tune(hub, tmp_path, "one-sided", dataset, model, METADATA, training=training, task="binary")
    line = str(caught.value)
    assert f"training.metric_for_best_model '{metric}' is not defined on" in line
    assert words in line
    assert "split 'validation'" in line
    assert "\n" not in line
    assert not (tmp_path / "one-sided" / "checkpoints").exists()


@pytest.mark.parametrize("metric", ["loss", "precision", "accuracy"])
def test_a_metric_that_validation_can_have_is_not(hub, tmp_path, metric):
    dataset = one_sided(hub, "one-sided-fine")
    model = {"kind": "concat_mlp", "config": {"sizes": [4]}}
    training = {"metric_for_best_model": metric, "num_train_epochs": 1}
    tune(hub, tmp_path, "fine", dataset, model, METADATA, training=training, task="binary")


def learnt(tuned: Any, stage: str, base: dict[str, torch.Tensor]) -> set[str]:
    """What a stage changed of the base's own weights."""
    found = {
        key.replace(".base_layer.", ".").removeprefix("bert."): each
        for key, each in checkpoint(tuned, stage).items()
    }
    return {key for key in base if not torch.equal(found[key], base[key])}


@pytest.fixture(scope="module")
def base(hub, tiny_bert) -> dict[str, torch.Tensor]:
    from hfpipe.hub.repos import download

    return load_file(str(download(hub, tiny_bert, "model", "model.safetensors", "main")))


@pytest.mark.parametrize("freeze", [[], ["embeddings"]])
def test_modules_to_save_learn_in_a_stage_without_groups(
    hub, tiny_bert, dataset, base, tmp_path: Path, freeze
):
    lora = {**LORA, "modules_to_save": ["embeddings", "layer.1.output"]}
    model = bert(tiny_bert, lora=lora, freeze=freeze)
    name = f"saved-{len(freeze)}"
    tuned = learn(hub, tmp_path, name, dataset, model, {"a": {"lora": "on"}}, training=LAST)
    changed = learnt(tuned, "a", base)
    assert {key.startswith(("embeddings.", "encoder.layer.1.output.")) for key in changed} == {True}
    assert any(key.startswith("embeddings.") for key in changed) is not bool(freeze)
    assert any(key.startswith("encoder.layer.1.output.") for key in changed)


def test_modules_to_save_of_a_tower_learn_in_a_stage_without_groups(
    hub, tiny_bert, base, tmp_path: Path
):
    lora = {**LORA, "modules_to_save": ["embeddings"]}
    words = {"model": tiny_bert, "inputs": ["text"], "lora": lora}
    model = {
        "kind": "late_fusion",
        "towers": {"words": words},
        "config": {"projection_size": 4, "sizes": [4]},
    }
    stages = {"a": {"lora": "on"}}
    tuned = learn(hub, tmp_path, "saved-tower", push(hub, "saved-rows"), model, stages)
    start = "towers.words.backbone."
    found = {
        key.removeprefix(start).replace(".base_layer.", "."): each
        for key, each in checkpoint(tuned, "a").items()
    }
    shared = found.keys() & base.keys()
    changed = {key for key in shared if not torch.equal(found[key], base[key])}
    assert changed
    assert all(key.startswith("embeddings.") for key in changed)
