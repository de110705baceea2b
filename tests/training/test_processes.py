"""Two processes give what one gives, push it once, and end together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from hfpipe.finetuning import FinetuneOptions, finetune
from hfpipe.hub.repos import api
from hfpipe.recipe import load_recipe
from tests.toys import push_rows, toy_rows
from tests.training.support import METADATA, push, rows, text, vector

SEVERAL = Path(__file__).with_name("several.py")
LIMIT = 300.0
"""Seconds after which a start has hung."""
BEST = {
    "seed": 3,
    "num_train_epochs": 1,
    "per_device_train_batch_size": 8,
    "learning_rate": 5e-3,
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "logging_steps": 1,
    "load_best_model_at_end": True,
    "metric_for_best_model": "loss",
}
LORA = {"r": 2, "lora_alpha": 4, "target_modules": ["query", "value"], "lora_dropout": 0.0}


def bert(base: str, **more: Any) -> dict[str, Any]:
    return {"kind": "sequence_classification", "base": base, "dropout": 0.0, **more}


@dataclass(frozen=True)
class Started:
    """How a start of two processes ended."""

    code: int
    out: str
    err: str


def command(*arguments: Any) -> list[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return [*start, *map(str, arguments)]


def start(
    folder: Path, arguments: Sequence[str], struck: Callable[[psutil.Process], None] | None = None
) -> Started:
    """Run to the end, all of its processes; ``struck`` is given the first one meanwhile."""
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        process = subprocess.Popen(arguments, cwd=folder, env=environment, stdout=out, stderr=err)
        try:
            if struck:
                struck(psutil.Process(process.pid))
            code = process.wait(LIMIT)
        finally:
            process.kill()
    return Started(code, (folder / "out").read_text(), (folder / "err").read_text())


def workers(started: psutil.Process) -> dict[int, psutil.Process]:
    """The processes by their rank."""
    return {int(each.environ()["RANK"]): each for each in started.children()}


# Recipes: what one process learns from 8 rows a micro-batch, two learn from 4 each.


def staged(base: str) -> dict[str, Any]:
    """A head, then adapters, by micro-batches of 40 tokens; the last step of 25 rows has one."""
    steps = {"save_strategy": "steps", "save_steps": 4, "eval_strategy": "steps", "eval_steps": 4}
    adapters = {"lora": "on", "groups": {"lora": 5e-3, "head": {}}}
    return {
        "model": bert(base, lora=LORA),
        "stages": {
            "head": {"groups": {"head": 1e-2}},
            "lora": {**adapters, "training": {"num_train_epochs": 6}},
        },
        "training": {**BEST, **steps, "train_sampling_strategy": "group_by_length"},
        "batches": {"max_tokens": 40},
    }


def tagged(base: str) -> dict[str, Any]:
    """Several labels a row, in micro-batches of half the size."""
    return {
        "model": bert(base),
        "data": {"inputs": {"text": text("tagged")}, "label": "tags", "task": "multi_label"},
        "training": {**BEST, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 4},
    }


def gated(base: str) -> dict[str, Any]:
    """A model of ours and numbers to learn; some rows have one vector of two."""
    inputs = {"video": vector("video"), "audio": vector("audio", optional=True), **METADATA}
    config = {"tower_size": 8, "sizes": [8]}
    return {
        "model": {"kind": "gated_fusion", "dropout": 0.0, "config": config},
        "data": {"inputs": inputs, "label": "level", "task": "regression"},
        "training": BEST,
    }


RECIPES = {"staged": staged, "tagged": tagged, "gated": gated}
TOGETHER = {**dict(zip(RECIPES, RECIPES, strict=True)), "cut": "tagged"}
"""What two processes learn, and what of one it must equal: ``cut`` is by FSDP."""


@pytest.fixture(scope="module")
def recipes(hub, tiny_bert, tmp_path_factory) -> dict[tuple[str, int], Path]:
    """By name and number of processes."""
    folder = tmp_path_factory.mktemp("recipes")
    splits = {"train": toy_rows(25, 1), "validation": toy_rows(18, 2)}
    topics = push_rows(hub, "local/processes-topics", **splits)
    kinds = push(hub, "processes-kinds", train=rows(33, 1))
    found = {}
    for (name, block), count in product(RECIPES.items(), (1, 2)):
        made = block(tiny_bert)
        size = made["training"]["per_device_train_batch_size"] // count
        made["training"] = {**made["training"], "per_device_train_batch_size": size}
        made["data"] = {"dataset": topics if name == "staged" else kinds, **made.get("data", {})}
        made["data"].setdefault("inputs", {"text": text()})
        path = folder / f"{name}-{count}.yaml"
        # Few tokens: many batches, and some that two processes cannot share evenly.
        scored = {"baselines": False, "max_tokens": 60 // count}
        block = {"description": "toy", "evaluation": scored, **made}
        path.write_text(json.dumps(block))
        found[name, count] = path
    cut = json.loads(found["tagged", 2].read_text())
    config = {"transformer_layer_cls_to_wrap": ["BertLayer"]}
    cut["training"] |= {"fsdp": True, "fsdp_config": config}
    found["cut", 2] = folder / "cut-2.yaml"
    found["cut", 2].write_text(json.dumps(cut))
    return found


@dataclass(frozen=True)
class Seen:
    """What a run left, by one process or two."""

    weights: dict[str, torch.Tensor]
    record: dict[str, Any]
    curves: list[dict[str, Any]]
    commits: int


def seen(hub, repo_id: str, folder: Path) -> Seen:
    from huggingface_hub import hf_hub_download

    return Seen(
        load_file(hf_hub_download(repo_id, "model.safetensors")),
        json.loads((folder / "metrics.json").read_text())["metrics"],
        json.loads((folder / "curves.json").read_text()),
        len(api(hub).list_repo_commits(repo_id)),
    )


@pytest.fixture(scope="module")
def alone(hub, recipes, tmp_path_factory) -> dict[str, Seen]:
    """Each recipe by one process."""
    folder = tmp_path_factory.mktemp("alone")
    found = {}
    for name in RECIPES:
        options = FinetuneOptions(f"local/alone-{name}", folder / name, wandb=False, quiet=True)
        finetune(load_recipe(str(recipes[name, 1])), hub, options)
        found[name] = seen(hub, f"local/alone-{name}", folder / name)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where both starts are made."""
    return tmp_path_factory.mktemp("together")


@pytest.fixture(scope="module")
def bereft(hub, recipes, folder) -> Started:
    """A run, one of whose two processes is killed in the second stage."""

    def strike(started: psutil.Process) -> None:
        until = time.monotonic() + LIMIT
        while not list(folder.glob("runs/*/*/checkpoints/lora/checkpoint-*/trainer_state.json")):
            assert time.monotonic() < until
            assert started.status() != psutil.STATUS_ZOMBIE, (folder / "err").read_text()
            time.sleep(0.02)
        workers(started)[1].kill()

    recipe = ["--recipe", recipes["staged", 2], "--target", "together-staged"]
    return start(folder, command("-m", "hfpipe", "finetune", *recipe), strike)


@pytest.fixture(scope="module")
def together(hub, recipes, folder, bereft) -> Started:
    """The same run, which goes on, and then the other recipes."""
    assert bereft.code
    assert not api(hub).repo_exists("local/together-staged")
    commands = [
        ["finetune", "--recipe", recipes[name, 2], "--target", f"together-{name}", *more]
        for name, more in {
            "staged": ["--resume"],
            "tagged": ["--no-wandb", "--out", "tagged"],
            "gated": ["--no-wandb", "--out", "gated"],
            "cut": ["--no-wandb", "--out", "cut"],
        }.items()
    ]
    (folder / "commands.json").write_text(json.dumps(commands, default=str))
    return start(folder, command(SEVERAL, "commands.json"))


@pytest.mark.long
def test_a_process_that_dies_ends_the_run_with_one_line(bereft):
    (line,) = [each for each in bereft.err.splitlines() if "error: " in each]
    said = line.rpartition("error: ")[2]
    assert said.startswith("process 1 of 2: ")
    assert "another process of this run died" in said
    assert "--resume" in said
    assert "/hfpipe/" not in bereft.err  # no traceback of ours


@pytest.mark.long
def test_both_go_on_with_one_run_that_one_of_them_writes(hub, folder, together):
    assert together.code == 0, together.err
    pushed = [each for each in together.out.splitlines() if each.startswith("pushed ")]
    assert [each.split()[1].rpartition("/")[2] for each in pushed] == [
        f"together-{name}" for name in TOGETHER
    ]
    (run,) = folder.glob("runs/*/*")
    names = {each.name for each in run.iterdir()}
    assert names == {
        *(
            "checkpoints",
            "config.yaml",
            "curves.json",
            "metrics.json",
            "predictions.jsonl",
            "report.html",
            "wandb",
        )
    }
    # One for each start: the second goes on with the run of the first, which has the same name.
    tracked = list(run.glob("wandb/offline-run-*"))
    assert len({each.name.rpartition("-")[2] for each in tracked}) == 1
    assert len(tracked) == 2


@pytest.mark.long
@pytest.mark.parametrize(("name", "like"), TOGETHER.items())
def test_two_processes_give_what_one_gives(hub, folder, alone, together, name, like):
    assert together.code == 0, together.err
    where = next(folder.glob("runs/*/*")) if name == "staged" else folder / name
    one, two = alone[like], seen(hub, f"local/together-{name}", where)
    assert two.commits == one.commits
    assert one.weights.keys() == two.weights.keys()
    for key, weights in one.weights.items():
        torch.testing.assert_close(two.weights[key], weights, atol=1e-5, rtol=0)
    assert two.record.keys() == one.record.keys()
    for key, value in one.record.items():
        # Two rows whose scores are even to rounding may change places in a ranking of eighteen.
        near = 5e-3 if "average_precision" in key or "roc_auc" in key else 1e-5
        assert two.record[key] == pytest.approx(value, abs=near), key
    for key in ("loss", "grad_norm", "eval_loss"):
        curves = [[each[key] for each in run.curves if key in each] for run in (one, two)]
        assert curves[1] == pytest.approx(curves[0], abs=1e-4)
    assert max(each[key] for each in one.curves if key in each) > 0.1
