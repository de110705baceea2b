"""Losses by name, one for every task, as a model's config asks for them.

A loss is the sum over the labelled rows divided by their number, never by the sum of their weights:
so that a batch in two halves has the gradient of the whole one, and a class weight of 2 does what
two copies of the row would do to the sum. Trainer says how many rows the whole batch has
(``num_items_in_batch``); see :func:`trainer_loss`.

A row whose label is ``IGNORED`` or NaN counts for nothing; of a multi-label row, that entry alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hfpipe.errors import UserError, nearest

IGNORED = -100
"""The label of a row without one. Trainer leaves these out of its count, NaN it does not."""

LossFunction = Callable[[Tensor, Tensor, Any], Tensor]
"""Logits and float or class-index labels to a loss for every label, in the labels' shape."""


def cross_entropy(logits: Tensor, labels: Tensor, config: Any) -> Tensor:
    """Cross entropy of every row, with ``class_weights`` and ``label_smoothing``.

    Args:
        logits: (batch, classes).
        labels: (batch,) class indices.
        config: See :func:`compute_loss`.
    """
    return functional.cross_entropy(
        logits,
        labels,
        weight=_weights(logits, config, "class_weights"),
        label_smoothing=_number(config, "label_smoothing", 0.0),
        reduction="none",
    )


def focal(logits: Tensor, labels: Tensor, config: Any) -> Tensor:
    """Focal loss over classes (Lin et al. 2017), with ``class_weights`` as its alpha.

    Args:
        logits: (batch, classes).
        labels: (batch,) class indices.
        config: See :func:`compute_loss`; ``focal_gamma`` is 2 unless given, 0 is cross entropy.
    """
    log_p = functional.log_softmax(logits, dim=-1)
    smoothing = _number(config, "label_smoothing", 0.0)
    target = functional.one_hot(labels, logits.shape[-1]).to(log_p.dtype)
    target = target * (1 - smoothing) + smoothing / logits.shape[-1]
    weights = _weights(logits, config, "class_weights")
    if weights is not None:
        target = target * weights
    # 1 - p of a class that is certain is 0 in floating point, where a power has no slope.
    rest = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)
    return -(target * rest ** _number(config, "focal_gamma", 2.0) * log_p).sum(dim=-1)


def bce(logits: Tensor, labels: Tensor, config: Any) -> Tensor:
    """Binary cross entropy of every label, with ``pos_weight`` and ``label_smoothing``.

    Args:
        logits: (batch,) or (batch, classes).
        labels: The same shape, 0 to 1.
        config: See :func:`compute_loss`.
    """
    weights = _weights(logits, config, "pos_weight")
    target = _smooth(labels, config)
    return functional.binary_cross_entropy_with_logits(
        logits, target, pos_weight=weights, reduction="none"
    )


def binary_focal(logits: Tensor, labels: Tensor, config: Any) -> Tensor:
    """Focal loss of every yes-or-no label (Lin et al. 2017), with ``pos_weight`` as its alpha.

    Args:
        logits: (batch,) or (batch, classes).
        labels: The same shape, 0 to 1.
        config: See :func:`compute_loss`; ``focal_gamma`` is 2 unless given, 0 is ``bce``.
    """
    gamma = _number(config, "focal_gamma", 2.0)
    weights = _weights(logits, config, "pos_weight")
    target = _smooth(labels, config)
    yes, no = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    positive = target * torch.exp(gamma * no) * yes
    negative = (1 - target) * torch.exp(gamma * yes) * no
    return -(positive if weights is None else positive * weights) - negative


def mse(logits: Tensor, labels: Tensor, config: Any) -> Tensor:
    """Squared error of every row; ``config`` has nothing to say. Both (batch,)."""
    return functional.mse_loss(logits, labels, reduction="none")


def huber(logits: Tensor, labels: Tensor, config: Any) -> Tensor:
    """Huber's loss of every row: squared below ``huber_delta`` (1 unless given), linear above.

    Args:
        logits: (batch,).
        labels: (batch,).
        config: See :func:`compute_loss`.
    """
    delta = _number(config, "huber_delta", 1.0)
    return functional.huber_loss(logits, labels, reduction="none", delta=delta)


YES_OR_NO: dict[str, LossFunction] = {"bce": bce, "focal": binary_focal}
LOSSES: dict[str, dict[str, LossFunction]] = {
    "single_label_classification": {"cross_entropy": cross_entropy, "focal": focal},
    "multi_label_classification": YES_OR_NO,
    "binary": YES_OR_NO,
    "regression": {"mse": mse, "huber": huber},
}
"""Problem type to its losses by name; the first is the one where the config names none."""


def compute_loss(
    logits: Tensor, labels: Tensor, config: Any, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """The loss that a model's config names, over the rows that have a label.

    Half-precision logits are taken as float32 first.

    Args:
        logits: (batch, classes); ``binary`` and ``regression``: (batch, 1) or (batch,).
        labels: (batch,) class indices, (batch, classes) zeros and ones, or (batch,) floats.
        config: Any object with ``problem_type`` and, all optional, ``loss``, ``class_weights`` or
            ``pos_weight`` (one number, or one a class), ``label_smoothing``, ``focal_gamma``,
            ``huber_delta``.
        num_items_in_batch: Labels in the whole batch of which this is a part, from Trainer;
            None: this is all of it.

    Returns:
        A scalar; 0, with a gradient of 0, where no row has a label.

    >>> from types import SimpleNamespace
    >>> config = SimpleNamespace(problem_type="binary", loss="bce", pos_weight=3.0)
    >>> logits, labels = torch.zeros(3, 1), torch.tensor([1, 0, -100])
    >>> compute_loss(logits, labels, config).item() / torch.log(torch.tensor(2.0)).item()
    2.0

    Raises:
        UserError: The config names what there is not, or logits and labels do not fit.
    """
    function = loss_function(config)
    if not logits.dtype.is_floating_point or logits.dtype.itemsize < 4:
        logits = logits.float()
    logits, labels = _fit(logits, labels, config.problem_type)
    counted = labels != IGNORED
    if labels.is_floating_point():
        counted = counted & ~torch.isnan(labels)
    losses = function(logits, torch.where(counted, labels, torch.zeros_like(labels)), config)
    total = torch.where(counted, losses, torch.zeros_like(losses)).sum()
    items = counted.sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch
    return total / items


def loss_function(config: Any) -> LossFunction:
    """The function that a config's ``problem_type`` and ``loss`` name.

    Raises:
        UserError: There is no such problem type, or it has no such loss.
    """
    problem = config.problem_type
    if problem not in LOSSES:
        raise UserError(f"no problem_type '{problem}'{nearest(str(problem), LOSSES)}")
    losses = LOSSES[problem]
    name = getattr(config, "loss", None) or next(iter(losses))
    if name not in losses:
        raise UserError(f"{problem} has no loss '{name}'{nearest(str(name), losses)}")
    return losses[name]


def trainer_loss(config: Any) -> Callable[..., Tensor]:
    """The loss as ``Trainer(compute_loss_func=...)`` takes it, for any model that gives logits.

    Args:
        config: See :func:`compute_loss`.

    Returns:
        Called with the model's output, the labels and ``num_items_in_batch``.
    """

    def loss(
        outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        return compute_loss(logits, labels, config, num_items_in_batch)

    return loss


def check_loss(config: Any) -> None:
    """Refuse, before any training, what :func:`compute_loss` could not work with.

    Args:
        config: As there; where it has ``num_labels``, the weights must be as many.

    >>> from types import SimpleNamespace
    >>> check_loss(SimpleNamespace(problem_type="regression", loss="hubert"))
    Traceback (most recent call last):
    hfpipe.errors.UserError: regression has no loss 'hubert'; did you mean 'huber'?

    Raises:
        UserError: An unknown name, or a number outside its range.
    """
    loss_function(config)
    _within(config, "label_smoothing", "at least 0 and below 1", lambda value: 0 <= value < 1)
    _within(config, "focal_gamma", "at least 0", lambda value: value >= 0)
    _within(config, "huber_delta", "above 0", lambda value: value > 0)
    for name in ("class_weights", "pos_weight"):
        _check_weights(config, name)


def _check_weights(config: Any, name: str) -> None:
    weights = getattr(config, name, None)
    if weights is None:
        return
    values = list(weights) if isinstance(weights, (list, tuple)) else [weights]
    if not all(_is_number(value) and 0 < value < float("inf") for value in values):
        raise UserError(f"{name}={weights!r}: every weight must be a finite number above 0")
    classes = 1 if config.problem_type == "binary" else getattr(config, "num_labels", None)
    if classes and len(values) not in ({classes} if name == "class_weights" else {1, classes}):
        raise UserError(f"{name} has {len(values)} values but there are {classes} classes")


def _within(config: Any, name: str, words: str, holds: Callable[[float], bool]) -> None:
    value = getattr(config, name, None)
    if value is not None and not (_is_number(value) and holds(value)):
        raise UserError(f"{name}={value!r}: it must be {words}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _fit(logits: Tensor, labels: Tensor, problem: str) -> tuple[Tensor, Tensor]:
    """Bring both to the shapes of the problem, and the labels to its type."""
    if problem == "single_label_classification":
        fits = logits.ndim == 2 and labels.shape == logits.shape[:1]
        labels = labels if labels.dtype == torch.long else _as_indices(labels)
    else:
        if problem != "multi_label_classification":
            logits = logits.squeeze(-1) if logits.ndim == 2 and logits.shape[-1] == 1 else logits
            labels = labels.squeeze(-1) if labels.ndim == 2 and labels.shape[-1] == 1 else labels
        fits = labels.shape == logits.shape and (problem.startswith("multi") == (labels.ndim == 2))
        labels = labels.to(logits.dtype)
    if not fits:
        raise UserError(
            f"{problem}: labels of shape {tuple(labels.shape)} do not belong to logits of shape "
            f"{tuple(logits.shape)}; set problem_type and num_labels to what the labels are"
        )
    return logits, labels


def _as_indices(labels: Tensor) -> Tensor:
    if labels.is_floating_point():
        labels = torch.where(torch.isnan(labels), torch.full_like(labels, IGNORED), labels)
    return labels.long()


def _smooth(labels: Tensor, config: Any) -> Tensor:
    smoothing = _number(config, "label_smoothing", 0.0)
    return labels * (1 - smoothing) + smoothing / 2


def _number(config: Any, name: str, otherwise: float) -> float:
    value = getattr(config, name, None)
    return otherwise if value is None else value


def _weights(logits: Tensor, config: Any, name: str) -> Tensor | None:
    weights = getattr(config, name, None)
    return None if weights is None else torch.as_tensor(weights).to(logits)
