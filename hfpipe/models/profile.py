"""``profile``: one decision about an author from the decisions about many sequences.

The four ways to aggregate, ``mean``, ``median``, ``mean_vote`` and ``total_vote``, are defined in
``hfpipe.metrics.aggregation``; here they are on tensors, with gradients where there are some.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from hfpipe.errors import UserError, nearest
from hfpipe.models.base import FusionOutput, HfpipeConfig, HfpipeModel
from hfpipe.models.parts.batches import Batch, cast
from hfpipe.models.parts.heads import Head
from hfpipe.models.parts.pretrained import load_tower
from hfpipe.models.parts.towers import tower_config
from hfpipe.models.sequence import SequenceConfig, SequenceModel


def _sum(values: Tensor, owner: Tensor, counts: Tensor) -> Tensor:
    return values.new_zeros(len(counts)).index_add(0, owner, values)


def _mean(values: Tensor, owner: Tensor, counts: Tensor) -> Tensor:
    return _sum(values, owner, counts) / counts


def _median(values: Tensor, owner: Tensor, counts: Tensor) -> Tensor:
    by_value = values.argsort(stable=True)
    ordered = values[by_value[owner[by_value].argsort(stable=True)]]
    start = counts.cumsum(0) - counts
    return (ordered[start + (counts - 1) // 2] + ordered[start + counts // 2]) / 2


def _total(values: Tensor, owner: Tensor, counts: Tensor) -> Tensor:
    total = _sum(values, owner, counts)
    return total / (total + 1)


PROBABILITIES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "mean": _mean,
    "median": _median,
}
VOTES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "mean_vote": _mean,
    "total_vote": _total,
}
AGGREGATIONS = (*PROBABILITIES, *VOTES)
"""The four ways, by name."""


def aggregate(
    probabilities: Tensor, counts: Tensor, method: str = "mean", threshold: float = 0.5
) -> Tensor:
    """One score an author.

    Args:
        probabilities: ``(sequences,)``, those of one author next to each other.
        counts: ``(authors,)``: how many sequences each author has, in order; all above 0.
        method: One of ``AGGREGATIONS``.
        threshold: From which probability on a sequence votes; means have no use for it.

    Returns:
        ``(authors,)``, from 0 to 1.

    >>> aggregate(torch.tensor([0.2, 0.5, 0.9, 0.75]), torch.tensor([3, 1]), "median").tolist()
    [0.5, 0.75]

    Raises:
        UserError: There is no such method, or counts do not fit the probabilities.
    """
    if method not in AGGREGATIONS:
        near = nearest(method, AGGREGATIONS)
        raise UserError(f"no aggregation is called '{method}'{near}")
    if int(counts.sum()) != len(probabilities):
        raise UserError(
            f"the counts sum up to {int(counts.sum())}, not to {len(probabilities)} sequences"
        )
    if len(counts) and int(counts.min()) < 1:
        raise UserError(f"profile {int(counts.argmin())} of the batch has no sequence; drop it")
    owner = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    if method in VOTES:
        votes = (probabilities >= threshold).to(probabilities.dtype)
        return VOTES[method](votes, owner, counts)
    return PROBABILITIES[method](probabilities, owner, counts)


def aggregate_all(
    probabilities: Tensor, counts: Tensor, threshold: float = 0.5
) -> dict[str, Tensor]:
    """All four scores of the same sequences: method → ``(authors,)``. See ``aggregate``.

    >>> scores = aggregate_all(torch.tensor([0.2, 0.8]), torch.tensor([2]))
    >>> {name: round(each.item(), 2) for name, each in scores.items()}
    {'mean': 0.5, 'median': 0.5, 'mean_vote': 0.5, 'total_vote': 0.5}
    """
    return {name: aggregate(probabilities, counts, name, threshold) for name in AGGREGATIONS}


class ProfileConfig(HfpipeConfig):
    """Config of ``ProfileModel``; ``inputs`` are those of the sequence model.

    Attributes:
        sequence: Config of the ``SequenceModel``.
        aggregation: One of ``AGGREGATIONS``.
        threshold: From which probability on a sequence votes.
    """

    model_type: ClassVar[str] = "hfpipe-profile"

    problem_type: str | None = "binary"
    sequence: dict[str, Any] = field(default_factory=dict)
    aggregation: str = "mean"
    threshold: float = 0.5

    def __post_init__(self, **kwargs: Any) -> None:
        self.sequence = tower_config(SequenceConfig(**self.sequence))
        self.inputs = self.sequence["inputs"]
        super().__post_init__(**kwargs)

    def check(self, kinds: tuple[str, ...]) -> None:
        """As in the base, and that it is binary with a known aggregation.

        Raises:
            UserError: See above.
        """
        super().check(kinds)
        if self.problem_type != "binary":
            raise UserError(f"{self.model_type}: it is binary, not {self.problem_type}")
        if self.aggregation not in AGGREGATIONS:
            near = nearest(self.aggregation, AGGREGATIONS)
            raise UserError(f"{self.model_type}: no aggregation '{self.aggregation}'{near}")


class ProfileModel(HfpipeModel):
    """A sequence model over all sequences of all authors of a batch, and an aggregation.

    The one input has, besides ``values (sequences, steps, dim)`` and ``mask``, ``counts
    (authors,)``: how many of the sequences, which lie author by author, each author has. Without
    it each sequence is an author of its own. Logits are those of the scores, ``(authors, 1)``.
    Extras: ``sequence_probabilities (sequences,)`` and ``counts``, for ``aggregate_all``.
    Groups: those of the sequence model.
    """

    config_class = ProfileConfig
    kinds = ("vector_sequence",)

    def __init__(self, config: ProfileConfig) -> None:
        super().__init__(config)
        self.sequence = SequenceModel(SequenceConfig(**config.sequence))
        self.post_init()

    @property
    def head(self) -> Head:  # type: ignore[override]
        """That of the sequence model."""
        return self.sequence.head

    def forward(
        self,
        inputs: Batch,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> FusionOutput:
        """Logits of the authors' scores; see the base.

        Raises:
            UserError: See the base; or the loss of votes, which have no gradient, is asked for in
                training.
        """
        method = self.config.aggregation
        if self.training and labels is not None and method in VOTES:
            raise UserError(
                f"{self.config.model_type}: votes have no gradient; train the sequence model, or "
                "with aggregation=mean, and set the aggregation afterwards"
            )
        self.check_batch(inputs)
        logits = self.sequence_logits(inputs)
        probabilities = logits.float().sigmoid()
        counts = inputs[self.sequence.input].get("counts")
        if counts is None:
            counts = torch.ones(len(logits), dtype=torch.long, device=logits.device)
        scores = aggregate(probabilities, counts, method, self.config.threshold)
        extras = {"sequence_probabilities": probabilities, "counts": counts}
        return self.output(scores.logit(eps=1e-7)[:, None], extras, labels, num_items_in_batch)

    def sequence_logits(self, inputs: Batch) -> Tensor:
        """``(sequences,)``: the logit of every sequence."""
        inputs = cast(inputs, self.head.output.weight.dtype)
        return self.head(self.sequence.encode(inputs)[0])[:, 0]

    def group_of(self, name: str) -> str:
        """As in the sequence model."""
        return self.sequence.group_of(name.removeprefix("sequence."))

    @classmethod
    def from_sequence(
        cls,
        sequence: SequenceModel | str | Path,
        loading: dict[str, Any] | None = None,
        **config: Any,
    ) -> ProfileModel:
        """A profile of a sequence model that was trained before.

        Args:
            sequence: The model, a folder or a repo id.
            loading: ``revision``, ``token``, … for ``from_pretrained``.
            **config: ``aggregation``, ``threshold``, ….

        Raises:
            UserError: It is another kind of model.
        """
        model, _ = load_tower("sequence", sequence, {}, {}, loading or {})
        if not isinstance(model, SequenceModel):
            found = model.config.model_type
            raise UserError(f"a profile is made of a hfpipe-sequence model, not of a {found} one")
        profile = cls(ProfileConfig(sequence=tower_config(model.config), **config))
        profile.sequence.load_state_dict(model.state_dict())
        return profile
