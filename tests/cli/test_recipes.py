"""The recipes: each is valid and runs; list, show, copy, validate."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from hfpipe.recipe import load_recipe, recipe_names
from tests.cli.raw import RAW

SUITES = Path(__file__).parents[1] / "suites"

ONE_STEP = ("--no-wandb", "--quiet", "training.max_steps=1")


def test_list_names_every_recipe_of_the_folder(cli):
    ran = cli("recipes", "list")
    assert ran.code == 0, ran.err
    assert {"topics_minilm", "topics_deberta"} <= set(recipe_names())
    for name in recipe_names():
        assert name in ran.out
    for line in ran.out.splitlines()[1:]:
        recipe = load_recipe(line.split()[0])
        kind = "suite" if recipe.suite.recipes else recipe.model.kind
        assert line.split()[1] == kind
        assert line.split(maxsplit=2)[2].strip() == recipe.description


def test_validate_says_that_all_are_valid(cli):
    ran = cli("recipes", "validate")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == [f"{name}: valid" for name in recipe_names()]


@pytest.fixture(scope="module")
def deep_bert(hub, hub_directory, tmp_path_factory) -> str:
    """A BERT of 4 layers of 16: recipes freeze the first three."""
    from transformers import AutoTokenizer, BertConfig, BertModel, set_seed

    from hfpipe.hub.embedded import import_repo
    from tests.conftest import MINILM

    folder = tmp_path_factory.mktemp("deep-bert")
    tokenizer = AutoTokenizer.from_pretrained(MINILM)
    set_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    import_repo(hub_directory, "tiny/deep-bert", str(folder))
    return "tiny/deep-bert"


class Steps:
    """Every recipe prepared and run for one step, once; a fusion's towers before it."""

    def __init__(self, folder: Path, bert: str) -> None:
        self.folder, self.bert = folder, bert
        self.prepared: dict[str, str] = {}
        self.done: dict[str, Path] = {}

    def dataset(self, cli, name: str) -> str:
        """The dataset of a recipe; recipes of one prepare block have one."""
        block = json.dumps(asdict(load_recipe(name).prepare))
        if block not in self.prepared:
            place = self.folder / f"raw-{name}"
            place.mkdir()
            repo = f"local/raw-{name}".replace("_", "-")
            encoded = load_recipe(name).prepare.encode
            encode = ("--encode-model", self.bert) if encoded else ()
            ran = cli(
                *("prepare", *RAW[name.split("_")[0]](place), "--recipe", name, *encode),
                *("--target", repo, "--no-audit", "--no-clean", "--quiet"),
            )
            assert ran.code == 0, ran.err
            self.prepared[block] = repo
        return self.prepared[block]

    def run(self, cli, name: str) -> Path:
        """Its run folder."""
        if name not in self.done:
            recipe = load_recipe(name)
            towers = []
            for each, tower in recipe.model.towers.items():
                self.run(cli, tower.model.replace("-", "_"))
                towers.append(f"model.towers.{each}.model=local/{tower.model}")
            out = self.folder / name
            base = ("--base-model", self.bert) if recipe.model.base else ()
            ran = cli(
                *("finetune", "--recipe", name, "--dataset", self.dataset(cli, name), *base),
                *("--target", name.replace("_", "-"), "--out", out, *ONE_STEP, *towers),
            )
            assert ran.code == 0, ran.err
            self.done[name] = out
        return self.done[name]


@pytest.fixture(scope="module")
def steps(deep_bert, tmp_path_factory) -> Steps:
    return Steps(tmp_path_factory.mktemp("steps"), deep_bert)


def recipes() -> list:
    """Every recipe; those of views are run where their suite is."""
    elsewhere = pytest.mark.skip(reason="tests/suites runs it")
    return [
        pytest.param(name, marks=[elsewhere] * name.startswith("virality"))
        for name in recipe_names()
    ]


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_runs_a_step_from_its_own_defaults(cli, hub, steps, tmp_path, name):
    from huggingface_hub import HfApi

    out = steps.run(cli, name)
    target = f"local/{name.replace('_', '-')}"
    assert "model.safetensors" in HfApi(token=hub.token).list_repo_files(target)
    composed = load_recipe(str(out / "config.yaml"))
    assert composed.training["max_steps"] == 1
    assert composed.model.kind == load_recipe(name).model.kind
    held = json.loads((out / "metrics.json").read_text())
    assert (held["model"], held["split"]) == (target, "validation")
    ran = cli("evaluate", target, "--out", tmp_path, "--no-baselines", "--quiet")
    assert ran.code == 0, ran.err
    record = json.loads((tmp_path / "metrics.json").read_text())
    assert (record["split"], record["threshold"]) == ("test", held["threshold"])
    assert record["n"] == len((tmp_path / "predictions.jsonl").read_text().splitlines()) >= 2


def test_the_suite_of_views_and_its_recipes_are_run_beside_it():
    tests = "".join(path.read_text() for path in SUITES.glob("test_*.py"))
    assert "virality_suite" in tests
    for name in load_recipe("virality_suite").suite.recipes:
        assert name in tests or f'"{name.removeprefix("virality_")}"' in tests, name


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

    mine.write_text(text.replace("weight_decay: 0.01", "wieght_decay: 0.01"))
    ran = cli("recipes", "validate", mine)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "'training.wieght_decay'; did you mean 'training.weight_decay'" in ran.out
    ran = cli("recipes", "copy", "topics_minilm", mine)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "exists already" in ran.err
