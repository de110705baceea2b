"""Losses against plain torch and against formulas written out in numpy."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from hfpipe.errors import UserError
from hfpipe.models.losses import (
    IGNORED,
    LOSSES,
    check_loss,
    compute_loss,
    loss_function,
    trainer_loss,
)

SINGLE, MULTI = "single_label_classification", "multi_label_classification"
EVERY = [(problem, name) for problem, losses in LOSSES.items() for name in losses]
CLASSES = 4


def problem(kind: str, rows: int = 6, seed: int = 0, dtype=torch.float64):
    """Logits, labels and a config with every option away from its default."""
    generator = torch.Generator().manual_seed(seed)
    shape = {SINGLE: (rows, CLASSES), MULTI: (rows, CLASSES)}.get(kind, (rows, 1))
    logits = torch.randn(shape, generator=generator, dtype=dtype) * 2
    labels = {
        SINGLE: lambda: torch.randint(CLASSES, (rows,), generator=generator),
        MULTI: lambda: torch.randint(2, shape, generator=generator).to(dtype),
        "binary": lambda: torch.randint(2, (rows,), generator=generator),
        "regression": lambda: torch.randn(rows, generator=generator, dtype=dtype) * 2,
    }[kind]()
    weights = {MULTI: {"pos_weight": [2.0, 0.5, 1.0, 3.0]}, "binary": {"pos_weight": 2.5}}
    options = weights.get(kind, {SINGLE: {"class_weights": [2.0, 0.5, 1.0, 0.5]}}.get(kind, {}))
    return logits, labels, options


def config(kind: str, loss: str | None = None, **options):
    return SimpleNamespace(problem_type=kind, loss=loss, **options)


def in_numpy(logits, labels, kind, loss, gamma=2.0, delta=1.0, smoothing=0.0, **weights):
    """Every loss written out as a sum over rows and classes; no row is ignored."""
    z, y = logits.numpy(), labels.numpy()
    if kind == "regression":
        gap = np.abs(z[:, 0] - y)
        curve = np.where(gap < delta, 0.5 * gap**2, delta * (gap - 0.5 * delta))
        return (gap**2 if loss == "mse" else curve).mean()
    gamma = gamma if loss == "focal" else 0.0
    if kind == SINGLE:
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        q = np.eye(CLASSES)[y] * (1 - smoothing) + smoothing / CLASSES
        alpha = np.array(weights.get("class_weights", [1.0] * CLASSES))
        return -(alpha * q * (1 - p) ** gamma * np.log(p)).sum(axis=1).mean()
    p, y = 1 / (1 + np.exp(-z)), y.reshape(z.shape)
    q, alpha = y * (1 - smoothing) + smoothing / 2, np.array(weights.get("pos_weight", 1.0))
    yes, no = (1 - p) ** gamma * np.log(p), p**gamma * np.log(1 - p)
    return -(alpha * q * yes + (1 - q) * no).mean()


@pytest.mark.parametrize(("kind", "loss"), EVERY)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 12),
    weighted=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.1, 0.5]),
    gamma=st.sampled_from([0.0, 0.5, 2.0, 5.0]),
    delta=st.sampled_from([0.3, 1.0, 4.0]),
)
@settings(max_examples=25, deadline=None)
def test_a_loss_is_its_formula(kind, loss, seed, rows, weighted, smoothing, gamma, delta):
    logits, labels, options = problem(kind, rows, seed)
    options = options if weighted else {}
    extra = {} if kind == "regression" else {"label_smoothing": smoothing}
    asked = config(kind, loss, focal_gamma=gamma, huber_delta=delta, **extra, **options)
    expected = in_numpy(logits, labels, kind, loss, gamma, delta, smoothing, **options)
    assert compute_loss(logits, labels, asked).item() == pytest.approx(expected, rel=1e-10)


def test_defaults_are_what_torch_calls_by_those_names():
    logits, labels, _ = problem(SINGLE)
    torch.testing.assert_close(
        compute_loss(logits, labels, config(SINGLE)), functional.cross_entropy(logits, labels)
    )
    logits, labels, _ = problem(MULTI)
    torch.testing.assert_close(
        compute_loss(logits, labels, config(MULTI)),
        functional.binary_cross_entropy_with_logits(logits, labels),
    )
    logits, labels, _ = problem("regression")
    torch.testing.assert_close(
        compute_loss(logits, labels, config("regression")),
        functional.mse_loss(logits[:, 0], labels),
    )


@pytest.mark.parametrize(("kind", "loss"), EVERY)
def test_gradients_are_right(kind, loss):
    logits, labels, options = problem(kind)
    smoothing = {} if kind == "regression" else {"label_smoothing": 0.1}
    asked = config(kind, loss, focal_gamma=1.5, huber_delta=0.7, **smoothing, **options)
    labels = labels.clone()
    labels[1] = IGNORED
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: compute_loss(z, labels, asked, 7), [logits])


@pytest.mark.parametrize(("kind", "loss"), EVERY)
def test_rows_without_a_label_change_nothing(kind, loss):
    logits, labels, options = problem(kind)
    asked = config(kind, loss, **options)
    expected = compute_loss(logits, labels, asked)
    missing = [IGNORED, float("nan")] if labels.is_floating_point() else [IGNORED]
    for value in missing:
        more = torch.full((2, *labels.shape[1:]), value, dtype=labels.dtype)
        padded = torch.cat([logits, logits[:2] * 9]).requires_grad_()
        loss_of_all = compute_loss(padded, torch.cat([labels, more]), asked)
        torch.testing.assert_close(loss_of_all, expected)
        loss_of_all.backward()
        assert padded.grad[-2:].abs().max() == 0
        assert padded.grad[:-2].abs().min() > 0


def test_one_unknown_entry_of_a_multi_label_row_leaves_the_others():
    labels = torch.tensor([[1.0, float("nan"), 0.0]])
    whole = compute_loss(torch.zeros(1, 3), labels, config(MULTI))
    assert whole.item() == pytest.approx(np.log(2))


@pytest.mark.parametrize(("kind", "loss"), EVERY)
def test_a_batch_without_labels_costs_nothing(kind, loss):
    logits, labels, _ = problem(kind)
    logits.requires_grad_()
    found = compute_loss(logits, torch.full_like(labels, IGNORED), config(kind, loss))
    found.backward()
    assert found.item() == 0
    assert logits.grad.abs().max() == 0


@pytest.mark.parametrize(("kind", "loss"), EVERY)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 7))
@settings(max_examples=15, deadline=None)
def test_parts_of_a_batch_add_up_to_the_whole(kind, loss, seed, cut):
    logits, labels, options = problem(kind, 8, seed)
    labels = labels.clone()
    labels[0] = IGNORED
    asked = config(kind, loss, **options)
    items = (labels != IGNORED).sum()
    whole = compute_loss(logits, labels, asked)
    parts = [
        compute_loss(logits[part], labels[part], asked, items)
        for part in (slice(cut), slice(cut, None))
    ]
    torch.testing.assert_close(sum(parts), whole)


@pytest.mark.parametrize(("kind", "loss"), [pair for pair in EVERY if pair[1] == "focal"])
def test_focal_loss_with_gamma_0_is_cross_entropy(kind, loss):
    logits, labels, options = problem(kind)
    plain = {SINGLE: "cross_entropy"}.get(kind, "bce")
    torch.testing.assert_close(
        compute_loss(logits, labels, config(kind, loss, focal_gamma=0.0, **options)),
        compute_loss(logits, labels, config(kind, plain, **options)),
    )


@pytest.mark.parametrize(("kind", "loss"), EVERY)
@pytest.mark.parametrize("size", [1e2, 1e4])
def test_huge_logits_give_finite_losses_and_gradients(kind, loss, size):
    logits, labels, options = problem(kind, dtype=torch.float32)
    logits = (logits.sign() * size).requires_grad_()
    found = compute_loss(logits, labels, config(kind, loss, focal_gamma=0.5, **options))
    found.backward()
    assert torch.isfinite(found)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(("kind", "loss"), EVERY)
def test_half_precision_logits_are_counted_in_float32(kind, loss):
    logits, labels, options = problem(kind, dtype=torch.float32)
    logits = logits.bfloat16()
    asked = config(kind, loss, **options)
    found = compute_loss(logits, labels, asked)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, compute_loss(logits.float(), labels, asked))


@pytest.mark.parametrize(("kind", "loss"), EVERY)
def test_compiles_without_a_graph_break(kind, loss):
    logits, labels, options = problem(kind, dtype=torch.float32)
    asked = config(kind, loss, label_smoothing=0.1, **options)
    compiled = torch.compile(compute_loss, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(logits, labels, asked), compute_loss(logits, labels, asked))


def test_binary_labels_and_logits_may_have_a_column_each():
    logits, labels, _ = problem("binary")
    expected = compute_loss(logits, labels, config("binary"))
    for z, y in ((logits[:, 0], labels), (logits, labels[:, None].double())):
        torch.testing.assert_close(compute_loss(z, y, config("binary")), expected)


@pytest.mark.parametrize(
    ("kind", "shape", "labels"),
    [
        (SINGLE, (3, 4), torch.zeros(2, dtype=torch.long)),
        (SINGLE, (3,), torch.zeros(3, dtype=torch.long)),
        (MULTI, (3, 4), torch.zeros(3)),
        (MULTI, (3, 4), torch.zeros(3, 5)),
        ("binary", (3, 2), torch.zeros(3)),
        ("regression", (3, 1), torch.zeros(1)),
    ],
)
def test_labels_of_another_shape_are_refused_and_not_broadcast(kind, shape, labels):
    with pytest.raises(UserError, match="do not belong to logits of shape"):
        compute_loss(torch.zeros(shape), labels, config(kind))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"problem_type": "binry"}, "no problem_type 'binry'; did you mean 'binary'?"),
        ({"loss": "focl"}, "binary has no loss 'focl'; did you mean 'focal'?"),
        ({"loss": "mse"}, "binary has no loss 'mse'; there is 'bce', 'focal'"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0: it must be at least 0 and below 1"),
        ({"focal_gamma": -1}, "focal_gamma=-1: it must be at least 0"),
        ({"huber_delta": "1"}, "huber_delta='1': it must be above 0"),
        ({"pos_weight": 0.0}, "pos_weight=0.0: every weight must be a finite number above 0"),
        ({"pos_weight": [1.0, 2.0]}, "pos_weight has 2 values but there are 1 classes"),
        ({"problem_type": SINGLE, "class_weights": [1.0]}, "has 1 values but there are 3 classes"),
    ],
)
def test_a_config_that_cannot_work_is_refused(options, message):
    asked = {"problem_type": "binary", "num_labels": 3} | options
    with pytest.raises(UserError) as raised:
        check_loss(SimpleNamespace(**asked))
    assert message in str(raised.value)


def test_a_good_config_passes():
    check_loss(config(SINGLE, "focal", num_labels=2, class_weights=[1.0, 3.0], focal_gamma=2))
    check_loss(config(MULTI, "bce", num_labels=3, pos_weight=2.0, label_smoothing=0.0))
    assert loss_function(config("regression")) is LOSSES["regression"]["mse"]


def test_trainer_gets_the_same_weights_from_two_half_batches(tmp_path):
    weights = [trained(tmp_path, batch, parts) for batch, parts in ((8, 1), (2, 4))]
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-6, atol=1e-7)
    torch.manual_seed(0)
    start = torch.nn.Linear(3, CLASSES).weight
    assert (weights[0] - start).abs().max() > 0.01


def trained(folder, batch: int, parts: int):
    """One step of the real Trainer over 8 rows, of which 3 have no label."""
    from transformers import Trainer, TrainingArguments

    class Scores(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(3, CLASSES)

        def forward(self, x):
            return {"logits": self.head(x)}

    generator = torch.Generator().manual_seed(1)
    x = torch.randn(8, 3, generator=generator)
    y = [0, IGNORED, IGNORED, IGNORED, 1, 2, 3, 1]
    rows = [{"x": row, "labels": label} for row, label in zip(x, y, strict=True)]
    torch.manual_seed(0)
    model = Scores()
    asked = config(SINGLE, "focal", class_weights=[2.0, 0.5, 1.0, 0.5])
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=parts,
        max_steps=1,
        learning_rate=0.1,
        max_grad_norm=0.0,
        optim="sgd",
        train_sampling_strategy="sequential",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        remove_unused_columns=False,
    )
    Trainer(model, arguments, train_dataset=rows, compute_loss_func=trainer_loss(asked)).train()
    return model.head.weight.detach()
