"""What holds for every wrapper: invariance, gradients, learning, half precision, compiling."""

from __future__ import annotations

import pytest
import torch
from transformers import set_seed

from hfpipe.errors import UserError
from tests.models.support import CASES, FULL_WIDTH_TASKS, GATES, batch_of, longer, rows_at

every_wrapper = pytest.mark.parametrize("name", CASES)
every_task = pytest.mark.parametrize("name", FULL_WIDTH_TASKS)


@every_wrapper
def test_padding_changes_nothing(name):
    model = CASES[name].make()
    batch = batch_of(model.config, 5)
    with torch.no_grad():
        torch.testing.assert_close(
            model(longer(batch, 4)).logits, model(batch).logits, atol=1e-5, rtol=0
        )


@every_wrapper
def test_rows_do_not_look_at_each_other(name):
    model = CASES[name].make()
    batch = batch_of(model.config, 5)
    with torch.no_grad():
        together = model(batch).logits
        alone = torch.cat([model(rows_at(batch, slice(at, at + 1))).logits for at in range(5)])
        order = torch.tensor([4, 0, 3, 1, 2])
        turned = model(rows_at(batch, order)).logits
    assert together.shape == (5, 1)
    assert together.std() > 1e-4
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)
    torch.testing.assert_close(turned, together[order], atol=1e-5, rtol=0)


@every_wrapper
def test_every_parameter_is_in_one_group_and_gradient_reaches_each_group(name):
    model = CASES[name].make().train()
    groups = model.parameter_groups()
    listed = [id(each) for group in groups.values() for each in group]
    assert len(listed) == len(set(listed)) == len(list(model.parameters()))
    model(batch_of(model.config, 8), torch.tensor([0, 1] * 4)).loss.backward()
    unreached = {
        group: len(parameters)
        for group, parameters in groups.items()
        if any(each.requires_grad for each in parameters)
        and not any(each.grad is not None and each.grad.abs().sum() > 0 for each in parameters)
    }
    assert unreached == {}
    untouched = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert untouched == []


@every_wrapper
def test_learns_a_toy_task(name):
    """Every input tells the label by the sign of its numbers, or by which token or code it has."""
    model = CASES[name].make(dropout=0.0).train()
    if name == "weighted_lora_fusion":
        assert not next(iter(model.parameter_groups()["towers.tweet.layers.0"])).requires_grad
    labels = torch.tensor([0, 1] * 8)
    batch = batch_of(model.config, 16)
    for of in batch.values():
        for key, each in of.items():
            sign = (2 * labels - 1).view(-1, *[1] * (each.ndim - 1))
            if each.is_floating_point() and key != "missing":
                of[key] = each.abs() * sign
            elif key in ("codes", "input_ids"):
                of[key] = torch.where(sign > 0, torch.ones_like(each), 2 * torch.ones_like(each))
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    set_seed(0)
    for _ in range(25):
        optimizer.zero_grad()
        loss = model(batch, labels).loss
        loss.backward()
        optimizer.step()
    found = model.eval()(batch).logits[:, 0] > 0
    assert loss.item() < 0.2
    assert found.long().tolist() == labels.tolist()


@every_wrapper
def test_runs_in_bfloat16_near_to_float32(name):
    model = CASES[name].make()
    batch = batch_of(model.config, 4)
    with torch.no_grad():
        exact = model(batch).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = model(batch, torch.tensor([0, 1, 0, 1]))
        half = model.to(torch.bfloat16)(batch, torch.tensor([0, 1, 0, 1]))
    assert exact.dtype == torch.float32
    assert mixed.loss.isfinite()
    assert half.loss.isfinite()
    torch.testing.assert_close(mixed.logits.float(), exact, atol=0.1, rtol=0)
    torch.testing.assert_close(half.logits.float(), exact, atol=0.1, rtol=0)


# Late fusion has all that the others have; a profile's shapes depend on its counts' values.
@pytest.mark.parametrize("name", ["concat_mlp", *GATES, "late_fusion"])
def test_compiles_without_a_graph_break(name):
    model = CASES[name].make()
    batch = batch_of(model.config, 4)
    labels = torch.tensor([0, 1, 0, 1])
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    found = compiled(batch, labels)
    exact = model(batch, labels)
    torch.testing.assert_close(found.logits, exact.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.loss, exact.loss, atol=1e-5, rtol=0)


@every_task
@pytest.mark.parametrize(
    ("problem_type", "labels", "logits"),
    [
        ("single_label_classification", torch.tensor([0, 2, 1, 2]), 3),
        ("multi_label_classification", torch.tensor([[0.0, 1, 1]] * 4), 3),
        ("binary", torch.tensor([0, 1, 1, 0]), 1),
        ("regression", torch.tensor([0.1, 2.0, 3.0, 1.0]), 1),
    ],
)
def test_every_task_has_its_logits_and_its_loss(name, problem_type, labels, logits):
    options = {} if logits == 1 else {"num_labels": logits}
    model = CASES[name].make(problem_type=problem_type, **options)
    found = model(batch_of(model.config, 4), labels)
    assert found.logits.shape == (4, logits)
    expected = {
        "single_label_classification": torch.nn.functional.cross_entropy,
        "multi_label_classification": torch.nn.functional.binary_cross_entropy_with_logits,
        "binary": lambda x, y: torch.nn.functional.binary_cross_entropy_with_logits(
            x[:, 0], y.float()
        ),
        "regression": lambda x, y: torch.nn.functional.mse_loss(x[:, 0], y),
    }[problem_type](found.logits, labels)
    torch.testing.assert_close(found.loss, expected)


@every_wrapper
def test_the_loss_that_the_config_names_is_used(name):
    case = CASES[name]
    batch = batch_of(case.make().config, 4)
    labels = torch.tensor([0, 1, 1, 0])
    plain = case.make()(batch, labels)
    weighed = case.make(pos_weight=3.0)(batch, labels)
    x, y = plain.logits[:, 0], labels.float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        x, y, pos_weight=torch.tensor(3.0)
    )
    torch.testing.assert_close(weighed.loss, expected)
    whole = case.make()(batch, labels, num_items_in_batch=8).loss
    torch.testing.assert_close(whole, plain.loss / 2)


@every_wrapper
def test_a_batch_that_does_not_fit_is_refused_in_one_line(name):
    model = CASES[name].make()
    batch = batch_of(model.config, 2)
    first = sorted(batch)[0]
    without = {key: each for key, each in batch.items() if key != first}
    with pytest.raises(UserError, match=f"no input '{first}'"):
        model(without)
    for key, spec in model.config.inputs.items():
        if spec["kind"] in ("vector", "vector_sequence", "numeric"):
            values = batch[key]["values"].repeat_interleave(2, -1)
            wide = {**batch, key: {**batch[key], "values": values}}
            with pytest.raises(UserError, match=f"input '{key}' .* has dimension"):
                model(wide)


@every_wrapper
def test_a_config_that_makes_no_model_is_refused_in_one_line(name):
    case = CASES[name]
    with pytest.raises(UserError, match="did you mean 'binary'"):
        case.make(problem_type="binry")
    with pytest.raises(UserError, match="binary has 2 labels, not 3"):
        case.make(num_labels=3)
    if name != "profile":
        with pytest.raises(UserError, match="no kind 'wheel' goes in"):
            case.make(inputs={"a": {"kind": "wheel"}})
        with pytest.raises(UserError, match="call it otherwise"):
            case.make(inputs={"a.b": {"kind": "vector", "dim": 3}})
