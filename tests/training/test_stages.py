"""Stages of a recipe: what learns in each, how fast, and which weights go on."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.end_to_end.support import wandb_records
from tests.tracking.support import read_back
from tests.training.staged import BEST, LAST, LORA, bert, checkpoint, learn, same, topics_of
from tests.training.support import (
    METADATA,
    push,
    pushed_bytes,
    pushed_files,
    story,
    text,
    tune,
)

STORY = {
    "head": {"groups": {"head": 0.05}},
    "adapters": {"lora": True, "groups": {"lora": 0.05, "head": {}}, "training": {"max_steps": 4}},
    "upper": {"lora": "merged", "groups": {"layers.1": 1e-3, "head": {}}},
    "again": {
        "lora": "on",
        "groups": {"lora": 1e-2},
        "training": {
            "num_train_epochs": 2,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": 4,
        },
    },
    "last": {"lora": False, "groups": {"head": {"learning_rate": 0.01}}},
}


@pytest.fixture(scope="module")
def dataset(hub) -> str:
    return topics_of(hub, "staged")


@pytest.fixture(scope="module")
def told(hub, tiny_bert, dataset, tmp_path_factory):
    """A run of five stages, tracked twice."""
    model, training = bert(tiny_bert, lora=LORA), {**LAST, "report_to": ["wandb", "tensorboard"]}
    folder = tmp_path_factory.mktemp("told")
    return learn(hub, folder, "staged", dataset, model, STORY, training=training, wandb=True)


@pytest.fixture(scope="module")
def base(hub, tiny_bert) -> dict[str, torch.Tensor]:
    """The weights that all begin with, as a classifier calls them."""
    from hfpipe.hub.repos import download

    found = load_file(download(hub, tiny_bert, "model", "model.safetensors", "main"))
    return {f"bert.{key}": each for key, each in found.items()}


def pushed_weights(hub, tuned, folder) -> dict[str, torch.Tensor]:
    path = folder / f"{tuned.model.revision}.safetensors"
    path.write_bytes(pushed_bytes(hub, tuned, "model.safetensors"))
    return load_file(path)


def differing(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> set[str]:
    assert left.keys() == right.keys()
    return {key for key in left if not torch.equal(left[key], right[key])}


def without_adapters(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        key.replace(".base_layer.", "."): each for key, each in weights.items() if "lora" not in key
    }


def folded(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """With adapters folded in: W + (alpha / r) B A."""
    found = without_adapters(weights)
    for key, up in weights.items():
        if "lora_B" in key:
            down = weights[key.replace("lora_B", "lora_A")]
            place = f"{key.partition('.lora_B')[0]}.weight"
            found[place] = found[place] + LORA["lora_alpha"] / LORA["r"] * up @ down
    return found


def test_what_a_stage_does_not_name_stays_as_it_was_to_the_last_bit(told, base):
    head = checkpoint(told, "head")
    assert set(head) - set(base) == {"classifier.weight", "classifier.bias"}
    assert differing(base, {key: head[key] for key in base}) == set()


def test_adapters_learn_beside_weights_that_stay(told):
    head, adapters = checkpoint(told, "head"), checkpoint(told, "adapters")
    assert differing(without_adapters(adapters), head) == {"classifier.weight", "classifier.bias"}
    ups = {key: each for key, each in adapters.items() if "lora_B" in key}
    assert len(ups) == 4
    assert all(each.abs().max() > 0 for each in ups.values())


def test_adapters_are_folded_in_once_and_the_upper_layer_learns_on_from_there(told):
    adapters, upper = folded(checkpoint(told, "adapters")), checkpoint(told, "upper")
    assert adapters.keys() == upper.keys()
    for key, each in upper.items():
        if not key.startswith(("bert.encoder.layer.1.", "classifier.")):
            torch.testing.assert_close(each, adapters[key], atol=1e-7, rtol=0)
    changed = differing(without_adapters(checkpoint(told, "adapters")), upper)
    within = "bert.encoder.layer.0.attention.self"
    expected = {f"{within}.query.weight", f"{within}.value.weight"}
    assert {key for key in changed if "layer.1." not in key and "classifier" not in key} == expected
    # Every parameter of the layer learnt but the keys' biases, whose gradient is nothing but noise.
    named = {key for key in upper if key.startswith("bert.encoder.layer.1.")}
    assert named - changed <= {"bert.encoder.layer.1.attention.self.key.bias"}


def test_a_second_time_adapters_begin_anew_and_taken_off_leave_no_trace(told):
    upper, again, last = (checkpoint(told, name) for name in ("upper", "again", "last"))
    assert differing(without_adapters(again), upper) == set()
    assert max(float(each.abs().max()) for key, each in again.items() if "lora_B" in key) > 0
    first = checkpoint(told, "adapters")
    assert not any(torch.equal(first[key], again[key]) for key in again if "lora_" in key)
    assert differing(last, upper) == {"classifier.weight", "classifier.bias"}


def test_what_is_pushed_is_stock_and_what_the_last_stage_left(hub, told, tmp_path):
    from transformers import AutoModelForSequenceClassification

    assert not {name for name in pushed_files(hub, told) if "adapter" in name}
    assert same(pushed_weights(hub, told, tmp_path), checkpoint(told, "last"))
    assert same(told.folder / "checkpoints" / "5-end.safetensors", checkpoint(told, "last"))
    model, loaded = AutoModelForSequenceClassification.from_pretrained(
        told.model.repo_id, revision=told.model.revision, output_loading_info=True
    )
    assert type(model).__name__ == "BertForSequenceClassification"
    assert not any(loaded.values())


def test_one_step_counter_goes_on_over_the_stages(hub, told):
    curves = curves_of(told)
    # 6 steps an epoch; the second stage has 4 steps, the fourth two epochs.
    steps = [(each["step"], each["stage"]) for each in curves if "loss" in each]
    stages = [1] * 6 + [2] * 4 + [3] * 6 + [4] * 12 + [5] * 6
    assert steps == list(zip(range(1, 35), stages, strict=True))
    assert [each["step"] for each in curves if "eval_loss" in each] == [6, 10, 16, 22, 28, 34]
    epochs = [each["epoch"] for each in curves if "eval_loss" in each]
    assert epochs == pytest.approx([1, 1 + 4 / 6, 2 + 4 / 6, 3 + 4 / 6, 4 + 4 / 6, 5 + 4 / 6])
    for name in ("step", "epoch"):
        found = [each[name] for each in curves]
        assert found == sorted(found)
    rates = {key for each in curves for key in each if key.startswith("learning_rate.")}
    assert rates == {"learning_rate.head", "learning_rate.lora", "learning_rate.layers.1"}
    run = story(hub, told)["stages"]
    assert [(each["name"], each["steps"], each["kept"]) for each in run] == [
        ("head", 6, True),
        ("adapters", 4, True),
        ("upper", 6, True),
        ("again", 12, True),
        ("last", 6, True),
    ]


def test_one_wandb_run_holds_all_stages(told):
    (path,) = told.folder.rglob("run-*.wandb")
    tracker = json.loads((told.folder / "checkpoints" / "progress.json").read_text())["tracker"]
    assert path.stem == f"run-{tracker}"
    rows = [
        {each.key or each.nested_key[0]: json.loads(each.value_json) for each in kept.item}
        for record in wandb_records(path)
        if record.WhichOneof("record_type") == "history"
        for kept in [record.history]
    ]
    learnt = [row for row in rows if "train/loss" in row]
    assert [row["train/global_step"] for row in learnt] == list(range(1, 35))
    stages = [1] * 6 + [2] * 4 + [3] * 6 + [4] * 12 + [5] * 6
    assert [row["train/stage"] for row in learnt] == stages
    judged = [row["train/global_step"] for row in rows if "eval/loss" in row]
    assert judged == [6, 10, 16, 22, 28, 34]


def test_the_run_has_curves_by_stage_the_evaluation_and_its_lineage(hub, told):
    from hfpipe.hub.repos import resolve

    run = read_back(told.folder)
    assert [x for x, _ in run.line("stages/loss", "adapters")] == [7, 8, 9, 10]
    assert len(run.line("stages/loss", "again")) == 12
    assert [x for x, _ in run.line("stages/eval_loss", "last")] == [34]
    assert run.summary["validation/accuracy"] == told.record.metrics["accuracy"]
    assert sum(row["nPredictions"] for row in run.table("validation/confusion_matrix_table")) == (
        told.record.n
    )
    page = run.file("validation/report").read_text()
    assert page == (told.folder / "report.html").read_text()
    (model,) = [each for each in run.artifacts.values() if not each.use_after_commit]
    (data,) = [each for each in run.artifacts.values() if each.type == "dataset"]
    assert {each.path for each in model.manifest.contents} == {
        "report.html",
        "metrics.json",
        "repo",
    }
    made = [each.ref for each in model.manifest.contents if each.path == "repo"]
    assert made == [f"{hub.url}/{told.model.repo_id}/tree/{told.model.revision}"]
    commit = resolve(hub, told.record.dataset, "dataset")
    (used,) = data.manifest.contents
    assert used.ref == f"{hub.url}/datasets/{told.record.dataset}/tree/{commit}"


def test_tensorboard_has_the_same_steps_and_the_evaluation(told):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(told.folder / "tensorboard"))
    found.Reload()
    assert [each.step for each in found.Scalars("train/loss")] == list(range(1, 35))
    stage = {each.step: each.value for each in found.Scalars("train/stage")}
    assert [stage[step] for step in (6, 7, 10, 11, 34)] == [1, 2, 2, 3, 5]
    accuracy = found.Scalars("validation/accuracy")[-1].value
    assert accuracy == pytest.approx(told.record.metrics["accuracy"], rel=1e-6)


def test_a_recipe_without_stages_is_as_it_was(hub, tiny_bert, dataset, tmp_path):
    tuned = learn(hub, tmp_path, "stageless", dataset, bert(tiny_bert), training=BEST)
    curves = curves_of(tuned)
    assert not any("stage" in each for each in curves)
    assert not {key for each in curves for key in each if key.startswith("learning_rate.")}
    assert (tuned.folder / "checkpoints" / "checkpoint-6").is_dir()
    (only,) = story(hub, tuned)["stages"]
    assert (only["name"], only["steps"], only["metric"], only["kept"]) == ("", 6, "loss", True)
    # One stage that names nothing gives the same weights.
    one = learn(hub, tmp_path, "one-stage", dataset, bert(tiny_bert), {"all": {}}, training=BEST)
    assert same(pushed_weights(hub, tuned, tmp_path), pushed_weights(hub, one, tmp_path))


def test_groups_learn_at_their_own_rates_exactly(hub, tiny_bert, dataset, base, tmp_path):
    """One step of plain SGD moves a weight by its rate times a gradient that is the same twice."""
    training = {
        **LAST,
        "optim": "sgd",
        "max_steps": 1,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
    }
    moved = {}
    for name, (layer, head) in {"slow": (0.1, 0.2), "fast": (0.2, 0.1)}.items():
        stages = {"only": {"groups": {"layers.1": layer, "head": head}}}
        tuned = learn(
            hub, tmp_path, f"sgd-{name}", dataset, bert(tiny_bert), stages, training=training
        )
        moved[name] = checkpoint(tuned, "only")
    still = {key for key in base if not key.startswith("bert.encoder.layer.1.")}
    assert all(torch.equal(moved[name][key], base[key]) for name in moved for key in still)
    # Attention is all but flat at first: queries and keys have gradients near nothing.
    faint = ("self.query", "self.key")
    keys = [key for key in base if key not in still and not any(each in key for each in faint)]
    assert len(keys) == 12
    for key in keys:
        slow, fast = ((moved[name][key] - base[key]) for name in ("slow", "fast"))
        assert slow.abs().max() > 1e-6
        torch.testing.assert_close(fast, 2 * slow, atol=2e-7, rtol=1e-4)
    # Two weights that were equal at first end where one went twice as far from there.
    at = {name: moved[name]["classifier.bias"] for name in moved}
    torch.testing.assert_close(at["slow"], 2 * at["fast"], atol=1e-7, rtol=1e-4)


def test_a_stage_that_only_gets_worse_does_not_go_on(hub, tiny_bert, dataset, tmp_path):
    """The first leaves adapters on; what is pushed is theirs, folded in, and scores the same."""
    from hfpipe.evaluating import EvaluateOptions, evaluate
    from hfpipe.evaluation.record import read_record

    constant = {"lr_scheduler_type": "constant"}
    stages = {
        "good": {"lora": "on", "groups": {"lora": 0.02, "head": 0.02}},
        "absurd": {"groups": {"head": 300.0}, "training": constant},
        "frantic": {"groups": {"layers": 30.0, "lora": 30.0}, "training": {"max_steps": 3}},
    }
    model = bert(tiny_bert, lora=LORA)
    tuned = learn(hub, tmp_path, "worse", dataset, model, stages, training=BEST)
    told = story(hub, tuned)["stages"]
    assert [each["kept"] for each in told] == [True, False, False]
    assert min(told[1]["best"], told[2]["best"]) > told[0]["best"]
    good = folded(checkpoint(tuned, "good"))
    pushed = pushed_weights(hub, tuned, tmp_path)
    assert good.keys() == pushed.keys()
    for key, each in pushed.items():
        torch.testing.assert_close(each, good[key], atol=1e-7, rtol=0)
    # The absurd stage left a checkpoint that is nothing like it.
    head = "classifier.weight"
    assert float((checkpoint(tuned, "absurd")[head] - good[head]).abs().max()) > 1
    done = evaluate(
        tuned.model.repo_id,
        hub,
        EvaluateOptions(out=tmp_path / "scores", split="validation", quiet=True),
    )
    found = read_record(done.metrics).metrics
    first = next(each for each in curves_of(tuned) if "eval_accuracy" in each)
    for name, value in tuned.record.metrics.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    assert found["accuracy"] == pytest.approx(first["eval_accuracy"])


def curves_of(tuned) -> list[dict[str, Any]]:
    return list(json.loads((tuned.folder / "curves.json").read_text()))


def test_a_stage_has_its_own_schedule_epochs_and_warmup(told):
    rates: dict[int, list[float]] = {1: [], 4: []}
    for each in curves_of(told):
        if "learning_rate" in each and each["stage"] in rates:
            rates[each["stage"]].append(each["learning_rate"])
    assert rates[1] == pytest.approx([0.05 * (6 - at) / 6 for at in range(6)])
    assert rates[4] == pytest.approx([0, 2.5e-3, 5e-3, 7.5e-3] + [1e-2] * 8)


def test_towers_of_a_fusion_are_frozen_first_and_then_one_learns(hub, tiny_bert, tmp_path):
    dataset = push(hub, "staged-rows")
    mlp = {"kind": "concat_mlp", "config": {"sizes": [4]}}
    training = {"num_train_epochs": 1}
    about = tune(
        hub, tmp_path, "staged-about", dataset, mlp, METADATA, training=training, task="binary"
    )
    towers = {"about": {"model": about.model.repo_id}, "words": {"model": tiny_bert}}
    model = {
        "kind": "late_fusion",
        "towers": {**towers, "words": {**towers["words"], "inputs": ["text"]}},
        "config": {"projection_size": 4, "sizes": [4]},
    }
    stages = {
        "head": {"groups": ["fusion", "head"]},
        "about": {"groups": {"towers.about": 1e-2, "head": {}}},
    }
    tuned = learn(
        hub,
        tmp_path,
        "staged-fusion",
        dataset,
        model,
        stages,
        inputs={"text": text()},
    )
    first, second = checkpoint(tuned, "head"), checkpoint(tuned, "about")
    pushed = pushed_weights(hub, about, tmp_path)
    own = {
        each: key
        for each in first
        for key in pushed
        if each.startswith("towers.about.") and each.endswith(f".{key}")
    }
    assert own
    assert all(torch.equal(first[each], pushed[key]) for each, key in own.items())
    changed = differing(first, second)
    learnt = {key for key in changed if key.startswith("towers.")}
    assert learnt
    assert learnt <= set(own)
    assert not any(key.startswith("fusion") for key in changed)
    assert any(key.startswith("head") for key in changed)


def test_rates_beside_stages_that_all_name_groups_are_told_to_count_for_nothing(
    hub, tiny_bert, dataset, tmp_path, capsys
):
    stages = {"head": {"groups": {"head": "10x"}}}
    model = bert(tiny_bert)
    learn(hub, tmp_path, "rated", dataset, model, stages, rates={"head": 1e-3})
    (line,) = [each for each in capsys.readouterr().err.splitlines() if "rates" in each]
    assert line.endswith("rates count for nothing: every stage names its groups; set rates=null")
