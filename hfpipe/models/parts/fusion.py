"""Several vectors of a row, some of them absent, made one.

``stacked`` is always ``(batch, towers, size)`` and ``present`` ``(batch, towers)`` bool.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def masked_softmax(scores: Tensor, present: Tensor) -> Tensor:
    """Weights that sum to 1 over what is present, 0 for the absent; all 0 where nothing is.

    >>> masked_softmax(torch.zeros(2, 2), torch.tensor([[True, False], [False, False]])).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    lowest = torch.finfo(scores.dtype).min
    weights = scores.masked_fill(~present, lowest).softmax(dim=-1)
    return weights * present.to(weights.dtype)


def weighted_sum(stacked: Tensor, weights: Tensor) -> Tensor:
    """``(batch, size)``: the vectors by their weights ``(batch, towers)``."""
    return (stacked * weights[..., None].to(stacked.dtype)).sum(dim=1)


def drop_modalities(present: Tensor, rate: float) -> Tensor:
    """Presence with each modality of each row dropped at ``rate``, but never a row's last one.

    A row that would lose everything keeps one of its own, drawn evenly (ModDrop, Neverova et al.
    2016).

    >>> drop_modalities(torch.tensor([[True, False]]), 1.0).tolist()
    [[True, False]]
    """
    drawn = torch.rand(present.shape, device=present.device)
    kept = present & (drawn >= rate)
    last = torch.where(present, drawn, -1.0).argmax(dim=1, keepdim=True)
    saved = torch.zeros_like(present).scatter(1, last, True) & present
    return torch.where(kept.any(dim=1, keepdim=True), kept, saved)


def _sum_pool(stacked: Tensor, present: Tensor) -> Tensor:
    return weighted_sum(stacked, present)


def _max_pool(stacked: Tensor, present: Tensor) -> Tensor:
    lowest = torch.finfo(stacked.dtype).min
    highest = stacked.masked_fill(~present[..., None], lowest).amax(dim=1)
    return torch.where(present.any(dim=1, keepdim=True), highest, torch.zeros_like(highest))


POOLED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sum_pool": _sum_pool,
    "max_pool": _max_pool,
}
"""Strategy → one vector of the same size out of several."""
STRATEGIES = ("concat", *POOLED)


def fuse(vectors: list[Tensor], present: Tensor, strategy: str) -> Tensor:
    """Fixed fusion of the vectors of a row, the presence mask appended.

    Args:
        vectors: Each ``(batch, dim)``; of one dimension unless ``concat``.
        present: ``(batch, vectors)`` bool; what an absent vector holds does not count.
        strategy: ``concat``, ``sum_pool`` or ``max_pool``.

    Returns:
        ``(batch, sum of dims + vectors)`` or ``(batch, dim + vectors)``.

    >>> one, other = torch.tensor([[1.0, 5.0]]), torch.tensor([[3.0, 2.0]])
    >>> fuse([one, other], torch.tensor([[True, True]]), "max_pool").tolist()
    [[3.0, 5.0, 1.0, 1.0]]
    """
    mask = present.to(vectors[0].dtype)
    if strategy in POOLED:
        return torch.cat([POOLED[strategy](torch.stack(vectors, dim=1), present), mask], dim=1)
    clean = [
        torch.where(present[:, at, None], vector, torch.zeros_like(vector))
        for at, vector in enumerate(vectors)
    ]
    return torch.cat([*clean, mask], dim=1)


def fuse_weighted(stacked: Tensor, weights: Tensor, present: Tensor, strategy: str) -> Tensor:
    """The vectors of a row by their weights, made one.

    Args:
        stacked: ``(batch, towers, size)``.
        weights: ``(batch, towers)``, 0 for an absent tower.
        present: ``(batch, towers)`` bool.
        strategy: ``concat`` puts the weighted vectors side by side, ``sum_pool`` adds them up,
            ``max_pool`` takes the highest of each dimension over the towers that are present.

    Returns:
        ``(batch, towers x size)`` for ``concat``, else ``(batch, size)``; zeros where no tower is
        present.

    >>> stacked, weights = torch.tensor([[[4.0, -8.0], [8.0, 0.0]]]), torch.tensor([[0.75, 0.25]])
    >>> both = torch.tensor([[True, True]])
    >>> for strategy in STRATEGIES:
    ...     print(strategy, fuse_weighted(stacked, weights, both, strategy).tolist())
    concat [[3.0, -6.0, 2.0, 0.0]]
    sum_pool [[5.0, -6.0]]
    max_pool [[3.0, 0.0]]
    """
    weighted = stacked * weights[..., None].to(stacked.dtype)
    if strategy in POOLED:
        return POOLED[strategy](weighted, present)
    return weighted.flatten(1)


class Concat(nn.Module):
    """The vectors side by side; an absent one is replaced by a learned vector of its tower.

    The learned vectors start at zero, so a model that never met an absent input sees zeros.
    """

    def __init__(self, towers: int, size: int) -> None:
        super().__init__()
        self.absent = nn.Parameter(torch.zeros(towers, size))
        self.size = towers * size

    def reset_parameters(self) -> None:
        """Start at zero."""
        nn.init.zeros_(self.absent)

    def forward(self, stacked: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """``(batch, towers x size)``, and nothing else to tell."""
        return torch.where(present[..., None], stacked, self.absent).flatten(1), {}


class Weighted(nn.Module):
    """The sum of the vectors by weights that each vector's content asks for."""

    def __init__(self, towers: int, size: int) -> None:
        super().__init__()
        self.score = nn.Linear(size, 1)
        self.size = size

    def forward(self, stacked: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """``(batch, size)``, and the weights ``(batch, towers)``."""
        weights = masked_softmax(self.score(stacked)[..., 0], present)
        return weighted_sum(stacked, weights), {"weights": weights}


FUSIONS: dict[str, type[Concat] | type[Weighted]] = {"concat": Concat, "weighted": Weighted}
"""Name → learned fusion of the towers' projections."""


class Gate(nn.Module):
    """Weights of the towers from metadata and presence (Arevalo et al. 2017)."""

    def __init__(self, context: int, towers: int, hidden: int) -> None:
        super().__init__()
        self.score = nn.Sequential(
            nn.Linear(context + towers, hidden), nn.GELU(), nn.Linear(hidden, towers)
        )

    def forward(self, context: list[Tensor], present: Tensor, like: Tensor) -> Tensor:
        """Weights ``(batch, towers)``; an absent tower has 0.

        Args:
            context: Tensors ``(batch, …)`` to join; may be none.
            present: ``(batch, towers)`` bool.
            like: Any tensor of the wanted dtype.
        """
        scores = self.score(torch.cat([*context, present.to(like.dtype)], dim=1))
        return masked_softmax(scores, present)
