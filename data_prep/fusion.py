"""Several vectors of a row made one, with what was there appended as a mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hfpipe.errors import UserError


def concat(vectors: Sequence[np.ndarray], mask: np.ndarray) -> np.ndarray:
    """The vectors behind each other; zeros stand for one that is missing.

    Args:
        vectors: (rows, dim) float32 each, zeros where there is none.
        mask: (rows, modalities) whether there is one.

    Returns:
        (rows, sum of dims + modalities) float32.

    >>> one, two = np.float32([[1, 2]]), np.float32([[0, 0]])
    >>> concat([one, two], np.array([[True, False]])).tolist()
    [[1.0, 2.0, 0.0, 0.0, 1.0, 0.0]]
    """
    return np.concatenate([*vectors, mask.astype(np.float32)], axis=1)


def sum_pool(vectors: Sequence[np.ndarray], mask: np.ndarray) -> np.ndarray:
    """The sum of the vectors that are there.

    Args:
        vectors: (rows, dim) float32 each, zeros where there is none.
        mask: (rows, modalities) whether there is one.

    Returns:
        (rows, dim + modalities) float32.

    Raises:
        UserError: The dimensions differ.

    >>> one, two = np.float32([[1, 2]]), np.float32([[3, -4]])
    >>> sum_pool([one, two], np.array([[True, True]])).tolist()
    [[4.0, -2.0, 1.0, 1.0]]
    """
    _same_dimension(vectors, "sum_pool")
    total = np.zeros_like(vectors[0])
    for rows in vectors:
        total += rows
    return concat([total], mask)


def max_pool(vectors: Sequence[np.ndarray], mask: np.ndarray) -> np.ndarray:
    """The largest of each number over the vectors that are there; zeros where none is.

    Args:
        vectors: (rows, dim) float32 each.
        mask: (rows, modalities) whether there is one.

    Returns:
        (rows, dim + modalities) float32.

    Raises:
        UserError: The dimensions differ.

    >>> one, two = np.float32([[-1, -2]]), np.float32([[0, 0]])
    >>> max_pool([one, two], np.array([[True, False]])).tolist()
    [[-1.0, -2.0, 1.0, 0.0]]
    """
    _same_dimension(vectors, "max_pool")
    largest = np.full_like(vectors[0], -np.inf)
    for place, rows in enumerate(vectors):
        np.maximum(largest, rows, out=largest, where=mask[:, [place]])
    return concat([np.where(mask.any(axis=1, keepdims=True), largest, 0)], mask)


FUSIONS: dict[str, Callable[[Sequence[np.ndarray], np.ndarray], np.ndarray]] = {
    function.__name__: function for function in (concat, sum_pool, max_pool)
}


def _same_dimension(vectors: Sequence[np.ndarray], strategy: str) -> None:
    dimensions = [rows.shape[1] for rows in vectors]
    if len(set(dimensions)) > 1:
        named = ", ".join(map(str, dimensions))
        raise UserError(
            f"prepare.vectors.fusion={strategy}: the vectors have different dimensions ({named}): "
            "use concat"
        )
