"""What a model's scores must look like before anything is computed from them, and their ranks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hfpipe.errors import RunError, UserError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SUM_TOLERANCE = 1e-2
"""Rows further than this from summing to 1 are not probabilities (bf16 rounding stays inside)."""
ROUNDING = 1e-12
EPSILON = float(np.finfo(np.float64).eps)
"""What a probability of 0 counts as where its logarithm is taken, as in scikit-learn."""


def as_scores(scores: npt.ArrayLike) -> Floats:
    """Give scores as a float64 matrix of rows and classes.

    >>> as_scores([[1, 0], [0, 1]]).dtype.name
    'float64'

    Raises:
        RunError: The shape is another one, or a score is NaN or infinite.
    """
    matrix = np.asarray(scores, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] < 1:
        raise RunError(f"scores have shape {matrix.shape}; they must be (rows, classes)")
    broken = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if broken.size:
        raise RunError(
            f"row {broken[0] + 1}: the model's scores are not finite ({broken.size} such rows); "
            "it diverged in training: lower learning_rate or train in fp32"
        )
    return matrix


def as_probabilities(probabilities: npt.ArrayLike) -> Floats:
    """Give probabilities as float64 rows that sum to 1 exactly enough for a logarithm.

    Rows in half or single precision are off by their rounding, which this takes out.

    >>> as_probabilities([[0.5, 0.501]]).sum().round(12)
    np.float64(1.0)

    Raises:
        RunError: Not finite, negative, or a row that is nowhere near summing to 1.
    """
    matrix = as_scores(probabilities)
    totals = matrix.sum(axis=1, keepdims=True)
    if (matrix < 0).any() or (np.abs(totals - 1) > SUM_TOLERANCE).any():
        raise RunError("scores are not probabilities (>= 0, rows summing to 1); apply a softmax")
    # Rows that already sum to 1 stay as they are, to the last bit.
    return np.where(np.abs(totals - 1) > ROUNDING, matrix / totals, matrix)


def as_truth(truth: npt.ArrayLike, rows: int, classes: int) -> Ints:
    """Give true classes as int64, checked against the scores they belong to.

    >>> as_truth([0, 2], rows=2, classes=3).tolist()
    [0, 2]

    Raises:
        UserError: Another number of rows, no whole number, or a class that the scores do not have.
    """
    given = np.asarray(truth)
    with np.errstate(invalid="ignore"):
        labels = given.astype(np.int64)
    if labels.shape != (rows,):
        raise UserError(f"truth has shape {labels.shape} but there are {rows} rows of scores")
    broken = np.flatnonzero(labels != given)
    if broken.size:
        raise UserError(f"row {broken[0] + 1}: truth {given[broken[0]]} is no class index")
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if outside.size:
        raise UserError(
            f"row {outside[0] + 1}: class {labels[outside[0]]} is not one of the model's "
            f"{classes} (0 to {classes - 1})"
        )
    return labels


def as_marks(truth: npt.ArrayLike, scores: npt.ArrayLike, labels: int) -> tuple[Ints, Floats]:
    """Give true labels and scores as int64 and float64 matrices of rows and labels.

    >>> as_marks([[1.0, 0.0]], [[0.9, 0.2]], labels=2)[0].tolist()
    [[1, 0]]

    Raises:
        UserError: Truth of another shape than scores or ``labels``, or neither 0 nor 1.
        RunError: See :func:`as_scores`.
    """
    values, marks = as_scores(scores), np.asarray(truth)
    if marks.shape != values.shape or values.shape[1] != labels:
        raise UserError(
            f"truth {marks.shape} and scores {values.shape} must both be (rows, {labels} labels)"
        )
    broken = ~((marks == 0) | (marks == 1)).all(axis=1)
    if broken.any():
        raise UserError(f"row {np.flatnonzero(broken)[0] + 1}: truth is neither 0 nor 1")
    return marks.astype(np.int64), values


def as_weights(weights: npt.ArrayLike | None, rows: int) -> Floats:
    """Give how much each row counts as float64; by default the same.

    >>> as_weights(None, 2).tolist()
    [1.0, 1.0]

    Raises:
        UserError: Another number of rows, or a weight that is not a finite number of at least 0.
    """
    if weights is None:
        return np.ones(rows)
    mass = np.asarray(weights, dtype=np.float64)
    if mass.shape != (rows,):
        raise UserError(f"weights have shape {mass.shape} but there are {rows} rows of scores")
    broken = np.flatnonzero(~(np.isfinite(mass) & (mass >= 0)))
    if broken.size:
        raise UserError(f"row {broken[0] + 1}: its weight is not a finite number of at least 0")
    return mass


def ranked_classes(scores: npt.ArrayLike) -> Ints:
    """Class indices of every row, best first; equal scores stand in the order of their index.

    This one order decides predictions, ``top_k_accuracy`` and the ranked labels in
    ``predictions.jsonl``, so that the three can never disagree.

    >>> ranked_classes([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]).tolist()
    [[1, 2, 0], [0, 2, 1]]
    """
    order: Ints = np.argsort(-as_scores(scores), axis=1, kind="stable").astype(np.int64)
    return order


def predicted_classes(scores: npt.ArrayLike) -> Ints:
    """The best class of every row: the first column of :func:`ranked_classes`.

    >>> predicted_classes([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]).tolist()
    [1, 0]
    """
    best: Ints = as_scores(scores).argmax(axis=1).astype(np.int64)
    return best
