"""Bootstrap resamples (Efron 1979) as row counts, and what is measured on many of them at once.

A resample draws as many rows as there are, with replacement; all that a metric needs to know of it
is how often each row was drawn. So a block of resamples is a matrix of counts (resamples, rows),
and every metric is a weighted one, whose weights are the counts. Where rows belong together, whole
groups are drawn (the cluster bootstrap): a row counts as often as its group.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError
from hfpipe.metrics.scores import Floats, Ints

CELLS = 2**17
"""Resamples times rows of a block: 1 MB of counts, as much for each thing made from them, so that
they stay in the processor's cache."""
UNDEFINED = 0.05
"""A metric that is undefined in a larger share of the resamples has no interval."""

Groups = Sequence[Hashable] | npt.NDArray[Any]
"""(rows,) the group of each row, by any values that can be told apart."""
Key = TypeVar("Key", bound=Hashable)


class Block:
    """Counts of a block of resamples, and what several metrics want to know of them.

    Attributes:
        counts: (resamples, rows) how often each row was drawn, or any other weights.
    """

    def __init__(self, counts: Floats) -> None:
        self.counts = counts
        self._found: dict[Callable[[Block], Any], Any] = {}

    def __getitem__(self, part: Callable[[Block], Any]) -> Any:
        """What ``part`` makes of this block, computed when it is first asked for."""
        if part not in self._found:
            self._found[part] = part(self)
        return self._found[part]

    @cached_property
    def columns(self) -> Floats:
        """(rows, resamples): the counts the other way round, for products with sparse matrices."""
        return np.ascontiguousarray(self.counts.T)

    @cached_property
    def totals(self) -> Floats:
        """(resamples,) rows drawn; differs between resamples where groups are drawn."""
        return np.asarray(self.counts.sum(axis=1))


Measure = Callable[[Block], Floats]
"""A metric of every resample of a block, (resamples,); NaN where it is not defined."""


@dataclass(frozen=True, eq=False)
class Resamples:
    """What is drawn, and how often; the same seed gives the same draws, whatever is measured.

    Attributes:
        rows: How many there are.
        times: Resamples.
        seed: Of the draws.
        groups: (rows,) which group each belongs to, None: each its own.

    >>> two = Resamples(3, times=2, seed=0)
    >>> next(two.blocks()).sum(axis=1).tolist()
    [3.0, 3.0]
    >>> pairs = next(Resamples(4, groups=["a", "b", "b", "a"]).blocks())
    >>> bool((pairs[:, 0] == pairs[:, 3]).all() and (pairs[:, 1] == pairs[:, 2]).all())
    True

    Raises:
        UserError: No resample, or another number of groups than of rows.
    """

    rows: int
    times: int = 1000
    seed: int = 0
    groups: Groups | None = None

    def __post_init__(self) -> None:
        if self.times < 1:
            raise UserError(f"{self.times} resamples: there must be at least 1")
        if self.groups is not None and len(np.asarray(self.codes)) != self.rows:
            raise UserError(f"{len(self.codes)} groups but {self.rows} rows: one a row")

    @cached_property
    def codes(self) -> Ints:
        """(rows,) the group of each, numbered as they first appear: names do not change draws."""
        if self.groups is None:
            return np.arange(self.rows)
        seen: dict[Hashable, int] = {}
        values = self.groups.tolist() if isinstance(self.groups, np.ndarray) else self.groups
        return np.array([seen.setdefault(each, len(seen)) for each in values], dtype=np.int64)

    @cached_property
    def units(self) -> int:
        """How many things there are to draw from: rows, or groups."""
        return int(self.codes.max()) + 1 if self.rows else 0

    def blocks(self, cells: int = CELLS) -> Iterator[Floats]:
        """Row counts (resamples, rows), block by block; the size of a block changes no count."""
        generator = np.random.default_rng(self.seed)
        step = max(1, cells // max(1, self.rows))
        for start in range(0, self.times, step):
            size = min(step, self.times - start)
            drawn = generator.integers(self.units, size=(size, self.units))
            drawn += np.arange(size)[:, None] * self.units
            flat = np.bincount(drawn.ravel(), minlength=size * self.units)
            counts = flat.reshape(size, self.units).astype(np.float64)
            yield counts if self.groups is None else np.take(counts, self.codes, axis=1)

    def left_out(self, cells: int = CELLS) -> Iterator[Floats]:
        """Row counts (units, rows) of all but one row, or group, at a time (the jackknife).

        >>> next(Resamples(3, groups=["a", "b", "a"]).left_out()).tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
        """
        step = max(1, cells // max(1, self.rows))
        for start in range(0, self.units, step):
            without = np.arange(start, min(start + step, self.units))
            yield (self.codes[None, :] != without[:, None]).astype(np.float64)


def replicates(resamples: Resamples, measures: Mapping[Key, Measure]) -> dict[Key, Floats]:
    """Every measure on every resample, in blocks.

    Args:
        resamples: What is drawn.
        measures: Anything to what is measured.

    Returns:
        The same keys to (times,) values; NaN where undefined.

    >>> mean = lambda block: block.counts @ [1.0, 1.0, 1.0] / block.totals
    >>> replicates(Resamples(3, times=4), {"mean": mean})["mean"].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    return _measured(resamples.blocks(), measures)


def without_each(resamples: Resamples, measures: Mapping[Key, Measure]) -> dict[Key, Floats]:
    """Every measure on all but one row, or group, at a time: the same keys to (units,) values.

    >>> mean = lambda block: block.counts @ [1.0, 2.0, 6.0] / block.totals
    >>> without_each(Resamples(3), {"mean": mean})["mean"].tolist()
    [4.0, 3.5, 1.5]
    """
    return _measured(resamples.left_out(), measures)


def as_they_are(resamples: Resamples, measures: Mapping[Key, Measure]) -> dict[Key, Floats]:
    """Every measure on the rows themselves, (1,).

    By the same sums as the resamples, so that ties with them are ties to the last digit.
    """
    return _measured(iter([np.ones((1, resamples.rows))]), measures)


def _measured(blocks: Iterator[Floats], measures: Mapping[Key, Measure]) -> dict[Key, Floats]:
    found: dict[Key, list[Floats]] = {key: [] for key in measures}
    for counts in blocks:
        block = Block(counts)
        for key, measure in measures.items():
            found[key].append(measure(block))
    return {key: np.concatenate(values) for key, values in found.items()}


def percentiles(known: Floats, confidence: float) -> list[float]:
    """The interval that holds the middle ``confidence`` of the replicates (Efron 1979).

    >>> percentiles(np.arange(101.0), 0.5)
    [25.0, 75.0]
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return [float(low), float(high)]


def defined(values: Floats) -> Floats | None:
    """The replicates that are not NaN; None where more than 5 % are.

    >>> defined(np.array([0.5, np.nan])) is None
    True
    """
    known = values[~np.isnan(values)]
    return known if known.size and known.size >= (1 - UNDEFINED) * values.size else None
