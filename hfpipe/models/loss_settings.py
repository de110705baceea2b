"""The loss that a recipe names, with its weights computed from the labels of the train split."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from hfpipe.blocks import Loss
from hfpipe.errors import UserError
from hfpipe.inputs.targets import LabelSpec
from hfpipe.models.class_weights import loss_weights
from hfpipe.models.losses import LOSSES, check_loss

WEIGHT = {"classification": "class_weights", "binary": "pos_weight", "multi_label": "pos_weight"}
"""Task → how the key is called that weighs its classes."""
USED_BY = {
    "label_smoothing": ("cross_entropy", "bce", "focal"),
    "focal_gamma": ("focal",),
    "huber_delta": ("huber",),
}
"""Option → the losses that look at it."""
AS_CLASSES = {"bce": "cross_entropy"}
"""The loss of two logits that is the same as one of a single logit."""


def loss_settings(loss: Loss, target: LabelSpec, labels: np.ndarray) -> dict[str, Any]:
    """What goes into a wrapper's config, and into run.json.

    Args:
        loss: The recipe's block.
        target: What is predicted.
        labels: Of the train rows, as ``LabelSpec.encode`` gives them.

    >>> loss_settings(
    ...     Loss(pos_weight="balanced"),
    ...     LabelSpec("y", "binary", ["n", "y"]),
    ...     np.array([1.0, 0, 0, 0]),
    ... )
    {'pos_weight': 3.0}

    Raises:
        UserError: An unknown loss or method, or one that this task does not have.
    """
    settings: dict[str, Any] = {} if loss.name is None else {"loss": loss.name}
    if loss.label_smoothing:
        settings["label_smoothing"] = loss.label_smoothing
    for name in ("focal_gamma", "huber_delta"):
        if getattr(loss, name) is not None:
            settings[name] = getattr(loss, name)
    settings |= _weights(loss, target, labels)
    classes = {"num_labels": len(target.labels)} if target.labels else {}
    check_loss(SimpleNamespace(problem_type=target.problem_type, **settings, **classes))
    name = loss.name or next(iter(LOSSES[target.problem_type]))
    for option, losses in USED_BY.items():
        if option in settings and name not in losses:
            raise UserError(
                f"model.loss.{option} is not for the loss '{name}': set model.loss.name to "
                f"{' or '.join(losses)}, or leave it out"
            )
    return settings


def _weights(loss: Loss, target: LabelSpec, labels: np.ndarray) -> dict[str, Any]:
    own = WEIGHT.get(target.task)
    for name in ("class_weights", "pos_weight"):
        if getattr(loss, name) is not None and name != own:
            fix = f"use model.loss.{own}" if own else "leave it out"
            raise UserError(f"model.loss.{name} is not for the task '{target.task}': {fix}")
    method = getattr(loss, own) if own else None
    if own == "pos_weight" and isinstance(method, int | float) and not isinstance(method, bool):
        return {"pos_weight": float(method)}
    return dict(loss_weights(labels, method, target.problem_type, target.labels))


def stock_loss(settings: Mapping[str, Any], target: LabelSpec) -> SimpleNamespace:
    """The same for a stock model, which has a logit for either of two classes.

    >>> stock_loss({"pos_weight": 3.0}, LabelSpec("y", "binary", ["n", "y"])).class_weights
    [1.0, 3.0]
    """
    found = dict(settings)
    if target.task != "binary":
        return SimpleNamespace(problem_type=target.problem_type, **found)
    weight = found.pop("pos_weight", None)
    if weight is not None:
        found["class_weights"] = [1.0, float(weight)]
    if found.get("loss"):
        found["loss"] = AS_CLASSES.get(found["loss"], found["loss"])
    return SimpleNamespace(problem_type="single_label_classification", **found)
