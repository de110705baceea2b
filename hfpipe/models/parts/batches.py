"""The batch layout that every wrapper consumes: looked at, checked and cast.

A batch is ``{input name: {tensor name: tensor}}``; the first dimension of every tensor is the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from hfpipe.errors import UserError, nearest

Features = Mapping[str, Tensor]
"""The tensors of one input."""
Batch = Mapping[str, Features]
"""The tensors of every input."""

MAIN_TENSOR = {
    "text": "input_ids",
    "numeric": "values",
    "categorical": "codes",
    "vector": "values",
    "vector_sequence": "values",
    "image": "pixel_values",
}
"""Input kind → the tensor that it cannot be without."""

ALWAYS_PRESENT = ("numeric", "categorical")
"""Kinds whose missing values are values: medians with an indicator, an index of their own."""


def width(spec: Mapping[str, Any]) -> int | None:
    """How many columns an input's main tensor has; None where it is not fixed.

    >>> width({"kind": "vector", "dim": 384}), width({"kind": "categorical", "sizes": [5, 9]})
    (384, 2)
    >>> width({"kind": "text"}) is None
    True
    """
    if "sizes" in spec:
        return len(spec["sizes"])
    return spec.get("dim", spec.get("n"))


def rows_of(batch: Batch) -> int:
    """How many rows a batch has.

    >>> rows_of({"a": {"values": torch.zeros(3, 2)}})
    3
    """
    return next(iter(next(iter(batch.values())).values())).shape[0]


def presence(features: Features) -> Tensor:
    """Which rows have this input: ``(batch,)`` bool.

    >>> presence({"values": torch.zeros(2, 1), "present": torch.tensor([True, False])}).tolist()
    [True, False]
    >>> presence({"values": torch.zeros(2, 1)}).tolist()
    [True, True]
    """
    if "present" in features:
        return features["present"].bool()
    if "mask" in features:
        return features["mask"].bool().any(dim=1)
    some = next(iter(features.values()))
    return torch.ones(some.shape[0], dtype=torch.bool, device=some.device)


def any_present(batch: Batch, names: Iterable[str]) -> Tensor:
    """Which rows have at least one of the inputs: ``(batch,)`` bool.

    >>> one, other = torch.tensor([True, False]), torch.tensor([False, False])
    >>> any_present({"a": {"present": one}, "b": {"present": other}}, ["a", "b"]).tolist()
    [True, False]
    """
    return torch.stack([presence(batch[name]) for name in names]).any(dim=0)


def never_empty(mask: Tensor) -> Tensor:
    """A mask ``(batch, steps)`` in which a row without any step has its first.

    Attention over nothing would be NaN, which even a row that is left out later gives the gradient.

    >>> never_empty(torch.tensor([[True, True], [False, False]])).tolist()
    [[True, True], [True, False]]
    """
    first = torch.zeros_like(mask)
    first[:, 0] = 1
    return torch.where(mask.bool().any(dim=1, keepdim=True), mask, first)


def cast(batch: Batch, dtype: torch.dtype) -> dict[str, dict[str, Tensor]]:
    """The batch with its floating-point tensors in ``dtype``.

    >>> cast({"a": {"values": torch.zeros(1)}}, torch.bfloat16)["a"]["values"].dtype
    torch.bfloat16
    """
    return {
        name: {
            key: each.to(dtype) if each.is_floating_point() else each for key, each in of.items()
        }
        for name, of in batch.items()
    }


def check_input(batch: Batch, name: str, spec: Mapping[str, Any]) -> None:
    """Make sure that a batch has an input as the model was built for it.

    Raises:
        UserError: The input or its main tensor is not there, or has another dimension.
    """
    if name not in batch:
        raise UserError(f"the batch has no input '{name}'{nearest(name, batch)}")
    main = MAIN_TENSOR[spec["kind"]]
    if main not in batch[name]:
        raise UserError(
            f"input '{name}' ({spec['kind']}) has no '{main}'{nearest(main, batch[name])}"
        )
    wanted, found = width(spec), batch[name][main].shape[-1]
    if wanted is not None and found != wanted:
        raise UserError(
            f"input '{name}' ({spec['kind']}) has dimension {found}, but the model was built for "
            f"{wanted}"
        )


def refuse_rows_without(batch: Batch, specs: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a batch in which some row has nothing to predict from.

    Args:
        batch: The batch.
        specs: Every input of the model. Where one kind is always present, so is something.

    Raises:
        UserError: With the position of the first such row.
    """
    if any(spec["kind"] in ALWAYS_PRESENT for spec in specs.values()):
        return
    # Looking at values would break the graph of a compiled model.
    if torch.compiler.is_compiling():
        return
    empty = ~any_present(batch, specs)
    if empty.any():
        names = " or ".join(f"'{name}'" for name in specs)
        row = int(empty.nonzero()[0])
        raise UserError(
            f"row {row} of the batch has no {names}: nothing to predict from; drop such rows"
        )
