"""The loss that a recipe names, its weights counted on the train split, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hfpipe.blocks import Loss
from hfpipe.errors import UserError
from hfpipe.inputs.targets import LabelSpec
from hfpipe.models.loss_settings import loss_settings, stock_loss
from hfpipe.models.losses import compute_loss
from tests.toys import push_rows
from tests.training.support import METADATA, PREPARED, pushed_bytes, rows, scores, story, text, tune

BINARY = LabelSpec("answer", "binary", ["no", "yes"])
TAGS = LabelSpec("tags", "multi_label", ["blue", "red"])
TOPICS = LabelSpec("topic", "classification", ["a", "b", "c"])
VIEWS = LabelSpec("views", "regression")
ONE_IN_FIVE = np.array([1, 0, 0, 0, 0] * 4, np.float32)
# Of 8 rows 4 are a, 2 b, 2 c: 1/k is .25, .5, .5 with a mean of 5/12.
COUNTED = np.array([0, 0, 0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize(
    ("loss", "target", "labels", "settled"),
    [
        (Loss(), BINARY, ONE_IN_FIVE, {}),
        (Loss(pos_weight="balanced"), BINARY, ONE_IN_FIVE, {"pos_weight": 4.0}),
        (Loss(pos_weight="sqrt"), BINARY, ONE_IN_FIVE, {"pos_weight": 2.0}),
        (Loss(pos_weight="focal"), BINARY, ONE_IN_FIVE, {"pos_weight": 2.0}),
        (
            # (1 - .9999 ** 16) / (1 - .9999 ** 4)
            Loss(pos_weight="effective"),
            BINARY,
            ONE_IN_FIVE,
            {"pos_weight": (1 - 0.9999**16) / (1 - 0.9999**4)},
        ),
        (Loss(pos_weight=3), BINARY, ONE_IN_FIVE, {"pos_weight": 3.0}),
        (
            Loss(name="focal", pos_weight="balanced", focal_gamma=1.5, label_smoothing=0.1),
            BINARY,
            ONE_IN_FIVE,
            {"loss": "focal", "label_smoothing": 0.1, "focal_gamma": 1.5, "pos_weight": 4.0},
        ),
        (
            Loss(class_weights="balanced"),
            TOPICS,
            COUNTED,
            {"class_weights": [0.6, 1.2, 1.2]},
        ),
        (
            Loss(pos_weight="balanced"),
            TAGS,
            np.array([[1, 0], [0, 1], [0, 1], [0, 0]], np.float32),
            {"pos_weight": [3.0, 1.0]},
        ),
        (
            Loss(name="huber", huber_delta=2.0),
            VIEWS,
            ONE_IN_FIVE,
            {"loss": "huber", "huber_delta": 2.0},
        ),
    ],
)
def test_weights_are_counted_as_by_hand(loss, target, labels, settled):
    found = loss_settings(loss, target, labels)
    assert set(found) == set(settled)
    for key, value in settled.items():
        assert found[key] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-9))


def test_rows_without_a_label_do_not_count():
    labels = np.array([1, 0, 0, np.nan, np.nan], np.float32)
    assert loss_settings(Loss(pos_weight="balanced"), BINARY, labels) == {"pos_weight": 2.0}


@pytest.mark.parametrize(
    ("loss", "target", "words"),
    [
        (Loss(class_weights="balanced"), BINARY, "class_weights.*'binary': use model.loss.pos_w"),
        (Loss(pos_weight="balanced"), TOPICS, "use model.loss.class_weights"),
        (Loss(pos_weight="sqrt"), VIEWS, "'regression': leave it out"),
        (Loss(pos_weight="balancd"), BINARY, "'balancd'; did you mean 'balanced'"),
        (Loss(name="hubr"), VIEWS, "'hubr'; did you mean 'huber'"),
        (Loss(name="huber"), BINARY, "huber"),
        (Loss(name="cross_entropy"), VIEWS, "cross_entropy"),
        (Loss(label_smoothing=1.0), TOPICS, "label_smoothing"),
        (Loss(label_smoothing=0.1), VIEWS, "label_smoothing"),
        (Loss(focal_gamma=2.0), BINARY, "focal_gamma"),
        (Loss(huber_delta=2.0), VIEWS, "huber_delta"),
        (Loss(name="huber", huber_delta=-1.0), VIEWS, "huber_delta"),
        (Loss(pos_weight=0), BINARY, "pos_weight"),
        (Loss(pos_weight=-2.0), BINARY, "pos_weight"),
        (Loss(pos_weight=float("nan")), BINARY, "pos_weight"),
    ],
)
def test_what_a_task_does_not_have_is_one_clear_line(loss, target, words):
    labels = COUNTED if target is TOPICS else ONE_IN_FIVE
    with pytest.raises(UserError, match=words) as caught:
        loss_settings(loss, target, labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [None, "focal"])
def test_two_logits_of_a_stock_model_have_the_loss_of_one(name):
    settings = loss_settings(Loss(name=name, pos_weight="balanced"), BINARY, ONE_IN_FIVE)
    logits, labels = torch.randn(20, generator=torch.Generator().manual_seed(0)), ONE_IN_FIVE
    wanted = type("Config", (), {"problem_type": "binary", **settings})
    one = compute_loss(logits, torch.tensor(labels), wanted)
    # The second logit less the first is what the one logit was.
    both = torch.stack([torch.zeros(20), logits], dim=1)
    two = compute_loss(both, torch.tensor(labels).long(), stock_loss(settings, BINARY))
    assert two.item() == pytest.approx(one.item(), rel=1e-5)


@pytest.fixture(scope="module")
def skewed(hub) -> str:
    """18 of 60 train rows say yes, and 1 in 2 of the others; topics 12, 24, 24."""
    train = [
        {**row, "answer": "yes" if at < 18 else "no", "topic": "abbcc"[at % 5], "tags": ["red"]}
        for at, row in enumerate(rows(60, 1))
    ]
    train[0]["tags"] = ["blue"]
    held = rows(24, 2)
    for at, row in enumerate(held):
        row["topic"], row["tags"] = "abc"[at % 3], ["red", "blue"]
    return push_rows(hub, "local/skewed", PREPARED, train=train, validation=held)


FUSED_MLP = {"kind": "concat_mlp", "config": {"sizes": [4]}}
ONE_EPOCH = {"num_train_epochs": 1}


@pytest.mark.parametrize(
    ("loss", "task", "label", "settled"),
    [
        # 42 of 60 rows say no: 42 / 18.
        ({"pos_weight": "balanced"}, "binary", "answer", {"pos_weight": 42 / 18}),
        (
            {"name": "focal", "class_weights": "sqrt", "label_smoothing": 0.1},
            "classification",
            "topic",
            {
                "loss": "focal",
                "label_smoothing": 0.1,
                # 12 ** -.5, 24 ** -.5, 24 ** -.5 by their mean.
                "class_weights": [2**0.5 * 3 / (2**0.5 + 2), *[3 / (2**0.5 + 2)] * 2],
            },
        ),
        ({"name": "huber", "huber_delta": 0.5}, "regression", "views", None),
        ({"pos_weight": "sqrt"}, "multi_label", "tags", {"pos_weight": [59**0.5, 59**-0.5]}),
    ],
)
def test_run_json_and_config_say_what_was_counted(
    hub, skewed, tmp_path, loss, task, label, settled
):
    tuned = tune(
        hub,
        tmp_path,
        f"loss-{task.replace('_', '-')}",
        skewed,
        {**FUSED_MLP, "loss": loss},
        METADATA,
        training=ONE_EPOCH,
        task=task,
        label=label,
        **({"log1p": True} if task == "regression" else {}),
    )
    wanted = settled or {"loss": "huber", "huber_delta": 0.5}
    told = story(hub, tuned)["loss"]
    config = json.loads(pushed_bytes(hub, tuned, "config.json"))
    assert set(told) == set(wanted)
    for key, value in wanted.items():
        for found in (told[key], config[key]):
            assert found == (value if isinstance(value, str) else pytest.approx(value, rel=1e-6))


def test_a_stock_model_learns_by_the_weights_too(hub, tiny_bert, skewed, tmp_path):
    stock = {"kind": "sequence_classification", "base": tiny_bert}
    losses = {"even": {}, "heavy": {"pos_weight": 1000}}
    means = {}
    for name, loss in losses.items():
        tuned = tune(
            hub,
            tmp_path,
            f"loss-{name}",
            skewed,
            {**stock, "loss": loss},
            {"text": text()},
            training={"num_train_epochs": 2},
            task="binary",
        )
        assert story(hub, tuned)["loss"] == ({"pos_weight": 1000.0} if loss else {})
        found = scores(hub, tmp_path / f"scores-{name}", tuned, split="validation")
        means[name] = sum(row["score"] for row in found.rows) / len(found.rows)
    # 18 of 60 train rows say yes.
    assert means["even"] < 0.5 < 0.6 < means["heavy"], means


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ({"class_weights": "balanced"}, "use model.loss.pos_weight"),
        ({"name": "focl"}, "'focl'; did you mean 'focal'"),
        ({"nam": "focal"}, "model.loss.nam.*did you mean"),
    ],
)
def test_a_wrong_loss_is_refused_before_any_step(hub, skewed, tmp_path, loss, words):
    from hfpipe.hub.repos import api

    with pytest.raises(UserError, match=words):
        tune(
            hub,
            tmp_path,
            "loss-never",
            skewed,
            {**FUSED_MLP, "loss": loss},
            METADATA,
            task="binary",
        )
    assert not (tmp_path / "loss-never" / "checkpoints").exists()
    assert not api(hub).repo_exists("local/loss-never")
