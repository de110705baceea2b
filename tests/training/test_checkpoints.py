"""A run that goes on from its checkpoint ends where the whole run did, without a pickle."""

from __future__ import annotations

import json
import pickletools
import random
import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from hfpipe.errors import UserError
from hfpipe.training.checkpoints import SafeCheckpoints, flaw_of, newest, remove_broken
from hfpipe.training.states import load_state, save_state

TOKEN = "hf_oneThatMustNotBeSeen"


class Safe(SafeCheckpoints, Trainer):
    """The mixin on the stock Trainer."""


class Draws(torch.nn.Module):
    """Noise from Python and numpy too, so that each generator decides where a run ends."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden * (1 + 0.1 * random.random() + 0.1 * float(np.random.rand()))


def model_of(width: int = 8, labels: int = 2) -> torch.nn.Module:
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=20,
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
        num_labels=labels,
        hidden_dropout_prob=0.3,
    )
    model = BertForSequenceClassification(config)
    model.dropout = torch.nn.Sequential(model.dropout, Draws())
    return model


def rows(count: int) -> list[dict[str, Any]]:
    draw = np.random.default_rng(0)
    ids = draw.integers(1, 20, size=(count, 6))
    return [{"input_ids": row, "labels": int(row.sum() % 2)} for row in ids]


def trainer_of(folder: Path, model: torch.nn.Module | None = None, **more: Any) -> Safe:
    given: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": 6,
        "save_steps": 3,
        "logging_steps": 1,
        "per_device_train_batch_size": 4,
        "learning_rate": 0.05,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "hub_token": TOKEN,
        **more,
    }
    # Sixteen rows in fours: step 3 lies within an epoch, step 4 at the end of one.
    return Safe(
        model or model_of(),
        TrainingArguments(**given),
        train_dataset=rows(16),
        eval_dataset=rows(4),
    )


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> tuple[Path, dict[str, torch.Tensor]]:
    """A run with checkpoints 3 and 6, and where it ended."""
    folder = tmp_path_factory.mktemp("ran")
    trainer = trainer_of(folder, lr_scheduler_type="cosine")
    trainer.train()
    return folder, weights(trainer)


@pytest.fixture
def folder(ran, tmp_path) -> Path:
    """A copy of that run's checkpoints."""
    return Path(shutil.copytree(ran[0], tmp_path / "run"))


@pytest.mark.parametrize(
    ("optimizer", "options", "schedule", "save_steps"),
    [
        ("adamw_torch_fused", None, "cosine", 3),
        ("adamw_torch", None, "linear", 4),
        ("sgd", "momentum=0.9", "linear", 3),
        ("adafactor", None, "cosine", 3),
        ("adamw_torch_fused", None, "reduce_lr_on_plateau", 3),
    ],
)
def test_a_resumed_run_ends_with_the_same_bits(
    tmp_path, optimizer: str, options: str | None, schedule: str, save_steps: int
) -> None:
    given: dict[str, Any] = {"optim": optimizer, "optim_args": options}
    given |= {"lr_scheduler_type": schedule, "save_steps": save_steps}
    if schedule == "reduce_lr_on_plateau":
        given |= {"lr_scheduler_kwargs": {"patience": 0}, "eval_strategy": "steps", "eval_steps": 1}
    whole = trainer_of(tmp_path, **given)
    whole.train()
    went_on = trainer_of(tmp_path, **given)
    went_on.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{save_steps}"))
    assert same(weights(went_on), weights(whole))
    rates = [
        [entry["learning_rate"] for entry in each.state.log_history if "learning_rate" in entry]
        for each in (whole, went_on)
    ]
    assert rates[0] == rates[1]
    assert len(rates[0]) == 6
    assert rates[0][0] > rates[0][-1]


@pytest.mark.parametrize("generator", ["python", "numpy", "cpu"])
def test_each_generator_decides_where_a_run_ends(ran, folder, generator: str) -> None:
    checkpoint = folder / "checkpoint-3"
    state = load_state(checkpoint, "rng_state")["state"]
    state[generator] = {
        "python": random.Random(1).getstate(),
        "numpy": np.random.RandomState(1).get_state(),
        "cpu": torch.Generator().manual_seed(1).get_state(),
    }[generator]
    save_state(checkpoint, "rng_state", state, world_size=1)
    went_on = trainer_of(folder, lr_scheduler_type="cosine")
    went_on.train(resume_from_checkpoint=str(checkpoint))
    assert not same(weights(went_on), ran[1])


def test_no_file_of_a_checkpoint_is_a_pickle(ran) -> None:
    files = [path for path in ran[0].rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    for path in files:
        content = path.read_bytes()
        assert b"data.pkl" not in content
        assert b"PK\x03\x04" not in content
        # A header of 128 bytes makes safetensors start as pickles do, so the opcodes are read too.
        with pytest.raises(ValueError, match="opcode"):
            list(pickletools.genops(content))


def test_the_arguments_are_written_without_the_token(ran) -> None:
    text = (ran[0] / "checkpoint-3" / "training_args.json").read_text()
    said = json.loads(text)
    assert said["learning_rate"] == 0.05
    assert said["lr_scheduler_type"] == "cosine"
    assert not [key for key in said if key.endswith("_token")]
    for path in ran[0].rglob("*.json"):
        assert TOKEN not in path.read_text()


def test_tensors_are_named_by_parameter_and_state(ran) -> None:
    from safetensors import safe_open

    count = len(list(model_of().parameters()))
    with safe_open(ran[0] / "checkpoint-6" / "optimizer.safetensors", "pt") as file:
        assert set(file.keys()) == {
            f"{index}.{name}"
            for index in range(count)
            for name in ("step", "exp_avg", "exp_avg_sq")
        }
        assert file.get_tensor("0.step").item() == 6
        assert file.get_tensor("0.step").shape == ()


def test_the_newest_whole_one_is_found_and_what_a_kill_left_is_removed(folder) -> None:
    assert newest(folder) == folder / "checkpoint-6"
    assert remove_broken(folder) == []
    shutil.copytree(folder / "checkpoint-6", folder / "checkpoint-12")
    (folder / "checkpoint-12" / "trainer_state.json").unlink()
    shutil.copytree(folder / "checkpoint-6", folder / "checkpoint-9")
    (folder / "checkpoint-9" / "rng_state.json").unlink()
    (folder / "checkpoint-3" / "model.safetensors").unlink()
    (folder / "checkpoint-latest").mkdir()
    assert newest(folder) == folder / "checkpoint-6"
    assert remove_broken(folder) == [folder / "checkpoint-12", folder / "checkpoint-9"]
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["checkpoint-3", "checkpoint-6", "checkpoint-latest"]


def test_models_without_optimizer_are_passed_over_but_kept(tmp_path) -> None:
    trainer_of(tmp_path, max_steps=3, save_only_model=True).train()
    assert newest(tmp_path) is None
    assert remove_broken(tmp_path) == []
    assert (tmp_path / "checkpoint-3" / "model.safetensors").exists()
    assert newest(tmp_path / "nowhere") is None
    assert remove_broken(tmp_path / "nowhere") == []


def test_a_checkpoint_that_is_written_again_is_not_whole_before_its_end(folder) -> None:
    trainer = trainer_of(folder)
    trainer._save(str(folder / "checkpoint-6"))
    assert flaw_of(folder / "checkpoint-6") == "trainer_state.json is missing"
    assert newest(folder) == folder / "checkpoint-3"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_file_cut_off_anywhere_is_seen_or_does_not_matter(ran, tmp_path_factory, data) -> None:
    whole = ran[0] / "checkpoint-3"
    names = sorted(path.name for path in whole.iterdir())
    folder = tmp_path_factory.mktemp("cut")
    cut = Path(shutil.copytree(whole, folder / "checkpoint-3"))
    path = cut / data.draw(st.sampled_from(names))
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: data.draw(st.integers(0, size - 1))])
    if newest(folder) is not None:
        # Only the newline at the end of a JSON file can go without a trace.
        assert json.loads(path.read_bytes()) == json.loads((whole / path.name).read_bytes())
    else:
        assert remove_broken(folder) == [cut]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("trainer_state.json", "trainer_state.json is cut off or damaged"),
        ("model.safetensors", "model.safetensors is cut off or damaged"),
        ("optimizer.safetensors", "optimizer.safetensors is cut off or damaged"),
        ("rng_state.json", "rng_state.json is cut off or damaged"),
    ],
)
def test_a_damaged_checkpoint_is_refused_in_one_line(folder, name: str, said: str) -> None:
    checkpoint = folder / "checkpoint-3"
    (checkpoint / name).write_bytes((checkpoint / name).read_bytes()[:50])
    with pytest.raises(UserError) as refused:
        trainer_of(folder).train(resume_from_checkpoint=str(checkpoint))
    fix = "remove it, or start without --resume"
    assert str(refused.value) == f"{checkpoint}: cannot go on from here: {said}; {fix}"
    (checkpoint / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        trainer_of(folder).train(resume_from_checkpoint=str(checkpoint))


def test_a_checkpoint_of_another_run_is_refused(folder) -> None:
    checkpoint = str(folder / "checkpoint-3")

    def refused(trainer: Safe) -> str:
        with pytest.raises(UserError) as error:
            trainer.train(resume_from_checkpoint=checkpoint)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "its weights do not fit this model" in refused(trainer_of(folder, model_of(width=16)))
    frozen = model_of()
    for parameter in frozen.bert.parameters():
        parameter.requires_grad = False
    count = len(list(frozen.parameters()))
    expected = f"its optimizer has {count} parameters, this run trains 2"
    assert expected in refused(trainer_of(folder, frozen))
    # The same weights in another order: as many, but not the same.
    swapped = trainer_of(folder)
    swapped.create_optimizer()
    for group in swapped.optimizer.param_groups:
        group["params"].reverse()
    assert "where this run trains" in refused(swapped)
    scaled = trainer_of(folder)
    scaled.create_accelerator_and_postprocess()
    scaled.accelerator.scaler = torch.amp.GradScaler("cpu")
    with pytest.raises(UserError, match="written with no gradient scaler"):
        scaled._load_scaler(checkpoint)


def test_a_gradient_scaler_comes_back(tmp_path) -> None:
    scale = 2.0**16 / 3
    first, second = trainer_of(tmp_path), trainer_of(tmp_path)
    first.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    second.accelerator.scaler = torch.amp.GradScaler("cpu")
    first._save_scaler(str(tmp_path))
    second._load_scaler(str(tmp_path))
    assert second.accelerator.scaler.get_scale() == scale


def schedules(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    from torch.optim import lr_scheduler as known
    from transformers import get_scheduler

    def decayed(step: int, rate: float) -> float:
        return rate**step

    warm = partial(known.LinearLR, optimizer, start_factor=1 / 3, total_iters=2)
    return {
        "plateau": lambda: known.ReduceLROnPlateau(optimizer, patience=0),
        "partial": lambda: known.LambdaLR(optimizer, partial(decayed, rate=0.7)),
        "nested": lambda: known.SequentialLR(
            optimizer, [warm(), known.CosineAnnealingLR(optimizer, 5)], milestones=[2]
        ),
        "chained": lambda: known.ChainedScheduler([warm(), known.ExponentialLR(optimizer, 0.9)]),
        "milestones": lambda: known.MultiStepLR(optimizer, [2, 4, 4], gamma=0.3),
        "one_cycle": lambda: known.OneCycleLR(optimizer, max_lr=1.0, total_steps=9),
        "cyclic": lambda: known.CyclicLR(optimizer, 0.1, 1.0, step_size_up=3),
        "greedy": lambda: get_scheduler("greedy", optimizer),
    }


@pytest.mark.parametrize("name", list(schedules(torch.optim.SGD([torch.zeros(1)]))))
def test_a_schedule_goes_on_with_the_same_rates(tmp_path, name: str) -> None:
    def made() -> tuple[torch.optim.Optimizer, Any]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1 / 3, momentum=0.9)
        return optimizer, schedules(optimizer)[name]()

    def rates(optimizer: torch.optim.Optimizer, schedule: Any, steps: range) -> list[float]:
        needs_metric = name in ("plateau", "greedy")
        gone = []
        for step in steps:
            optimizer.step()
            schedule.step(*([1 / (step % 3 + 1)] if needs_metric else []))
            gone.append(optimizer.param_groups[0]["lr"])
        return gone

    first, second = made(), made()
    rates(*first, range(3))
    save_state(tmp_path, "schedule", first[1].state_dict(), groups=first[0].state_dict())
    json.loads((tmp_path / "schedule.json").read_text(), parse_constant=pytest.fail)
    saved = load_state(tmp_path, "schedule")
    second[0].load_state_dict(saved["groups"])
    second[1].load_state_dict(saved["state"])
    assert rates(*second, range(3, 8)) == rates(*first, range(3, 8))


numbers = st.floats(allow_nan=False) | st.integers() | st.booleans() | st.none() | st.text()
keys = st.text() | st.integers() | st.tuples(st.integers(), st.text())
nested = st.recursive(
    numbers,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(state=nested)
def test_any_state_comes_back_as_it_was(tmp_path_factory, state: Any) -> None:
    folder = tmp_path_factory.getbasetemp()
    save_state(folder, "any", state)
    # repr tells tuples from lists, True from 1, and -0.0 from 0.0.
    assert repr(load_state(folder, "any")["state"]) == repr(state)


def test_tensors_come_back_bit_for_bit(tmp_path) -> None:
    base = torch.tensor([1 / 3, float("nan"), -0.0, float("inf")])
    state = {
        0: {"a": base, "alias": base, "part": base[1:], "turned": base.reshape(2, 2).t()},
        "0": {"a": base.bfloat16(), "b": base.half(), "c": base.double(), "d": torch.tensor(7)},
        1: {"a": torch.tensor([255], dtype=torch.uint8), "none": torch.zeros(0, 3)},
    }
    save_state(tmp_path, "s", state)
    back = load_state(tmp_path, "s")["state"]
    assert list(back) == [0, "0", 1]
    for key, tensors in state.items():
        for name, tensor in tensors.items():
            loaded = back[key][name]
            assert (loaded.dtype, loaded.shape) == (tensor.dtype, tensor.shape)
            bits, expected = (
                each.contiguous().flatten().view(torch.uint8) for each in (loaded, tensor)
            )
            assert torch.equal(bits, expected), name


def test_arrays_and_counters_keep_their_kind(tmp_path) -> None:
    state = [np.array([2**32 - 1], dtype=np.uint32), Counter({4: 2}), np.float32(0.1)]
    save_state(tmp_path, "s", state)
    array, counter, scalar = load_state(tmp_path, "s")["state"]
    assert (array.dtype, array.tolist()) == (np.uint32, [2**32 - 1])
    assert repr(counter) == "Counter({4: 2})"
    assert scalar == 0.10000000149011612


def test_what_only_pickle_can_hold_is_refused_by_name(tmp_path) -> None:
    with pytest.raises(UserError, match=r"cannot hold scale\.fn, a function, without pickle"):
        save_state(tmp_path, "s", {"scale": {"fn": lambda: 1}})
    with pytest.raises(UserError, match="cannot hold mask, a Tensor of layout torch.sparse_coo"):
        save_state(tmp_path, "s", {"mask": torch.eye(2).to_sparse()})
    assert list(tmp_path.iterdir()) == []
