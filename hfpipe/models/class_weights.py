"""How much a class weighs in the loss, from how often the train split has it.

One idea in four sizes: a class of ``k`` rows weighs ``f(k)``, with ``f`` falling. For a yes-or-no
label only the ratio matters, ``pos_weight = f(p) / f(n)``; over many classes the weights are
scaled to a mean of 1. Of two classes both say the same.

    balanced   1 / k                    p, n rows: n / p
    sqrt       1 / sqrt(k)              sqrt(n / p)
    effective  1 / (1 - beta ** k)      (1 - beta ** n) / (1 - beta ** p)    (Cui et al. 2019)
    focal      1 / k ** gamma           (n / p) ** gamma = ((1 - pi) / pi) ** gamma, pi = p / (p+n)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError, nearest

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BETA = 0.9999
GAMMA = 0.5

METHODS: dict[str, Callable[[Floats, float, float], Floats]] = {
    "balanced": lambda counts, beta, gamma: 1 / counts,
    "effective": lambda counts, beta, gamma: -1 / np.expm1(counts * np.log(beta)),
    "focal": lambda counts, beta, gamma: counts**-gamma,
    "sqrt": lambda counts, beta, gamma: counts**-0.5,
}
"""Name to the weight of a class by its number of rows (and beta, gamma)."""


def pos_weight(
    labels: Any, method: str = "balanced", *, beta: float = BETA, gamma: float = GAMMA
) -> float:
    """How many times a positive row counts, for ``pos_weight`` of the binary losses.

    Args:
        labels: 0, 1 (or booleans) of the train rows, an array, list or tensor of any shape; NaN
            and negative ones (rows without a label) are left out.
        method: ``balanced``, ``effective``, ``focal`` or ``sqrt``.
        beta: Of ``effective``, above 0 and below 1.
        gamma: Of ``focal``, at least 0; 0.5 makes it ``sqrt``.

    >>> pos_weight([1, 0, 0, 0, 0]), pos_weight([1, 0, 0, 0, 0], "sqrt")
    (4.0, 2.0)
    >>> round(pos_weight([1] * 1000 + [0] * 9000, "effective"), 4)
    6.2359

    Raises:
        UserError: Only one class, a label that is neither, an unknown method.
    """
    positives, negatives = _count(labels, 2, ("0 (negative)", "1 (positive)"))[::-1]
    weights = _weigh([positives, negatives], method, beta, gamma)
    return float(weights[0] / weights[1])


estimate_pos_weight = pos_weight
"""The name under which the sequence package documents :func:`pos_weight`."""


def pos_weights(
    labels: npt.ArrayLike,
    method: str = "balanced",
    names: Sequence[str] | None = None,
    *,
    beta: float = BETA,
    gamma: float = GAMMA,
) -> list[float]:
    """:func:`pos_weight` of every column of multi-label targets.

    Args:
        labels: (rows, classes) zeros and ones.
        method: As there.
        names: The classes, for the error message.
        beta: As there.
        gamma: As there.

    >>> pos_weights([[1, 0], [0, 1], [0, 1]])
    [2.0, 0.5]

    Raises:
        UserError: As there, with the class's name.
    """
    matrix = _array(labels)
    if matrix.ndim != 2:
        raise UserError(f"multi-label targets must be (rows, classes), not {matrix.shape}")
    names = names or [str(column) for column in range(matrix.shape[1])]
    found = []
    for name, column in zip(names, matrix.T, strict=True):
        try:
            found.append(pos_weight(column, method, beta=beta, gamma=gamma))
        except UserError as error:
            raise UserError(f"class '{name}': {error}") from None
    return found


def class_weights(
    labels: Any,
    method: str = "balanced",
    names: Sequence[str] | int | None = None,
    *,
    beta: float = BETA,
    gamma: float = GAMMA,
) -> list[float]:
    """A weight for every class, with a mean of 1, for ``class_weights`` of the losses.

    Args:
        labels: Class indices of the train rows; NaN and negative ones are left out.
        method: ``balanced``, ``effective``, ``focal`` or ``sqrt``.
        names: The classes or their number; None: up to the highest index.
        beta: As of :func:`pos_weight`.
        gamma: As of :func:`pos_weight`.

    >>> class_weights([0, 0, 0, 1])
    [0.5, 1.5]

    Raises:
        UserError: A class without rows, a label that is no class, an unknown method.
    """
    if names is None:
        names = int(np.nanmax(_array(labels), initial=0)) + 1
    known = [str(index) for index in range(names)] if isinstance(names, int) else list(names)
    weights = _weigh(_count(labels, len(known), known), method, beta, gamma)
    return [float(weight) for weight in weights / weights.mean()]


def loss_weights(
    labels: Any,
    method: str | None,
    problem_type: str,
    names: Sequence[str] | None = None,
    **options: float,
) -> dict[str, float | list[float]]:
    """The config entry that makes a loss weigh its classes, for the model's config and run.json.

    Args:
        labels: Labels of the train rows, as the loss takes them.
        method: As of :func:`pos_weight`; None: no weights.
        problem_type: As of :func:`hfpipe.models.losses.compute_loss`.
        names: The classes.
        **options: ``beta`` and ``gamma``.

    >>> loss_weights([1, 0, 0], "balanced", "binary")
    {'pos_weight': 2.0}

    Raises:
        UserError: See :func:`class_weights`; a problem without classes.
    """
    if method is None:
        return {}
    entries: dict[str, Callable[[], dict[str, float | list[float]]]] = {
        "binary": lambda: {"pos_weight": pos_weight(labels, method, **options)},
        "multi_label_classification": lambda: {
            "pos_weight": pos_weights(labels, method, names, **options)
        },
        "single_label_classification": lambda: {
            "class_weights": class_weights(labels, method, names, **options)
        },
    }
    if problem_type not in entries:
        raise UserError(f"{problem_type} has no classes to weigh: leave class weights out")
    return entries[problem_type]()


def _weigh(counts: Sequence[int] | Ints, method: str, beta: float, gamma: float) -> Floats:
    if method not in METHODS:
        raise UserError(f"no class weights '{method}'{nearest(str(method), METHODS)}")
    if not 0 < beta < 1:
        raise UserError(f"beta={beta}: it must be above 0 and below 1")
    if not 0 <= gamma < float("inf"):
        raise UserError(f"gamma={gamma}: it must be at least 0")
    return METHODS[method](np.asarray(counts, dtype=np.float64), beta, gamma)


def _count(labels: Any, classes: int, names: Sequence[str]) -> Ints:
    """Rows of every class; every class must have some, and every label be one of them."""
    values = _array(labels).ravel()
    values = values[np.isfinite(values) & (values >= 0)]
    strange = values[(values != np.floor(values)) | (values >= classes)]
    if strange.size:
        raise UserError(
            f"label {strange[0]:g} is not one of the {classes} classes (0 to {classes - 1})"
        )
    counts = np.bincount(values.astype(np.int64), minlength=classes)
    absent = [str(name) for name, count in zip(names, counts, strict=True) if not count]
    if absent:
        raise UserError(
            f"class weights: no row of {', '.join(absent[:5])}{' …' * (len(absent) > 5)} among the "
            f"{len(values)} labelled train rows; check the split or leave class weights out"
        )
    return counts.astype(np.int64)


def _array(labels: Any) -> Floats:
    """Labels as float64, whatever they were: an array, a list, a tensor on any device."""
    if hasattr(labels, "detach"):
        labels = labels.detach().cpu().numpy()
    array = np.asarray(labels)
    if array.dtype.kind not in "biuf" and array.size:
        raise UserError(f"labels must be numbers, not {array.dtype}: encode them first")
    return array.astype(np.float64)
