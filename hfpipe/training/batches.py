"""Which rows share an optimizer step, and which of those share a micro-batch.

The rows of a step depend on the seed and the epoch; how they are cut into micro-batches, on what
fits the machine and on its ranks. So a run has the same steps on one device and on eight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hfpipe.errors import UserError, nearest

MEGA_STEPS, FEWEST_MEGA = 50, 4
ROWS_AT_ONCE = 1 << 18
FULL = np.iinfo(np.int64).max


class Step(list[list[int]]):
    """The rows of each micro-batch of a step, and which epoch it is of.

    Args:
        micro: Positions of rows.
        epoch: From 0 on.
    """

    def __init__(self, micro: Iterable[list[int]] = (), epoch: int = 0) -> None:
        super().__init__(micro)
        self.epoch = epoch


@dataclass(frozen=True)
class _Epoch:
    """What the rows of steps may depend on; ``kept`` rows are to be drawn."""

    lengths: np.ndarray
    rows_per_step: int
    kept: int
    number: int
    rng: np.random.Generator


def _random(epoch: _Epoch) -> np.ndarray:
    return epoch.rng.permutation(len(epoch.lengths))[: epoch.kept]


def _sequential(epoch: _Epoch) -> np.ndarray:
    return np.arange(epoch.kept)


def _group_by_length(epoch: _Epoch) -> np.ndarray:
    """Rows of near length side by side, found in random parts of the epoch; steps in random order.

    A part is at most 50 steps and at most a quarter of the epoch: were it all of it, sorting would
    give nearly the same steps at each epoch. The first epoch starts with the longest rows.
    """
    lengths, rows = epoch.lengths, epoch.rows_per_step
    order = epoch.rng.permutation(len(lengths))
    head = order[:0]
    if epoch.number == 0:
        head = np.argsort(-lengths, kind="stable")[: min(rows, epoch.kept)]
        order = order[~np.isin(order, head)]
    rest = order[: epoch.kept - len(head)]
    steps = len(rest) // rows
    full, tail = rest[: steps * rows], rest[steps * rows :]
    parts = max(FEWEST_MEGA, -(-steps // MEGA_STEPS))
    part = np.arange(len(full)) // (max(1, -(-steps // parts)) * rows)
    full = full[np.lexsort((-lengths[full], part))].reshape(steps, rows)
    return np.concatenate([head, full[epoch.rng.permutation(steps)].ravel(), tail])


# Micro-batches are balanced whatever the strategy, so that there is nothing left to rebalance.
STRATEGIES: Mapping[str, Callable[[_Epoch], np.ndarray]] = {
    "random": _random,
    "sequential": _sequential,
    "group_by_length": _group_by_length,
    "batch_rebalance": _random,
}


class StepSampler:
    """The rows of each optimizer step as the micro-batches of one rank: a ``batch_sampler``.

    In a step the rows are sorted by length and cut where the costliest micro-batch (rows times
    longest row) becomes the cheapest, into as few micro-batches as the limits allow. All ranks have
    equally many of them, each of one row or more. Where there are too few rows for that, a rank
    repeats a row, which is given as ``-1 - position`` and must not count.

    Args:
        lengths: Of each row, in tokens; 0 counts as 1.
        rows_per_step: Of all ranks and micro-batches together.
        max_rows: Of one micro-batch.
        max_tokens: Of one micro-batch, padding included; a longer row stands alone.
        strategy: As ``train_sampling_strategy`` of ``TrainingArguments``.
        seed: With the epoch, all that is random.
        drop_last: Leave out the rows that do not fill a step; others at each epoch.
        rank: Which rank's micro-batches.
        world: How many ranks there are.

    Raises:
        UserError: Unknown strategy, a limit below 1, or not a single step.

    >>> list(StepSampler([9, 2, 5, 5], rows_per_step=4, max_rows=2, strategy="sequential"))
    [[[0, 2], [3, 1]]]
    >>> [
    ...     list(
    ...         StepSampler(
    ...             [9, 2, 5],
    ...             rows_per_step=3,
    ...             max_rows=2,
    ...             strategy="sequential",
    ...             rank=rank,
    ...             world=4,
    ...         )
    ...     )
    ...     for rank in range(4)
    ... ]
    [[[[0]]], [[[2]]], [[[1]]], [[[-2]]]]
    """

    def __init__(
        self,
        lengths: np.ndarray | Sequence[int],
        *,
        rows_per_step: int,
        max_rows: int,
        max_tokens: int | None = None,
        strategy: str = "random",
        seed: int = 42,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if strategy not in STRATEGIES:
            raise UserError(
                f"train_sampling_strategy: there is no '{strategy}'{nearest(strategy, STRATEGIES)}"
            )
        _check_limits(rows_per_step=rows_per_step, max_rows=max_rows, max_tokens=max_tokens)
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} of {world}")
        self.lengths = _sizes(lengths)
        self.rows_per_step = rows_per_step
        self.max_rows, self.max_tokens = max_rows, max_tokens
        self.strategy, self.drop_last = strategy, drop_last
        self.seed, self.epoch = seed, 0
        self.rank, self.world = rank, world
        if not len(self):
            raise UserError(
                f"not one step an epoch: {len(self.lengths)} rows, {rows_per_step} a step"
                f"{' and dataloader_drop_last: lower the batch size' if drop_last else ''}"
            )

    def set_epoch(self, epoch: int) -> None:
        """What the next iteration draws."""
        self.epoch = epoch

    @property
    def batch_sampler(self) -> StepSampler:
        """Itself: the Trainer sets the epoch on the sampler within that of the loader."""
        return self

    def __len__(self) -> int:
        steps, left = divmod(len(self.lengths), self.rows_per_step)
        return steps + (left > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Step]:
        order = self._order()
        size = self.rows_per_step
        whole = len(order) // size * size
        # Many steps at once, as whole arrays; not all, so that the first comes at once.
        span = max(1, ROWS_AT_ONCE // size) * size
        for start in range(0, whole, span):
            yield from self._cut(order[start : min(start + span, whole)].reshape(-1, size))
        if whole < len(order):
            yield from self._cut(order[whole:][None])

    def _order(self) -> np.ndarray:
        """The rows of the epoch, step after step."""
        kept = min(len(self) * self.rows_per_step, len(self.lengths))
        rng = np.random.default_rng([self.seed, self.epoch])
        drawn = _Epoch(self.lengths, self.rows_per_step, kept, self.epoch, rng)
        return STRATEGIES[self.strategy](drawn)

    def _cut(self, steps: np.ndarray) -> Iterator[Step]:
        """This rank's micro-batches of each of the steps ``(steps, rows)``."""
        by_length = np.argsort(-self.lengths[steps], axis=1, kind="stable")
        steps = np.take_along_axis(steps, by_length, axis=1)
        lengths = self.lengths[steps]
        budget = np.minimum(self.max_rows * lengths[:, 0], self.max_tokens or FULL)
        counts = -(-_count(lengths, budget, self.max_rows) // self.world)
        real = np.minimum(counts * self.world, steps.shape[1])
        budget = _least_budget(lengths, real, budget, self.max_rows)
        starts, ends = _bounds(lengths, real, budget, self.max_rows)
        mine = self._share((ends - starts) * _at(lengths, starts), counts)
        firsts, lasts = (np.take_along_axis(each, mine, axis=1).tolist() for each in (starts, ends))
        for rows, count, *own in zip(steps.tolist(), counts.tolist(), firsts, lasts, strict=True):
            bounds = list(zip(*own, strict=True))[:count]
            # Beyond the last row a micro-batch is empty, and the cheapest row is repeated.
            yield Step((rows[start:end] or [-1 - rows[-1]] for start, end in bounds), self.epoch)

    def _share(self, cost: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Which of the step's micro-batches are this rank's: ``(steps, most)``, costliest first.

        Each is dealt to the rank with the least to do that has fewer than ``counts`` of them.
        """
        deals = int(counts.max()) * self.world
        by_cost = np.argsort(-cost, axis=1, kind="stable")
        # The last is empty, as _bounds leaves it: there may be fewer rows than deals.
        by_cost = np.pad(by_cost, ((0, 0), (0, deals)), "edge")[:, :deals]
        dealt, loads = np.zeros((2, len(cost), self.world), np.int64)
        owners, every = np.empty_like(by_cost), np.arange(len(cost))
        for deal in range(deals):
            owners[:, deal] = rank = np.where(dealt < counts[:, None], loads, FULL).argmin(axis=1)
            dealt[every, rank] += 1
            loads[every, rank] += cost[every, by_cost[:, deal]]
        mine = np.argsort(owners != self.rank, axis=1, kind="stable")[:, : int(counts.max())]
        return np.take_along_axis(by_cost, mine, axis=1)


def _at(lengths: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The longest of the rows from ``starts`` on; 1 beyond the last."""
    if starts.ndim == 1:
        return _at(lengths, starts[:, None])[:, 0]
    found = np.take_along_axis(lengths, np.minimum(starts, lengths.shape[1] - 1), axis=1)
    return np.where(starts < lengths.shape[1], found, 1)


def _count(lengths: np.ndarray, budget: np.ndarray, max_rows: int) -> np.ndarray:
    """The least number of micro-batches of each step.

    Filling them one after the other, longest row first, is the least: whatever fits from a row on
    also fits from a shorter one on.
    """
    rows = lengths.shape[1]
    starts, counts = np.zeros((2, len(lengths)), np.int64)
    while (open_ := starts < rows).any():
        counts += open_
        starts += np.clip(budget // _at(lengths, starts), 1, max_rows)
    return counts


def _least_budget(
    lengths: np.ndarray, real: np.ndarray, budget: np.ndarray, max_rows: int
) -> np.ndarray:
    """The lowest cost of the costliest micro-batch where there are ``real`` of them, by halving."""
    least = np.maximum(lengths[:, 0], -(-lengths.sum(axis=1) // real))
    low, high = np.minimum(least, budget), budget
    while (low < high).any():
        middle = (low + high) // 2
        enough = _count(lengths, middle, max_rows) <= real
        low, high = np.where(enough, low, middle + 1), np.where(enough, middle, high)
    return high


def _bounds(
    lengths: np.ndarray, real: np.ndarray, budget: np.ndarray, max_rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends ``(steps, most + 1)`` of exactly ``real`` micro-batches, then of empty ones.

    Each leaves a row for each of those that follow.
    """
    rows, most = lengths.shape[1], int(real.max())
    starts = np.full((len(lengths), most + 2), rows)
    starts[:, 0] = 0
    for turn in range(most):
        start = starts[:, turn]
        size = np.clip(budget // _at(lengths, start), 1, max_rows)
        size = np.minimum(size, rows - start - (real - turn - 1))
        starts[:, turn + 1] = np.where(turn < real, start + size, rows)
    return starts[:, :-1], starts[:, 1:]


def length_batches(
    lengths: np.ndarray | Sequence[int], *, max_rows: int, max_tokens: int | None, world: int = 1
) -> list[list[int]]:
    """Batches for evaluation: longest first, each row once.

    Args:
        lengths: Of each row, in tokens; 0 counts as 1.
        max_rows: Of one batch.
        max_tokens: Of one batch, padding included; a longer row stands alone. None: no limit.
        world: So many processes share a batch, each of them with as much as the limits allow.

    Returns:
        The positions of each batch's rows: as few batches as the limits allow.

    Raises:
        UserError: A limit below 1.

    >>> length_batches([3, 10, 2, 4], max_rows=3, max_tokens=10)
    [[1], [3, 0], [2]]
    """
    _check_limits(max_rows=max_rows, max_tokens=max_tokens)
    sizes = _sizes(lengths)
    rows = np.argsort(-sizes, kind="stable").tolist()
    batches, start = [], 0
    while start < len(rows):
        fit = max_rows if max_tokens is None else max_tokens // int(sizes[rows[start]])
        batches.append(rows[start : start + min(max(fit, 1), max_rows) * world])
        start += len(batches[-1])
    return batches


def _sizes(lengths: np.ndarray | Sequence[int]) -> np.ndarray:
    return np.maximum(np.asarray(lengths, np.int64), 1)


def _check_limits(**limits: int | None) -> None:
    for name, limit in limits.items():
        if limit is not None and limit < 1:
            raise UserError(f"{name} is {limit}: it must be 1 or more")
