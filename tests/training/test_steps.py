"""An optimizer step is what its rows say, however they are cut up; so is an evaluation."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from transformers import BertForSequenceClassification
from transformers.trainer_callback import TrainerCallback

from hfpipe.errors import RunError
from hfpipe.training.predict import predict_outputs
from tests.training.small import (
    CLASSES,
    TOYS,
    Toy,
    bert,
    each_row,
    furthest,
    fusion,
    losses,
    trainer_of,
    weights,
)

STOCK = TOYS["stock BERT, class weights"]
PLAIN = Toy("classification", bert)
WHOLE = {"per_device_train_batch_size": 16}
CUTS: dict[str, dict[str, Any]] = {
    "1x8": {"per_device_train_batch_size": 8},
    "8x1": {"per_device_train_batch_size": 1},
    "3+3+2": {"per_device_train_batch_size": 3},
    "by tokens": {"per_device_train_batch_size": 8, "max_tokens": 24},
}


@pytest.fixture(scope="module", autouse=True)
def quick_collections() -> Iterator[None]:
    """Each Trainer calls ``gc.collect``, which would walk through every module there is."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Small(BertForSequenceClassification):
    """Out of memory with more than ``config.room`` rows, while it learns."""

    def forward(self, input_ids: Any = None, **kwargs: Any) -> Any:
        """As BERT, if it fits."""
        rows = len(input_ids)
        if self.training:
            self.__dict__.setdefault("seen", Counter())[rows] += 1
            if rows > self.config.room:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return super().forward(input_ids=input_ids, **kwargs)


class Gradients(TrainerCallback):
    """The gradients of the first step."""

    found: dict[str, torch.Tensor]

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs) -> None:
        """Before they are used."""
        if state.global_step == 0:
            self.found = {
                name: each.grad.clone()
                for name, each in model.named_parameters()
                if each.grad is not None
            }


def whole(toy: Toy, rows: Any) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of all rows in one batch, by torch alone."""
    model, batch = toy.model(), toy.collator(list(rows))
    labels = batch["labels"]
    inputs = {name: each for name, each in batch.items() if name != "labels"}
    if toy.loss:
        loss = toy.loss_func()(model(**inputs), labels)
    else:
        loss = model(**inputs, labels=labels).loss
    loss.backward()
    gradients = {
        name: each.grad for name, each in model.named_parameters() if each.grad is not None
    }
    return float(loss.detach()), gradients


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("toy", TOYS.values(), ids=TOYS)
def test_a_step_has_the_loss_and_the_gradients_of_the_whole_batch(tmp_path, toy: Toy, cut: str):
    rows = toy.rows(8)
    expected, gradients = whole(toy, rows)
    trainer = trainer_of(toy, tmp_path, rows, rows=8, max_steps=1, **CUTS[cut])
    seen = Gradients()
    trainer.add_callback(seen)
    trainer.train()
    assert losses(trainer) == [pytest.approx(expected, rel=1e-6)]
    assert furthest(seen.found, gradients) < 1e-6
    assert max(float(each.abs().max()) for each in gradients.values()) > 1e-2


@pytest.mark.parametrize("toy", TOYS.values(), ids=TOYS)
def test_weights_after_three_steps_do_not_depend_on_micro_batches(tmp_path, toy: Toy):
    rows = toy.rows(20)  # steps of 8, 8 and 4
    found = []
    for cut in CUTS.values():
        trainer = trainer_of(toy, tmp_path, rows, rows=8, num_train_epochs=1, **cut)
        trainer.train()
        assert trainer.state.global_step == 3
        found.append((weights(trainer.model), losses(trainer)))
    start = weights(toy.model())
    assert furthest(found[0][0], start) > 1e-2
    for model, logged in found[1:]:
        assert furthest(model, found[0][0]) < 1e-6
        assert logged == pytest.approx(found[0][1], abs=1e-6)


def test_accumulation_is_a_matter_of_the_recipe_alone(tmp_path):
    """``gradient_accumulation_steps`` counts rows of a step; the Trainer itself never sees it."""
    from hfpipe.recipe import load_recipe
    from hfpipe.training.fit import step_rows, training_arguments
    from hfpipe.training.reporting import Reporting

    for batch, accumulated in ((8, 1), (1, 8), (2, 4)):
        recipe = load_recipe(
            "topics_minilm",
            [
                f"training.per_device_train_batch_size={batch}",
                f"training.gradient_accumulation_steps={accumulated}",
            ],
        )
        arguments = training_arguments(recipe, tmp_path, Reporting(quiet=True))
        assert step_rows(recipe, arguments) == 8
        assert arguments.gradient_accumulation_steps == 1
        assert arguments.train_batch_size == batch


@pytest.mark.parametrize(("room", "said"), [(4, [2]), (3, [2, 4]), (1, [2, 4, 8])])
def test_out_of_memory_goes_on_in_halves(tmp_path, capsys, room: int, said: list[int]):
    small = Toy("classification", lambda: bert(kind=Small, room=room), loss=STOCK.loss)
    rows = STOCK.rows(16)
    reference, trainer = (
        trainer_of(toy, tmp_path, rows, rows=8, max_steps=3, **CUTS["1x8"])
        for toy in (STOCK, small)
    )
    reference.train()
    trainer.train()
    assert furthest(weights(trainer.model), weights(reference.model)) < 1e-6
    assert losses(trainer) == pytest.approx(losses(reference), abs=1e-6)
    # Told once each: later steps are cut from the start.
    told = [line for line in capsys.readouterr().err.splitlines() if "out of memory" in line]
    assert told == [
        f"warning: out of memory: micro-batches are cut into {parts} parts now" for parts in said
    ]
    # Steps of 8 rows: 8 fail once, then as much as fits.
    fits = 8 // said[-1]
    assert trainer.model.seen == Counter([8 // parts for parts in (1, *said[:-1])]) + Counter(
        {fits: 3 * said[-1]}
    )


def test_what_a_step_had_learnt_before_it_ran_out_of_memory_is_not_counted_twice(tmp_path):
    """Long rows come first and fit: it is the many short ones that do not."""
    small = Toy("classification", lambda: bert(kind=Small, room=3), loss=STOCK.loss)
    rows = STOCK.rows(8)
    expected, gradients = whole(STOCK, rows)
    trainer = trainer_of(small, tmp_path, rows, rows=8, max_steps=1, max_tokens=40)
    seen = Gradients()
    trainer.add_callback(seen)
    trainer.train()
    sizes = list(trainer.model.seen)
    assert sizes[0] <= 3 < max(sizes)
    assert losses(trainer) == [pytest.approx(expected, rel=1e-6)]
    assert furthest(seen.found, gradients) < 1e-6


def test_a_row_that_does_not_fit_ends_the_run_with_what_would_make_it_fit(tmp_path):
    toy = Toy("classification", lambda: bert(kind=Small, room=0), loss=STOCK.loss)
    trainer = trainer_of(toy, tmp_path, STOCK.rows(8), rows=8, max_steps=1, **CUTS["1x8"])
    with pytest.raises(RunError) as caught:
        trainer.train()
    line = str(caught.value)
    assert caught.value.exit_code == 1
    assert "\n" not in line
    assert "out of memory with 1 rows of a batch" in line
    assert "training.gradient_checkpointing=true" in line
    assert "batches.max_tokens=" in line


def test_an_odd_number_of_rows_is_halved_down_to_one(tmp_path):
    """Three rows in two parts are two and one: there is something left to halve."""
    toy = Toy("classification", lambda: bert(kind=Small, room=1), loss=STOCK.loss)
    rows = STOCK.rows(3)
    trainer = trainer_of(toy, tmp_path, rows, rows=3, max_steps=1, per_device_train_batch_size=3)
    trainer.train()
    assert losses(trainer) == [pytest.approx(whole(STOCK, rows)[0], rel=1e-6)]


# Evaluation

EVALUATION = {"per_device_eval_batch_size": 5, "train_sampling_strategy": "group_by_length"}


@pytest.mark.parametrize("max_tokens", [30, 10_000])
def test_predictions_come_back_in_the_order_of_the_dataset(tmp_path, max_tokens: int):
    rows = PLAIN.rows(23)
    trainer = trainer_of(PLAIN, tmp_path, held_out=rows, eval_max_tokens=max_tokens, **EVALUATION)
    found = trainer.predict(rows)
    alone = [each.logits[0] for each in each_row(trainer.model, PLAIN.collator, rows)]
    assert len(list(trainer.get_test_dataloader(rows))) == (11 if max_tokens == 30 else 5)
    np.testing.assert_allclose(found.predictions, np.stack(alone), atol=1e-6)
    assert found.label_ids.tolist() == rows["labels"][:]


@pytest.mark.parametrize("max_tokens", [30, 10_000])
def test_the_evaluation_loss_is_the_mean_over_rows(tmp_path, max_tokens: int):
    rows = PLAIN.rows(23)
    trainer = trainer_of(PLAIN, tmp_path, held_out=rows, eval_max_tokens=max_tokens, **EVALUATION)
    scores = torch.stack(
        [each.logits[0].double() for each in each_row(trainer.model, PLAIN.collator, rows)]
    ).softmax(-1)
    expected = log_loss(rows["labels"][:], scores.numpy(), labels=range(len(CLASSES)))
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("toy", TOYS.values(), ids=TOYS)
def test_the_evaluation_loss_is_what_is_minimised(tmp_path, toy: Toy):
    rows = toy.rows(23)
    trainer = trainer_of(toy, tmp_path, held_out=rows, eval_max_tokens=30, **EVALUATION)
    trainer.compute_metrics = lambda _: {}
    expected, _ = whole(toy, rows)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-5)


def test_extras_come_back_in_the_order_of_the_dataset():
    toy = TOWERS
    rows, model = toy.rows(23), toy.model()
    found = predict_outputs(
        model, toy.collator, rows, toy.kind, batch_size=4, quiet=True, max_tokens=40
    )
    alone = each_row(model, toy.collator, rows)
    np.testing.assert_allclose(
        found.logits, np.stack([each.logits[0] for each in alone]), atol=1e-6
    )
    assert set(found.extras) == {"weights"}
    expected = np.stack([each.extras["weights"][0] for each in alone])
    np.testing.assert_allclose(found.extras["weights"], expected, atol=1e-6)
    assert expected.std(axis=0).max() > 1e-3


class Tight(BertForSequenceClassification):
    """Out of memory in evaluation; on a CPU it is told by a plain error."""

    def forward(self, **kwargs: Any) -> Any:
        """As BERT, while it learns."""
        if not self.training:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return super().forward(**kwargs)


def test_an_evaluation_that_does_not_fit_says_what_would_make_it_fit(tmp_path):
    toy = Toy("classification", lambda: bert(kind=Tight))
    rows = PLAIN.rows(8)
    trainer = trainer_of(
        toy,
        tmp_path,
        rows,
        rows,
        rows=8,
        max_steps=1,
        eval_max_tokens=50,
        eval_strategy="steps",
        eval_steps=1,
    )
    place = (
        "out of memory in evaluation, with 8 rows of a batch at most: set evaluation.max_tokens=25"
    )
    with pytest.raises(RunError) as caught:
        trainer.train()
    assert str(caught.value) == f"{place} or training.per_device_eval_batch_size=4"
    with pytest.raises(RunError) as caught:
        predict_outputs(toy.model(), toy.collator, rows, toy.kind, 8, quiet=True, max_tokens=50)
    flag = "(--batch-size of evaluate and predict)"
    assert str(caught.value) == f"{place} or evaluation.batch_size=4 {flag}"


def test_a_cpu_without_memory_goes_on_in_halves_too(tmp_path):
    class Plain(Small):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().forward(*args, **kwargs)
            except torch.OutOfMemoryError as error:
                raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried") from error

    toy = Toy("classification", lambda: bert(kind=Plain, room=4), loss=STOCK.loss)
    rows = STOCK.rows(8)
    trainer = trainer_of(toy, tmp_path, rows, rows=8, max_steps=1, **CUTS["1x8"])
    trainer.train()
    assert losses(trainer) == [pytest.approx(whole(STOCK, rows)[0], rel=1e-6)]


@pytest.mark.parametrize(("max_tokens", "parts"), [(None, 8), (40, 3), (10_000, 1)])
def test_tokens_alone_limit_a_micro_batch_where_they_are_given(tmp_path, max_tokens, parts):
    trainer = trainer_of(
        PLAIN, tmp_path, PLAIN.rows(8), rows=8, max_tokens=max_tokens, **CUTS["8x1"]
    )
    (step,) = trainer.get_train_dataloader()
    assert len(step["micro"]) == parts


# What one override changes

OVERRIDES: dict[str, dict[str, Any]] = {
    "checkpointing": {"gradient_checkpointing": True},
    "compiled": {"torch_compile": True, "torch_compile_backend": "aot_eager"},
}
SHALLOW = Toy("classification", lambda: bert(num_hidden_layers=1), loss=STOCK.loss)
MLP = TOYS["wrapper, pos_weight"]
TOWERS = Toy("binary", fusion, flat=False, both=True)


@pytest.mark.parametrize(
    ("toy", "override"),
    [(SHALLOW, "checkpointing"), (TOWERS, "checkpointing"), (MLP, "compiled")],
)
def test_memory_or_speed_does_not_change_what_is_learnt(tmp_path, toy: Toy, override: str):
    rows = toy.rows(16)
    found = []
    for more in ({}, OVERRIDES[override]):
        trainer = trainer_of(toy, tmp_path, rows, rows=16, max_steps=3, **more, **WHOLE)
        trainer.train()
        found.append(losses(trainer))
    assert found[1] == pytest.approx(found[0], abs=1e-4)
    assert found[0][0] != pytest.approx(found[0][2], abs=1e-3)


def test_bf16_runs_where_it_is_asked_for(tmp_path):
    rows = STOCK.rows(16)
    found = {}
    for bf16 in (True, False):
        trainer = trainer_of(STOCK, tmp_path, rows, rows=8, max_steps=3, bf16=bf16)
        trainer.train()
        found[bf16] = losses(trainer)
        assert {each.dtype for each in trainer.model.parameters()} == {torch.float32}
    assert found[True] == pytest.approx(found[False], abs=2e-2)
    assert found[True] != found[False]


def test_use_cpu_decides_on_bfloat16_where_there_is_an_accelerator(tmp_path, monkeypatch):
    """The accelerator is fast in it, and this CPU is not."""
    from hfpipe.recipe import load_recipe
    from hfpipe.training import fit, precision
    from hfpipe.training.limits import token_limits
    from hfpipe.training.reporting import Reporting

    for module in (fit, precision):
        monkeypatch.setattr(module, "on_cpu", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert precision.bf16_is_fast()
    assert precision.eval_tokens() == 65_536
    recipe = load_recipe("topics_minilm", ["training.use_cpu=true"])
    arguments = fit.training_arguments(recipe, tmp_path, Reporting(quiet=True))
    assert (arguments.use_cpu, arguments.bf16) == (True, False)
    assert token_limits(arguments, PLAIN.collator, None, None)[1] == 2048
