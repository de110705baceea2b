"""What a run that goes on still knows: its patience, its warnings, whose checkpoints they are."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from hfpipe.errors import UserError
from hfpipe.training.interruption import Interrupted
from hfpipe.training.resuming import train
from hfpipe.training.selection import EarlyStopping
from hfpipe.training.watch import Watch
from tests.training.small import TOYS, trainer_of
from tests.training.staged import BEST, bert, learn, same, topics_of

PLAIN = TOYS["stock BERT, class weights"]
STILL: dict[str, Any] = {
    "per_device_train_batch_size": 4,
    "max_steps": 6,
    "learning_rate": 0.0,
    "eval_strategy": "steps",
    "eval_steps": 2,
    "save_strategy": "steps",
    "save_steps": 2,
    "metric_for_best_model": "loss",
    "greater_is_better": False,
    "restore_callback_states_from_checkpoint": True,
}
"""Twelve rows, three steps an epoch, and nothing that learns: no evaluation is better."""


class Ends(TrainerCallback):
    """Ends the process's training as a scheduler does, at a step.

    Args:
        step: After which it does.
    """

    def __init__(self, step: int) -> None:
        self.step = step

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A signal, before the step counts."""
        if state.global_step + 1 == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def still(folder: Path, *callbacks: Any, **changed: Any) -> Any:
    """A Trainer that has gone as far as it could, from its last checkpoint on."""
    trainer = trainer_of(
        PLAIN,
        folder,
        PLAIN.rows(12),
        PLAIN.rows(6, 1),
        rows=4,
        watch=Watch(None, PLAIN.kind),
        **{**STILL, **changed},
    )
    for each in (EarlyStopping(9), *callbacks):
        trainer.add_callback(each)
    train(trainer, folder)
    return trainer


def kept(folder: Path, step: int) -> dict[str, Any]:
    """The Trainer's state in a checkpoint."""
    found: dict[str, Any] = json.loads(
        (folder / f"checkpoint-{step}" / "trainer_state.json").read_text()
    )
    return found


def test_an_evaluation_at_the_start_is_not_made_again_by_who_goes_on(tmp_path):
    """Else each start over would cost one of the patience."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    still(whole, eval_on_start=True)
    with pytest.raises(Interrupted):
        still(cut, Ends(3), eval_on_start=True)
    still(cut, eval_on_start=True)
    found = [kept(folder, 6) for folder in (whole, cut)]
    waited = [each["stateful_callbacks"]["EarlyStopping"]["attributes"]["waited"] for each in found]
    assert waited == [3, 3]
    steps = [[row["step"] for row in each["log_history"] if "eval_loss" in row] for each in found]
    assert steps == [[0, 2, 4, 6]] * 2


@pytest.mark.parametrize(
    ("strategy", "step"), [("steps", 2), ("steps", 3), ("epoch", 3)]
)  # within an epoch, and at its end
def test_a_signal_saves_where_only_the_best_is_saved(tmp_path, strategy, step):
    """The evaluation at that very step is no better, and alone would save nothing."""
    given = {"save_strategy": "best", "eval_strategy": strategy, "eval_steps": 1, "max_steps": 9}
    first = {} if strategy == "steps" else {"eval_on_start": True}
    with pytest.raises(Interrupted) as caught:
        still(tmp_path, Ends(step), Best(), **given, **first)
    assert f"at step {step}, which is saved in" in str(caught.value)
    assert kept(tmp_path, step)["global_step"] == step


def test_what_a_signal_saved_is_not_the_best_unless_it_is_by_the_plan(tmp_path):
    """Else a run that was stopped could end with other weights than one that was not."""
    given = {"eval_steps": 1, "save_steps": 3, "load_best_model_at_end": True}
    whole = still(tmp_path / "whole", **given)
    with pytest.raises(Interrupted, match="at step 2, which is saved"):
        still(tmp_path / "cut", Ends(2), **given)
    cut = still(tmp_path / "cut", **given)
    assert [each.state.best_global_step for each in (whole, cut)] == [3, 3]
    assert str(cut.state.best_model_checkpoint).endswith("checkpoint-3")


class Best(TrainerCallback):
    """No evaluation is better than what a Trainer begins with."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A loss that none has."""
        state.best_metric = -1.0


def test_warnings_are_not_lost_by_who_goes_on(tmp_path, capsys):
    """Said in the first process, and in the record of the last; counts go on as well."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    given = {"eval_steps": 1, "save_steps": 1}
    one = still(whole, **given)
    assert any("has not improved in 4 evaluations" in line for line in one.watch.said)
    capsys.readouterr()
    with pytest.raises(Interrupted):
        still(cut, Ends(5), **given)
    assert capsys.readouterr().err.count("has not improved in 4") == 1
    other = still(cut, **given)
    assert "has not improved" not in capsys.readouterr().err
    assert sorted(other.watch.said) == sorted(one.watch.said)
    assert (other.watch.evaluations, other.watch.improved) == (6, False)


def test_what_never_improved_is_counted_over_a_stop(tmp_path, capsys):
    given = {"eval_steps": 1, "save_steps": 1}
    with pytest.raises(Interrupted):
        still(tmp_path, Ends(3), **given)
    assert "has not improved" not in capsys.readouterr().err
    assert any("has not improved" in line for line in still(tmp_path, **given).watch.said)


def test_warnings_of_a_stage_that_was_at_its_end_are_kept(tmp_path):
    """As after a kill between its last checkpoint and the journal."""
    given = {"eval_steps": 1, "save_steps": 1}
    first = still(tmp_path, **given)
    assert first.watch.said
    assert sorted(still(tmp_path, **given).watch.said) == sorted(first.watch.said)


# Checkpoints without a journal


@pytest.fixture(scope="module")
def dataset(hub) -> str:
    return topics_of(hub, "brought", 24)


@pytest.fixture(scope="module")
def whole(hub, tiny_bert, dataset, tmp_path_factory):
    return learn(
        hub, tmp_path_factory.mktemp("brought"), "brought", **recipe_of(tiny_bert, dataset)
    )


def recipe_of(base: str, dataset: str, **changed: Any) -> dict[str, Any]:
    training = {**BEST, "num_train_epochs": 2, **changed}
    return {"dataset": dataset, "model": bert(base), "training": training}


@pytest.fixture
def brought(whole, tmp_path) -> Path:
    """The run's checkpoints of the first epoch alone, as a Hub keeps them."""
    out = tmp_path / "run"
    shutil.copytree(whole.folder / "checkpoints", out / "checkpoints")
    for path in (out / "checkpoints").iterdir():
        if path.name == "checkpoint-6":
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()
    return out


def test_checkpoints_that_were_brought_are_gone_on_with(hub, tiny_bert, dataset, whole, brought):
    folder = brought.parent
    again = learn(hub, folder, "brought", **recipe_of(tiny_bert, dataset), resume=True, out=brought)
    ends = [each / "checkpoints" / "1-end.safetensors" for each in (whole.folder, again.folder)]
    assert same(*ends)
    assert (brought / "checkpoints" / "checkpoint-3").is_dir()


def refused(hub, tiny_bert, dataset, out: Path, **changed: Any) -> str:
    before = sorted(out.rglob("*"))
    with pytest.raises(UserError) as caught:
        learn(
            hub,
            out.parent,
            "brought",
            **recipe_of(tiny_bert, dataset, **changed),
            resume=True,
            out=out,
        )
    assert caught.value.exit_code == 2
    assert sorted(out.rglob("*")) == before
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_checkpoints_of_another_run_are_refused(hub, tiny_bert, dataset, brought):
    line = refused(hub, tiny_bert, dataset, brought, learning_rate=1e-4)
    assert f"the run in {brought} has training.learning_rate=0.005, this one 0.0001" in line


def test_checkpoints_that_do_not_say_whose_they_are_are_refused(hub, tiny_bert, dataset, brought):
    path = brought / "checkpoints" / "checkpoint-3" / "trainer_state.json"
    state = json.loads(path.read_text())
    state["stateful_callbacks"].pop("Signed", None)
    path.write_text(json.dumps(state))
    line = refused(hub, tiny_bert, dataset, brought)
    assert line.startswith(f"--resume: {path.parent} does not say which run it is of")
    assert "without --resume" in line
