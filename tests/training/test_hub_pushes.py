"""``training.hub_strategy``: what is on the Hub while, and after, a model learns."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from hfpipe.errors import UserError
from tests.toys import push_rows, toy_rows

STEPS = 4
"""An epoch: 60 rows in sixteens."""
Tune = Callable[..., Any]


@pytest.fixture(scope="module")
def dataset(hub) -> str:
    return push_rows(hub, "local/pushed-rows", train=toy_rows(60, 1), validation=toy_rows(18, 2))


@pytest.fixture(scope="module")
def tune(hub, tiny_bert, dataset) -> Tune:
    """Three epochs, each evaluated and saved, with overrides."""
    from hfpipe.finetuning import FinetuneOptions, finetune
    from hfpipe.recipe import load_recipe

    def tune(target: str, out: Path, *overrides: str, resume: bool = False) -> Any:
        given = {
            "model.base": tiny_bert,
            "data.dataset": dataset,
            "training.num_train_epochs": 3,
            "training.per_device_train_batch_size": 16,
            "training.learning_rate": 5e-3,
            "rates": "null",  # all at the toy's rate
            "evaluation.baselines": "false",
        }
        fixed = [f"{key}={value}" for key, value in given.items()]
        recipe = load_recipe("topics_minilm", [*fixed, *overrides])
        options = FinetuneOptions(target, out, wandb=False, quiet=True, resume=resume)
        return finetune(recipe, hub, options)

    return tune


def commits(hub: Any, repo_id: str) -> list[tuple[str, str]]:
    """Title and id of each commit but the Hub's own first one, the oldest first."""
    from hfpipe.hub.repos import api

    found = [(each.title, each.commit_id) for each in api(hub).list_repo_commits(repo_id)]
    return [each for each in reversed(found) if each[0] != "initial commit"]


def files_at(hub: Any, repo_id: str, revision: str) -> set[str]:
    from hfpipe.hub.repos import api

    return set(api(hub).list_repo_files(repo_id, revision=revision))


def fetched(hub: Any, repo_id: str, revision: str, folder: Path) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(repo_id, revision=revision, token=hub.token, local_dir=folder))


def clean(hub: Any, folder: Path) -> int:
    """How many files there are, none of which holds a pickle or the token."""
    paths = [path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts]
    for path in paths:
        assert path.suffix not in (".bin", ".pt", ".pth", ".pkl"), path
        content = path.read_bytes()
        assert hub.token.encode() not in content, path
        assert not content.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04")), path
    return len(paths)


def saved(out: Path) -> set[str]:
    return {path.name for path in (out / "checkpoints").glob("checkpoint-*")}


def test_every_save_is_a_commit_that_stock_classes_load(hub, tune, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    target = "local/pushed-saves"
    done = tune(target, tmp_path / "run", "training.hub_strategy=every_save")
    seen = commits(hub, target)
    assert [title for title, _ in seen[:-1]] == [
        f"Training: step {STEPS * epoch}, epoch {epoch}.00" for epoch in (1, 2, 3)
    ]
    assert seen[-1][1] == done.model.revision
    # save_total_limit=1 of the recipe counts on disk: the best, and the last one.
    best = max(done.record.metrics["accuracy"], 0)
    curves = json.loads((tmp_path / "run" / "curves.json").read_text())
    scores = {point["step"]: point["eval_accuracy"] for point in curves if "eval_accuracy" in point}
    assert best == pytest.approx(max(scores.values()), abs=1e-9)
    winner = max(scores, key=lambda step: (scores[step], -step))
    assert saved(tmp_path / "run") == {f"checkpoint-{winner}", f"checkpoint-{3 * STEPS}"}

    middle = seen[1][1]
    files = files_at(hub, target, middle)
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= files
    assert not [name for name in files if "optimizer" in name or "checkpoint" in name]
    assert clean(hub, fetched(hub, target, middle, tmp_path / "middle")) >= 4
    model = AutoModelForSequenceClassification.from_pretrained(
        target, revision=middle, token=hub.token
    )
    assert model.config.id2label == {0: "animal", 1: "plant", 2: "tool"}
    tokenizer = AutoTokenizer.from_pretrained(target, revision=middle, token=hub.token)
    assert model(**tokenizer("the dog", return_tensors="pt")).logits.shape == (1, 3)


@pytest.fixture(scope="module")
def with_checkpoint(tune, tmp_path_factory) -> tuple[Any, Path]:
    out = tmp_path_factory.mktemp("with-checkpoint") / "run"
    done = tune("local/pushed-last", out, "training.hub_strategy=checkpoint")
    return done, out


def test_the_last_checkpoint_on_the_hub_is_where_a_run_goes_on(
    hub, tune, with_checkpoint, tmp_path
):
    done, out = with_checkpoint
    seen = commits(hub, "local/pushed-last")
    assert len(seen) == 4
    # As on a new machine after the second epoch: the journal of then, and what the Hub holds.
    place = fetched(hub, "local/pushed-last", seen[1][1], tmp_path / "hub")
    assert clean(hub, place) > 8
    checkpoints = tmp_path / "run" / "checkpoints"
    shutil.copytree(place / "last-checkpoint", checkpoints / f"checkpoint-{2 * STEPS}")
    journal = json.loads((out / "checkpoints" / "progress.json").read_text())
    (checkpoints / "progress.json").write_text(json.dumps(journal | {"stages": []}))
    again = tune(
        "local/pushed-on",
        tmp_path / "run",
        "training.hub_strategy=checkpoint",
        "training.load_best_model_at_end=true",
        resume=True,
    )
    assert again.seconds > 0
    steps = [title for title, _ in commits(hub, "local/pushed-on")[:-1]]
    assert steps == [f"Training: step {3 * STEPS}, epoch 3.00"]
    first, second = (
        load_file(
            fetched(hub, each.model.repo_id, each.model.revision, tmp_path / name)
            / "last-checkpoint"
            / "model.safetensors"
        )
        for name, each in (("first", done), ("second", again))
    )
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name].numpy(), second[name].numpy())


def test_the_last_checkpoint_is_still_whole_when_the_run_has_ended(hub, with_checkpoint):
    done, out = with_checkpoint
    files = files_at(hub, "local/pushed-last", done.model.revision)
    last = out / "checkpoints" / f"checkpoint-{3 * STEPS}"
    assert {name for name in files if "/" in name and name.startswith("last")} == {
        f"last-checkpoint/{path.relative_to(last).as_posix()}"
        for path in last.rglob("*")
        if path.is_file()
    }
    assert {"model.safetensors", "hfpipe/run.json", "README.md"} <= files


def test_all_checkpoints_of_a_run_that_saves_the_best(hub, tune, tmp_path):
    """``save_strategy=best`` saves, and so pushes, at a better evaluation only."""
    target = "local/pushed-all"
    done = tune(
        target,
        tmp_path / "run",
        "training.hub_strategy=all_checkpoints",
        "training.save_strategy=best",
        "training.metric_for_best_model=loss",
        "training.num_train_epochs=4",
        "training.learning_rate=2e-2",
    )
    curves = json.loads((tmp_path / "run" / "curves.json").read_text())
    points = [(each["step"], each["eval_loss"]) for each in curves if "eval_loss" in each]
    better, best = [], float("inf")
    for step, loss in points:
        if loss < best:
            better, best = [*better, step], loss
    assert 0 < len(better)
    assert [title for title, _ in commits(hub, target)[:-1]] == [
        f"Training: step {step}, epoch {step / STEPS:.2f}" for step in better
    ]
    files = files_at(hub, target, done.model.revision)
    for step in better:
        assert f"checkpoint-{step}/model.safetensors" in files
        assert f"checkpoint-{step}/trainer_state.json" in files
    assert saved(tmp_path / "run") == {f"checkpoint-{better[-1]}"}
    whole = fetched(hub, target, done.model.revision, tmp_path / "all")
    assert clean(hub, whole) > 8
    final = load_file(whole / "model.safetensors")
    chosen = load_file(whole / f"checkpoint-{better[-1]}" / "model.safetensors")
    for name in final:
        np.testing.assert_array_equal(final[name].numpy(), chosen[name].numpy())


@pytest.fixture(scope="module")
def in_stages(tune, tmp_path_factory) -> None:
    """An epoch of the head alone, and one with adapters; the last weights go on."""
    tune(
        "local/pushed-stages",
        tmp_path_factory.mktemp("in-stages") / "run",
        "training.hub_strategy=all_checkpoints",
        "training.num_train_epochs=1",
        "training.load_best_model_at_end=false",
        "model.lora.r=2",
        "model.lora.target_modules=[query,value]",
        "stages.head.groups.head=1e-2",
        "stages.adapters.lora=on",
        "stages.adapters.groups.lora=5e-2",
        "stages.adapters.groups.head=1e-2",
    )


def test_what_is_pushed_while_adapters_are_on_loads_with_them_folded_in(hub, in_stages, tmp_path):
    from transformers import AutoModelForSequenceClassification

    target = "local/pushed-stages"
    seen = commits(hub, target)
    assert [title for title, _ in seen[:-1]] == [
        f"Training: stage '{name}', step {STEPS}, epoch 1.00" for name in ("head", "adapters")
    ]
    weights = []
    for _, revision in seen:
        model, said = AutoModelForSequenceClassification.from_pretrained(
            target, revision=revision, token=hub.token, output_loading_info=True
        )
        assert not any(said.values()), said
        weights.append(model.state_dict())
    head, adapters, end = weights
    query = "bert.encoder.layer.0.attention.self.query.weight"
    assert float((adapters[query] - head[query]).abs().max()) > 1e-4
    # The last checkpoint is what was pushed at the end.
    for name, each in end.items():
        np.testing.assert_allclose(each.numpy(), adapters[name].numpy(), atol=1e-7)


def test_checkpoints_of_stages_have_names_of_their_own(hub, in_stages, tmp_path):
    target = "local/pushed-stages"
    files = files_at(hub, target, commits(hub, target)[-1][1])
    for name in ("head", "adapters"):
        assert f"checkpoint-{name}-{STEPS}/trainer_state.json" in files
        assert f"checkpoint-{name}-{STEPS}/model.safetensors" in files
    assert not [name for name in files if name.startswith(f"checkpoint-{STEPS}/")]


def test_end_is_one_commit(hub, tune, tmp_path):
    tune(
        "local/pushed-end",
        tmp_path / "run",
        "training.hub_strategy=end",
        "training.num_train_epochs=2",
        "training.save_total_limit=null",
    )
    assert len(commits(hub, "local/pushed-end")) == 1
    assert saved(tmp_path / "run") == {f"checkpoint-{STEPS}", f"checkpoint-{2 * STEPS}"}


def test_an_unknown_strategy_is_refused_before_training(hub, tune, tmp_path):
    from hfpipe.hub.repos import api

    with pytest.raises(UserError) as caught:
        tune("local/pushed-never", tmp_path / "run", "training.hub_strategy=every_safe")
    assert caught.value.exit_code == 2
    for word in ("training.hub_strategy", "every_safe", "every_save"):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not api(hub).repo_exists("local/pushed-never")
    assert not (tmp_path / "run").exists()
