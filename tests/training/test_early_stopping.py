"""When a stage ends early, and which of its evaluations is the best."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from hfpipe.training.selection import EarlyStopping
from tests.training.staged import BEST, bert, learn, topics_of
from tests.training.support import story

Scores = Sequence[tuple[float, float]]


def evaluations(scores: Scores, epochs: float = 1.0) -> list[tuple[TrainerState, dict[str, float]]]:
    """(f1, loss) of evaluations in turn, ``epochs`` apart."""
    return [
        (
            TrainerState(epoch=epochs * (at + 1), global_step=10 * (at + 1)),
            {"eval_f1": f1, "eval_loss": loss},
        )
        for at, (f1, loss) in enumerate(scores)
    ]


def ended(stopping: EarlyStopping, scores: Scores, epochs: float = 1.0, higher: bool = True) -> int:
    """After how many evaluations a stage ends; 0 where it goes through all of them."""
    arguments = SimpleNamespace(metric_for_best_model="f1", greater_is_better=higher)
    control = TrainerControl()
    for at, (state, metrics) in enumerate(evaluations(scores, epochs)):
        stopping.on_evaluate(arguments, state, control, metrics=metrics)
        if control.should_training_stop:
            assert stopping.stopped
            return at + 1
    assert not stopping.stopped
    return 0


def flat(*f1: float) -> Scores:
    """Loss says nothing here."""
    return [(each, 1.0) for each in f1]


@pytest.mark.parametrize(
    ("patience", "scores", "at"),
    [
        (1, flat(0.5, 0.6, 0.6), 3),
        (2, flat(0.5, 0.4, 0.6, 0.5, 0.5), 5),
        (2, flat(0.5, 0.4, 0.6, 0.5, 0.7, 0.6), 0),
        (3, flat(0.9, 0.1, 0.2, 0.3), 4),
        (1, flat(0.5, 0.4), 2),
        (0, flat(0.9, 0.1, 0.1, 0.1, 0.1), 0),
    ],
)
def test_it_ends_after_so_many_evaluations_in_turn_without_a_better_one(patience, scores, at):
    assert ended(EarlyStopping(patience), scores) == at


def test_of_a_loss_less_is_better():
    assert ended(EarlyStopping(2), flat(0.9, 0.5, 0.4, 0.45, 0.4), higher=False) == 5
    assert ended(EarlyStopping(2), flat(0.9, 0.5, 0.4, 0.45, 0.4), higher=True) == 3


@pytest.mark.parametrize(
    ("min_epochs", "epochs", "at"), [(0, 1.0, 2), (4, 1.0, 4), (2, 0.5, 4), (2.25, 0.5, 5)]
)
def test_not_before_so_many_epochs_and_then_at_once(min_epochs, epochs, at):
    worse_and_worse = flat(0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
    assert ended(EarlyStopping(1, min_epochs), worse_and_worse, epochs) == at


def test_a_better_one_before_min_epochs_starts_the_count_anew():
    assert ended(EarlyStopping(2, 3), flat(0.5, 0.4, 0.6, 0.5, 0.5)) == 5


def test_metrics_within_epsilon_are_told_apart_by_their_loss():
    even = [(0.800, 0.50), (0.805, 0.60), (0.798, 0.45), (0.806, 0.46), (0.805, 0.47)]
    # Without epsilon 0.805 and 0.806 are each better than what was before.
    assert ended(EarlyStopping(2), even) == 0
    # With it the second is even and has the higher loss, the third the lower: two worse follow.
    stopping = EarlyStopping(2, epsilon=0.01)
    assert ended(stopping, even) == 5
    assert stopping.best == {"eval_f1": 0.798, "eval_loss": 0.45}


def test_an_even_one_of_the_same_loss_is_not_better():
    assert ended(EarlyStopping(2, epsilon=0.01), [(0.8, 0.5)] * 3) == 3


def test_what_is_further_apart_than_epsilon_is_better_whatever_its_loss():
    stopping = EarlyStopping(1, epsilon=0.01)
    assert ended(stopping, [(0.80, 0.5), (0.82, 0.9), (0.80, 0.1)]) == 3
    assert stopping.best == {"eval_f1": 0.82, "eval_loss": 0.9}


def test_an_evaluation_without_the_metric_does_not_count():
    stopping, control = EarlyStopping(1), TrainerControl()
    arguments = SimpleNamespace(metric_for_best_model="f1", greater_is_better=True)
    for metrics in ({"eval_f1": 0.5, "eval_loss": 1.0}, None, {"eval_other_f1": 0.1}):
        stopping.on_evaluate(arguments, TrainerState(epoch=1.0), control, metrics=metrics)
    assert (stopping.waited, control.should_training_stop) == (0, False)


@pytest.mark.parametrize("cut", range(1, 6))
def test_patience_survives_a_checkpoint_wherever_it_is_cut(cut, tmp_path):
    """As Trainer restores it: made of ``args``, then its ``attributes``, through JSON on disk."""
    even = [(0.8, 0.5), (0.8, 0.5), (0.8, 0.6)]
    scores = [(0.8, 0.5), (0.805, 0.6), (0.7, 0.4), (0.81, 0.45), *even]
    whole = EarlyStopping(3, 2, 0.01)
    assert ended(whole, scores) == 7
    first = EarlyStopping(3, 2, 0.01)
    assert ended(first, scores[:cut]) == 0
    state = TrainerState(stateful_callbacks={"EarlyStopping": first.state()})
    state.save_to_json(str(tmp_path / "state.json"))
    kept = TrainerState.load_from_json(str(tmp_path / "state.json")).stateful_callbacks
    second = EarlyStopping(**kept["EarlyStopping"]["args"])
    for name, value in kept["EarlyStopping"]["attributes"].items():
        setattr(second, name, value)
    assert second.state() == first.state()
    assert ended(second, scores[cut:]) == 7 - cut
    assert second.best == whole.best


def best_steps(scores: Scores, folder: Any, **more: Any) -> list[tuple[int, float]]:
    """The Trainer's own best step and value after each of these evaluations."""
    from hfpipe.training.trainer import HfpipeTrainer

    arguments = TrainingArguments(
        output_dir=str(folder),
        metric_for_best_model="f1",
        greater_is_better=True,
        save_strategy="epoch",
        report_to="none",
        use_cpu=True,
    )
    trainer = HfpipeTrainer(torch.nn.Linear(1, 1), arguments, train_collator=list, **more)
    found = []
    for state, metrics in evaluations(scores):
        trainer.state.global_step = state.global_step
        trainer.state.log_history.append({**metrics, "step": state.global_step})
        before = trainer.state.best_global_step
        is_new = trainer._determine_best_metric(metrics, None)
        assert is_new == (trainer.state.best_global_step != before)
        found.append((trainer.state.best_global_step, trainer.state.best_metric))
    return found


def test_the_best_checkpoint_is_chosen_as_early_stopping_counts(tmp_path):
    scores = [(0.80, 0.50), (0.805, 0.60), (0.798, 0.45), (0.85, 0.9), (0.845, 0.9), (0.845, 0.8)]
    assert best_steps(scores, tmp_path) == [
        (10, 0.80),
        (20, 0.805),
        (20, 0.805),
        (40, 0.85),
        (40, 0.85),
        (40, 0.85),
    ]
    assert best_steps(scores, tmp_path, epsilon=0.01) == [
        (10, 0.80),
        (10, 0.80),
        (30, 0.798),
        (40, 0.85),
        (40, 0.85),
        (60, 0.845),
    ]


def test_a_stage_ends_by_its_own_patience_and_metric_not_by_the_recipe_s(hub, tiny_bert, tmp_path):
    """Nothing learns at a rate of 0: no evaluation is better than the first one."""
    dataset = topics_of(hub, "stopping", 24)
    training = {**BEST, "num_train_epochs": 5, "learning_rate": 0.0}
    stages = {
        "short": {},
        "long": {"early_stopping": {"patience": 2, "metric": "accuracy"}},
        "late": {"early_stopping": {"patience": 1, "min_epochs": 3}},
        "never": {"early_stopping": {}, "training": {"num_train_epochs": 3}},
    }
    tuned = learn(
        hub,
        tmp_path,
        "stopping",
        dataset,
        bert(tiny_bert),
        stages,
        training=training,
        early_stopping={"patience": 1},
    )
    told = {each["name"]: each for each in story(hub, tuned)["stages"]}
    assert {name: each["epochs"] for name, each in told.items()} == {
        "short": 2.0,
        "long": 3.0,
        "late": 3.0,
        "never": 3.0,
    }
    assert [each["stopped"] for each in told.values()] == [True, True, True, False]
    assert [each["metric"] for each in told.values()] == ["loss", "accuracy", "loss", "loss"]
    # Not one was better than what it began with, as far as the two could be compared.
    assert [each["kept"] for each in told.values()] == [True, True, True, False]
    curves = json.loads((tuned.folder / "curves.json").read_text())
    said = [each["stage"] for each in curves if "eval_loss" in each]
    assert said == [1] * 2 + [2] * 3 + [3] * 3 + [4] * 3
