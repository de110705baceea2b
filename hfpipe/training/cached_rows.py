"""What stands in for rows once frozen parts are computed: vectors by the rows' numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hfpipe.inputs.collator import Collator

if TYPE_CHECKING:
    from torch import Tensor, nn

ROW = "cache_row"


Feed = Callable[["Tensor", "Tensor"], dict[str, "Tensor"]]
"""Vectors ``(batch, dim)`` and presence ``(batch,)`` → tensors; can be sent to another process."""


class Boundary(Protocol):
    """Where a model can be cut: below is frozen, above learns.

    Attributes:
        name: For progress bars; one boundary of a model has it.
        variant: Which of ``variants`` the vectors are; None until it is known.
        proven: Whether a row was seen to have the same vector alone and among others.
    """

    name: str
    variant: str | None
    proven: bool

    @property
    def inputs(self) -> list[str]:
        """What the part below reads."""

    @property
    def key(self) -> str:
        """Under which the model takes what is fed."""

    @property
    def module(self) -> nn.Module:
        """The part below."""

    @property
    def variants(self) -> tuple[str, ...]:
        """What its vectors may be, in the order in which that is tried."""

    @property
    def described(self) -> str:
        """What decides on the vectors beside weights."""

    def vectors(self, inputs: Any) -> tuple[Tensor, Tensor] | None:
        """``(batch, dim)`` and presence ``(batch,)`` of a batch; None if it has no such vectors."""

    @property
    def feed(self) -> Feed:
        """What the model is given under ``key`` in place of the inputs."""

    def standing_in(self) -> Any:
        """A block in which the model takes what ``feed`` gives."""


@dataclass(frozen=True)
class Kept:
    """The vectors of all rows of all splits.

    Attributes:
        files: Records, see ``cache_files``: the distinct rows of each split.
        owner: ``(rows,)``: the place of each row's record, the files laid end to end.
    """

    files: tuple[np.ndarray, ...]
    owner: np.ndarray

    def take(self, places: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """``(batch, dim)`` float32 and presence ``(batch,)`` of some rows."""
        ends = np.cumsum([len(each) for each in self.files])
        wanted = self.owner[list(places)]
        which = np.searchsorted(ends, wanted, side="right")
        pooled = np.empty((len(wanted), *self.files[0].dtype["pooled"].shape), np.float32)
        present = np.empty(len(wanted), bool)
        for at in np.unique(which):
            chosen = which == at
            records = self.files[at][wanted[chosen] - (ends[at] - len(self.files[at]))]
            pooled[chosen], present[chosen] = records["pooled"], records["present"]
        return pooled, present

    def __reduce__(self) -> tuple[Any, ...]:
        """For a loader's worker: a file is opened there again, unless it was removed."""
        paths = [Path(str(getattr(each, "filename", ""))) for each in self.files]
        files = zip(paths, self.files, strict=True)
        sent = [path if path.is_file() else np.array(each) for path, each in files]
        return _opened, (sent, self.owner)


def _opened(files: Sequence[Path | np.ndarray], owner: np.ndarray) -> Kept:
    return Kept(
        tuple(np.load(each, mmap_mode="r") if isinstance(each, Path) else each for each in files),
        owner,
    )


@dataclass(frozen=True)
class CachedCollator(Collator):
    """A collator that hands out kept vectors in place of what the parts below read.

    Attributes:
        kept: Boundary's key → how the model is fed, and the rows' vectors.
        left_out: Inputs that nothing else reads.
    """

    kept: Mapping[str, tuple[Feed, Kept]] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()

    def inputs_of(
        self, rows: Sequence[Mapping[str, Any]], seeds: Sequence[int] | None
    ) -> dict[str, Any]:
        """See the base."""
        import torch

        found = super().inputs_of(rows, seeds)
        places = [int(row[ROW]) for row in rows]
        for key, (feed, kept) in self.kept.items():
            pooled, present = kept.take(places)
            found[key] = feed(torch.from_numpy(pooled), torch.from_numpy(present))
        return found

    @property
    def read(self) -> list[str]:
        """See the base."""
        return [name for name in super().read if name not in self.left_out]
