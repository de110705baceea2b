"""The recipes: each is valid and runs; list, show, copy, validate."""

from __future__ import annotations

import json

import pytest
import yaml

from hfpipe.recipe import load_recipe, recipe_names

ONE_STEP = ("--no-wandb", "--quiet", "training.max_steps=1")


def test_list_names_every_recipe_of_the_folder(cli):
    ran = cli("recipes", "list")
    assert ran.code == 0, ran.err
    assert {"topics_minilm", "topics_deberta"} <= set(recipe_names())
    for name in recipe_names():
        assert name in ran.out
        assert load_recipe(name).description[:30] in ran.out


def test_validate_says_that_all_are_valid(cli):
    ran = cli("recipes", "validate")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == [f"{name}: valid" for name in recipe_names()]


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_runs_a_step_from_its_own_defaults(cli, hub, tiny_bert, toys, tmp_path, name):
    from huggingface_hub import HfApi

    target = f"local/step-{name}"
    ran = cli(
        *("finetune", "--recipe", name, "--dataset", toys, "--target", target),
        *("--base-model", tiny_bert, "--out", tmp_path, *ONE_STEP),
    )
    assert ran.code == 0, ran.err
    assert "model.safetensors" in HfApi(token=hub.token).list_repo_files(target)
    assert load_recipe(str(tmp_path / "config.yaml")).training["max_steps"] == 1
    record = json.loads((tmp_path / "metrics.json").read_text())
    assert (record["model"], record["split"], record["n"]) == (target, "validation", 15)


def test_a_recipe_runs_on_a_cpu_that_is_fast_in_bfloat16(
    cli, tiny_bert, toys, tmp_path, monkeypatch
):
    """Every CPU computes in bfloat16; this one is only told that it does so fast."""
    import torch

    able = torch.cpu.get_capabilities() | {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    ran = cli(
        *("finetune", "--dataset", toys, "--target", "local/bf16", "--base-model", tiny_bert),
        *("--out", tmp_path / "run", *ONE_STEP),
    )
    assert ran.code == 0, ran.err
    ran = cli("evaluate", "local/bf16", "--out", tmp_path, "--no-baselines")
    assert ran.code == 0, ran.err
    assert json.loads((tmp_path / "metrics.json").read_text())["n"] == 15


def test_show_prints_commands_and_the_composed_recipe(cli):
    ran = cli("recipes", "show", "topics_deberta", "training.seed=7")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    verbs = [line.split()[2] for line in lines if line.startswith("# hfpipe ")]
    assert verbs == ["prepare", "finetune", "evaluate"]
    shown = yaml.safe_load(ran.out)
    assert shown["model"]["base"] == "microsoft/deberta-v3-base"
    assert shown["training"]["seed"] == 7
    assert shown["training"]["num_train_epochs"] == 3
    assert shown["training"]["train_sampling_strategy"] == "group_by_length"  # from _base


def test_copy_edit_validate_finetune(cli, tiny_bert, toys, tmp_path):
    mine = tmp_path / "mine.yaml"
    assert cli("recipes", "copy", "topics_minilm", mine).code == 0
    assert load_recipe(str(mine)).training == load_recipe("topics_minilm").training
    text = mine.read_text()
    for name in ("base: sentence-transformers/all-MiniLM-L6-v2", "seed: 42"):
        assert name in text
    text = text.replace("base: sentence-transformers/all-MiniLM-L6-v2", f"base: {tiny_bert}")
    mine.write_text(text)
    ran = cli("recipes", "validate", mine)
    assert (ran.code, ran.out) == (0, f"{mine}: valid\n")
    ran = cli(
        *("finetune", "--recipe", mine, "--dataset", toys, "--target", "local/mine"),
        *("--out", tmp_path / "run", *ONE_STEP),
    )
    assert ran.code == 0, ran.err
    assert load_recipe(str(tmp_path / "run" / "config.yaml")).model.base == tiny_bert

    mine.write_text(text.replace("weight_decay", "wieght_decay"))
    ran = cli("recipes", "validate", mine)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "'training.wieght_decay'; did you mean 'training.weight_decay'" in ran.out
    ran = cli("recipes", "copy", "topics_minilm", mine)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "exists already" in ran.err
