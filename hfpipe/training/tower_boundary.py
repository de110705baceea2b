"""The towers of a late fusion as places where it can be cut."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from hfpipe.inputs.collator import Collator
from hfpipe.models.base import HfpipeModel
from hfpipe.models.late_fusion import fed_as
from hfpipe.models.parts.batches import any_present, cast
from hfpipe.training.cached_rows import Feed

VECTOR = "pooled"


@dataclass
class TowerBoundary:
    """A tower of which nothing learns; the model takes its output as it is.

    Attributes:
        model: See ``LateFusionModel``.
        name: The tower's.
        variant: Always the pooled vector.
        proven: See ``Boundary``.
    """

    model: Any
    name: str
    variant: str | None = VECTOR
    proven: bool = False

    @property
    def key(self) -> str:
        """See ``LateFusionModel``."""
        return fed_as(self.name)

    @property
    def module(self) -> nn.Module:
        """The tower."""
        found: nn.Module = self.model.towers[self.name]
        return found

    @property
    def inputs(self) -> list[str]:
        """Those that the tower reads."""
        return list(self.model.towers[self.name].inputs)

    @property
    def variants(self) -> tuple[str, ...]:
        """There is no other."""
        return (VECTOR,)

    @property
    def described(self) -> str:
        """Its part of the config, but for where its weights once came from."""
        spec = self.model.config.towers[self.name]
        made = {key: each for key, each in spec.items() if key != "source"}
        return json.dumps(made, sort_keys=True, default=str)

    def vectors(self, inputs: Mapping[str, Mapping[str, Tensor]]) -> tuple[Tensor, Tensor]:
        """``(batch, dim)`` and ``(batch,)`` of a batch."""
        tower = self.model.towers[self.name]
        pooled = tower(cast(inputs, next(tower.parameters()).dtype))
        return pooled, any_present(inputs, tower.inputs)

    @property
    def feed(self) -> Feed:
        """What the model takes in place of the tower's inputs."""
        return fed

    def standing_in(self) -> AbstractContextManager[None]:
        """The model takes it anyway."""
        return nullcontext()


def fed(vectors: Tensor, present: Tensor) -> dict[str, Tensor]:
    """See ``LateFusionModel``."""
    return {"pooled": vectors, "present": present}


def tower_boundaries(model: Any, collator: Collator) -> list[TowerBoundary]:
    """The towers whose outputs cannot change: nothing in them learns, nothing they read varies."""
    if not isinstance(model, HfpipeModel):
        return []
    groups = model.parameter_groups()
    varied = {
        name for name, each in collator.processor.inputs.items() if getattr(each, "augment", None)
    }
    return [
        TowerBoundary(model, name)
        for name, below in model.cache_boundary().items()
        if not any(each.requires_grad for group in below for each in groups[group])
        and not varied.intersection(model.towers[name].inputs)
    ]
