"""Knowing when training goes wrong: what ends a run, and what is told once."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hfpipe.errors import RunError
from hfpipe.training.batches import StepSampler
from hfpipe.training.watch import Watch
from tests.conftest import Ran
from tests.toys import push_rows, toy_rows
from tests.training.small import TOYS, Toy, bert, trainer_of

PLAIN = TOYS["stock BERT, class weights"]
Tune = Callable[..., Ran]


@pytest.fixture(scope="module")
def dataset(hub) -> str:
    """Two classes that a word tells, and a third that is rare and looks like the first."""
    train, held_out = toy_rows(60, 1), toy_rows(18, 2)
    rare = [{**row, "topic": "rare"} for row in train[:2]]
    told = [{**row, "topic": "rare"} for row in held_out[:1]]
    return push_rows(
        hub, "local/watched", train=[*train[2:], *rare], validation=[*held_out[1:], *told]
    )


@pytest.fixture
def tune(hub, cli, tiny_bert, dataset, tmp_path) -> Tune:
    """``hfpipe finetune`` for one epoch on 60 rows, with overrides."""

    def tune(target: str, *overrides: str, rows: str = dataset) -> Ran:
        fixed = [
            "training.num_train_epochs=1",
            "training.per_device_train_batch_size=16",
            "training.logging_steps=1",
            "evaluation.baselines=false",
        ]
        words = ["finetune", "--recipe", "topics_minilm", "--dataset", rows]
        words += ["--base-model", tiny_bert, "--target", target, "--out", str(tmp_path / "run")]
        return cli(*words, "--no-wandb", "--quiet", "--hub", hub.url, *fixed, *overrides)

    return tune


def warnings_of(ran: Ran) -> list[str]:
    return [line for line in ran.err.splitlines() if line.startswith("warning: ")]


def recorded(hub: Any, repo_id: str) -> list[str]:
    """The warnings in the pushed ``hfpipe/run.json``."""
    from hfpipe.hub.repos import download

    found = download(hub, repo_id, "model", "hfpipe/run.json", None)
    assert found is not None
    return json.loads(found.read_text())["warnings"]


# What ends a run


class Poisoned(bert().__class__):
    """Its loss is no number where a row holds the word 29."""

    def forward(self, input_ids: Any = None, **kwargs: Any) -> Any:
        """As BERT, but for those rows."""
        said = super().forward(input_ids=input_ids, **kwargs)
        bad = (input_ids == 29).any(dim=1)
        said["logits"] = torch.where(bad[:, None], torch.nan, said["logits"])
        return said


def test_the_rows_that_are_kept_are_those_of_the_very_micro_batch(tmp_path):
    toy = Toy("classification", lambda: bert(kind=Poisoned), loss=PLAIN.loss)
    rows = PLAIN.rows(24)
    bad = [29 in ids for ids in rows["text.input_ids"]]
    at = int(np.flatnonzero(bad)[0])
    # One bad row among good ones, so that only its own micro-batch is at fault.
    rows = rows.select([place for place in range(24) if place == at or not bad[place]])
    row_id = f"r{at}"
    options = {"rows_per_step": 4, "max_rows": 4, "max_tokens": 30}
    sampler = StepSampler(rows["length"], strategy="random", seed=42, **options)
    planned = [
        (step, [rows[place]["row_id"] for place in micro])
        for step, batches in enumerate(sampler, 1)
        for micro in batches
    ]
    step, micro = next(each for each in planned if row_id in each[1])
    trainer = trainer_of(
        toy,
        tmp_path / "checkpoints",
        rows,
        rows=4,
        max_tokens=30,
        watch=Watch(tmp_path, stage="upper"),
        per_device_train_batch_size=4,
        num_train_epochs=1,
        learning_rate=1e-3,
    )
    with pytest.raises(RunError) as caught:
        trainer.train()
    kept = json.loads((tmp_path / "bad_batch.json").read_text())
    assert kept["row_ids"] == micro
    assert (kept["step"], kept["stage"], kept["loss"]) == (step, "upper", "nan")
    line = str(caught.value)
    assert line.startswith(f"stage 'upper': the loss is nan at step {step} (its rows: ")
    assert "training.learning_rate (0.001)" in line
    assert "\n" not in line


def test_a_loss_that_is_no_number_ends_the_run_with_nothing_pushed(hub, tune, tmp_path):
    from hfpipe.hub.repos import api

    ran = tune("local/watched-nan", "training.learning_rate=1e30", "training.warmup_steps=0")
    assert ran.code == 1
    said = [line for line in ran.err.splitlines() if "the loss is" in line]
    assert len(said) == 1
    assert "Traceback" not in ran.err
    path = tmp_path / "run" / "bad_batch.json"
    assert str(path) in said[0]
    assert "training.learning_rate (1e+30)" in said[0]
    ids = json.loads(path.read_text())["row_ids"]
    assert len(ids) == len(set(ids)) == 16
    assert set(ids) <= {row["row_id"] for row in toy_rows(60, 1)}
    assert not api(hub).repo_exists("local/watched-nan")


# What is told once


def test_a_class_that_is_never_predicted_is_told_once(hub, tune):
    ran = tune("local/watched-rare", "training.num_train_epochs=2", "training.learning_rate=5e-3")
    assert ran.code == 0, ran.err
    told = [line for line in warnings_of(ran) if "never predicted" in line]
    assert len(told) == 1
    assert "'rare'" in told[0]
    assert "model.loss.class_weights=balanced" in told[0]
    assert told[0].removeprefix("warning: ") in recorded(hub, "local/watched-rare")


def test_what_never_improves_and_what_cannot_learn_is_told_once(hub, tune):
    """Nothing changes at a rate of 0, and a frozen group has no use for a rate."""
    ran = tune(
        "local/watched-still",
        "training.num_train_epochs=6",
        "model.freeze=[embeddings]",
        "stages.only.groups.embeddings.learning_rate=1e-3",
        "stages.only.groups.head.learning_rate=0",
    )
    assert ran.code == 0, ran.err
    still = [line for line in warnings_of(ran) if "has not improved" in line]
    frozen = [line for line in warnings_of(ran) if "model.freeze" in line]
    assert (len(still), len(frozen)) == (1, 1)
    assert still[0].startswith("warning: stage 'only': validation ")
    assert "in 4 evaluations" in still[0]
    assert "stages.only.groups.embeddings has a learning rate" in frozen[0]
    kept = recorded(hub, "local/watched-still")
    for line in (still[0], frozen[0]):
        assert kept.count(line.removeprefix("warning: ")) == 1


@pytest.mark.parametrize(
    ("metric", "higher", "values", "told"),
    [
        ("accuracy", True, [0.9, 0.9, 0.8, 0.9], 1),
        ("accuracy", True, [0.9, 0.8, 0.8, 0.91], 0),
        ("accuracy", True, [1.0, 1.0, 1.0, 1.0], 0),
        ("loss", False, [0.5, 0.6, 0.7, 0.8, 0.9], 1),
        ("loss", False, [0.5, 0.6, 0.4, 0.8], 0),
    ],
)
def test_what_counts_as_never_improving(capsys, metric, higher, values, told):
    """None of four evaluations is better than the first, unless that is perfect."""
    watch = Watch()
    args = SimpleNamespace(metric_for_best_model=metric, greater_is_better=higher)
    for value in values:
        watch.on_evaluate(args, None, None, metrics={f"eval_{metric}": value})
    assert len(watch.said) == told
    assert capsys.readouterr().err.count("has not improved in 4 evaluations") == told


def test_a_run_that_goes_well_is_not_warned_of(hub, tune):
    fine = push_rows(hub, "local/watched-fine", train=toy_rows(150, 1), validation=toy_rows(30, 2))
    ran = tune(
        "local/watched-well",
        "training.num_train_epochs=8",
        "training.per_device_train_batch_size=8",
        "training.learning_rate=4e-3",
        rows=fine,
    )
    assert ran.code == 0, ran.err
    assert warnings_of(ran) == []
    assert recorded(hub, "local/watched-well") == []
