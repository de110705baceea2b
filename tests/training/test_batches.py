"""Which rows share a step and a micro-batch, against slow and obvious references."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hfpipe.errors import UserError
from hfpipe.training.batches import STRATEGIES, StepSampler, length_batches

Steps = list[list[list[int]]]

lengths_of_rows = st.lists(st.integers(1, 40), min_size=1, max_size=60)
limits = st.fixed_dictionaries(
    {"max_rows": st.integers(1, 9), "max_tokens": st.none() | st.integers(1, 120)}
)
plans = st.fixed_dictionaries(
    {
        "rows_per_step": st.integers(1, 14),
        "strategy": st.sampled_from(sorted(STRATEGIES)),
        "seed": st.integers(0, 5),
    }
)


def every_rank(lengths: Any, world: int, epoch: int = 0, **how: Any) -> list[Steps]:
    """The steps of each rank."""
    samplers = [StepSampler(lengths, rank=rank, world=world, **how) for rank in range(world)]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    return [list(sampler) for sampler in samplers]


def rows_of_steps(ranks: list[Steps]) -> list[list[int]]:
    """The rows of each step that count, whichever rank has them."""
    return [
        sorted(row for micros in step for micro in micros for row in micro if row >= 0)
        for step in zip(*ranks, strict=True)
    ]


def cost(micro: list[int], lengths: list[int]) -> int:
    """Tokens computed, padding included."""
    return len(micro) * max(lengths[row if row >= 0 else -1 - row] for row in micro)


def obvious_cuts(lengths: list[int], max_rows: int, max_tokens: int | None) -> Callable[..., float]:
    """``least(start)``: fewest parts; ``least(start, parts)``: the costliest part's least cost.

    Each contiguous way to cut rows sorted by length is tried.
    """
    longest_first = sorted(lengths, reverse=True)
    rows = len(lengths)

    def fitting(start: int) -> list[int]:
        budget = math.inf if max_tokens is None else max_tokens
        sizes = range(1, min(max_rows, rows - start) + 1)
        return [n for n in sizes if n == 1 or n * longest_first[start] <= budget]

    @cache
    def least(start: int, parts: int | None = None) -> float:
        if start == rows:
            return 0 if not parts else math.inf
        if parts is None:
            return 1 + min(least(start + size) for size in fitting(start))
        if parts == 0:
            return math.inf
        return min(
            max(size * longest_first[start], least(start + size, parts - 1))
            for size in fitting(start)
        )

    return least


@given(lengths_of_rows, plans, limits, st.integers(1, 4), st.integers(0, 2), st.booleans())
@settings(max_examples=100, deadline=None)
def test_an_epoch_has_each_row_once_whatever_the_machine(
    lengths: list[int],
    plan: dict[str, Any],
    limits: dict[str, Any],
    world: int,
    epoch: int,
    drop_last: bool,
) -> None:
    size = plan["rows_per_step"]
    kept = len(lengths) // size * size if drop_last else len(lengths)
    plan["drop_last"] = drop_last
    if not kept:
        with pytest.raises(UserError, match="not one step"):
            StepSampler(lengths, max_rows=1, **plan)
        return
    alone = StepSampler(lengths, max_rows=size, **plan)
    alone.set_epoch(epoch)
    expected = rows_of_steps([list(alone)])
    ranks = every_rank(lengths, world, epoch, **plan, **limits)

    seen = list(itertools.chain.from_iterable(expected))
    assert len(seen) == len(set(seen)) == kept
    assert [len(step) for step in expected] == [size] * (kept // size) + (
        [kept % size] if kept % size else []
    )
    assert rows_of_steps(ranks) == expected
    assert {len(steps) for steps in ranks} == {len(alone)} == {len(expected)}


@given(lengths_of_rows, plans, limits, st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_micro_batches_are_few_and_balanced_and_within_the_budget(
    lengths: list[int], plan: dict[str, Any], limits: dict[str, Any], world: int
) -> None:
    ranks = every_rank(lengths, world, **plan, **limits)
    for rows, *step in zip(rows_of_steps(ranks), *ranks, strict=True):
        micros = [micro for share in step for micro in share]
        for micro in micros:
            assert 1 <= len(micro) <= limits["max_rows"]
            within = limits["max_tokens"] is None or cost(micro, lengths) <= limits["max_tokens"]
            assert within or len(micro) == 1
        least = obvious_cuts([lengths[row] for row in rows], **limits)
        each = math.ceil(least(0) / world)
        assert [len(share) for share in step] == [each] * world
        # A row is repeated only where there are fewer rows than micro-batches.
        repeated = [micro for micro in micros if any(row < 0 for row in micro)]
        assert len(repeated) == max(0, each * world - len(rows))
        assert all(-1 - micro[0] in rows for micro in repeated)
        costs = [cost(micro, lengths) for micro in micros]
        assert max(costs) == least(0, min(each * world, len(rows)))
        loads = [sum(cost(micro, lengths) for micro in share) for share in step]
        assert max(loads) - min(loads) <= max(costs)


@given(lengths_of_rows | st.just([]), limits)
@settings(max_examples=100, deadline=None)
def test_batches_of_evaluation_are_few_and_longest_first(
    lengths: list[int], limits: dict[str, Any]
) -> None:
    batches = length_batches(lengths, **limits)
    order = [row for batch in batches for row in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[row] for row in order] == sorted(lengths, reverse=True)
    for batch in batches:
        assert len(batch) <= limits["max_rows"]
        budget = limits["max_tokens"]
        assert budget is None or len(batch) == 1 or cost(batch, lengths) <= budget
    assert len(batches) == obvious_cuts(lengths, **limits)(0)


@given(lengths_of_rows | st.just([]), limits, st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_several_processes_share_each_batch_of_evaluation(
    lengths: list[int], limits: dict[str, Any], world: int
) -> None:
    from hfpipe.training.eval_steps import EvalSteps

    steps = length_batches(lengths, **limits, world=world)
    shares = [list(EvalSteps(steps, rank, world)) for rank in range(world)]
    assert {len(share) for share in shares} == {len(steps)}
    for step, *each in zip(steps, *shares, strict=True):
        assert len({len(share) for share in each}) == 1
        assert [row for share in each for row in share][: len(step)] == step
        for share in each:
            assert len(share) <= limits["max_rows"]
            budget = limits["max_tokens"]
            assert budget is None or len(share) == 1 or cost(share, lengths) <= budget
    if steps:
        order = [row for step in steps for row in step]
        assert [order[at] for at in EvalSteps(steps).back] == list(range(len(lengths)))


def test_of_what_processes_say_each_row_counts_once() -> None:
    from hfpipe.training.eval_steps import EvalSteps, EvaluatesByLength

    class Two(EvaluatesByLength):
        def __init__(self) -> None:
            self.accelerator = SimpleNamespace(gather=lambda each: each)
            self.gather_function = "stock"

    trainer = Two()
    with trainer.gathered(EvalSteps([[7, 5, 6], [3]], 0, 2)):
        trainer._at = 0
        said = {
            "logits": torch.tensor([[7], [5], [6], [6]]),
            "losses": torch.tensor([1] * 4 + [2] * 4),
        }
        found = trainer.gather_function(said)
        assert found["logits"].tolist() == [[7], [5], [6]]
        assert found["losses"].tolist() == [1, 1, 2]
        trainer._at = 1
        assert trainer.gather_function(torch.tensor([3, 3])).tolist() == [3]
    assert trainer.gather_function == "stock"


def text_lengths(rows: int) -> np.ndarray:
    """As those of tweets: many short, few long."""
    drawn = np.random.default_rng(1).lognormal(3.2, 0.7, rows)
    return drawn.clip(3, 256).astype(int)


def padding(sampler: StepSampler) -> float:
    """The share of computed tokens that is padding."""
    lengths = sampler.lengths.tolist()
    micros = [micro for step in sampler for micro in step]
    computed = sum(cost(micro, lengths) for micro in micros)
    return 1 - sum(lengths[row] for micro in micros for row in micro) / computed


def test_rows_of_like_length_share_a_step_and_little_padding_is_computed() -> None:
    lengths = text_lengths(8000)
    whole = {"rows_per_step": 32, "max_rows": 32}
    cut = {"rows_per_step": 32, "max_rows": 8}

    def of(epoch: int, strategy: str, **how: int) -> float:
        sampler = StepSampler(lengths, strategy=strategy, **how)
        sampler.set_epoch(epoch)
        return padding(sampler)

    assert of(1, "random", **whole) > 0.65
    # Sorting within the step alone halves that.
    assert 0.3 < of(1, "random", **cut) == of(1, "batch_rebalance", **cut) < 0.36
    assert of(1, "group_by_length", **whole) < 0.12
    assert of(1, "group_by_length", **cut) < 0.03


@pytest.mark.parametrize(
    ("how", "busiest"),
    [
        # Each micro-batch must have 8 rows: one of the 16 has all of the longest.
        ({"max_rows": 8}, 1.35),
        ({"max_rows": 8, "strategy": "group_by_length"}, 1.015),
        ({"max_rows": 32, "max_tokens": 512}, 1.03),
    ],
)
def test_no_rank_waits_long_for_another(how: dict[str, Any], busiest: float) -> None:
    lengths = text_lengths(8000).tolist()
    ranks = every_rank(lengths, 4, rows_per_step=128, **how)
    loads = np.array([[sum(cost(each, lengths) for each in step) for step in r] for r in ranks])
    assert 1 <= loads.max(axis=0).sum() / loads.mean(axis=0).sum() < busiest


def test_the_longest_rows_come_first_and_then_no_length_before_another() -> None:
    lengths = text_lengths(8000)
    sampler = StepSampler(lengths, strategy="group_by_length", rows_per_step=32, max_rows=32)
    first, *others = [lengths[step[0]] for step in sampler]
    assert sorted(first) == sorted(np.sort(lengths)[-32:])
    means = [each.mean() for each in others]
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.2
    sampler.set_epoch(1)
    assert max(lengths[next(iter(sampler))[0]]) < lengths.max()


def test_a_small_dataset_is_mixed_anew_at_each_epoch() -> None:
    """31 steps, fewer than the 50 that are sorted together in a large one."""
    lengths = text_lengths(1000)
    how = {"strategy": "group_by_length", "rows_per_step": 32, "max_rows": 32}
    pairs = []
    for epoch in (1, 2):
        steps = rows_of_steps(every_rank(lengths, 1, epoch, **how))
        pairs.append({pair for step in steps for pair in itertools.combinations(step, 2)})
    assert len(pairs[0] & pairs[1]) / len(pairs[0]) < 0.25


def test_epochs_differ_but_for_sequential_and_seeds_do() -> None:
    lengths = text_lengths(200).tolist()
    how = {"rows_per_step": 16, "max_rows": 4}
    for strategy in STRATEGIES:
        first, again, later = (
            rows_of_steps(every_rank(lengths, 1, epoch, strategy=strategy, **how))
            for epoch in (1, 1, 2)
        )
        seeded = rows_of_steps(every_rank(lengths, 1, 1, strategy=strategy, seed=7, **how))
        assert first == again
        assert (first == later) == (first == seeded) == (strategy == "sequential")
    in_order = rows_of_steps(every_rank(lengths, 1, strategy="sequential", **how))
    assert in_order[:2] == [list(range(16)), list(range(16, 32))]


def test_one_process_learns_on_one_of_several_gpus(tmp_path: Path) -> None:
    from transformers import TrainingArguments

    from hfpipe.training.fit import one_device

    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    assert one_device(arguments).n_gpu == 0
    arguments._n_gpu = 4
    assert arguments.train_batch_size == 32  # 4 x 8: stock would deal a batch to all of them
    assert one_device(arguments).n_gpu == 1
    assert arguments.train_batch_size == 8


def test_no_other_generator_is_touched() -> None:
    def states() -> tuple[Any, ...]:
        numbers = np.random.get_state()[1].tolist()
        return random.getstate(), numbers, torch.random.get_rng_state().tolist()

    before = states()
    for strategy in STRATEGIES:
        list(StepSampler(range(1, 99), rows_per_step=8, max_rows=2, strategy=strategy))
    assert states() == before


def test_many_steps_are_planned_like_few() -> None:
    """More rows than are cut at once."""
    lengths = np.tile(text_lengths(3000), 100)
    sampler = StepSampler(lengths, rows_per_step=700, max_rows=700, strategy="sequential")
    assert [sorted(step[0]) for step in sampler] == [
        list(range(start, min(start + 700, 300_000))) for start in range(0, 300_000, 700)
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"strategy": "group_by_lenght"}, "no 'group_by_lenght'.*group_by_length"),
        ({"max_rows": 0}, "max_rows is 0"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"rows_per_step": 0}, "rows_per_step is 0"),
        ({"rows_per_step": 4, "drop_last": True}, "3 rows, 4 a step and dataloader_drop_last"),
        ({"lengths": []}, "0 rows"),
    ],
)
def test_what_cannot_be_planned_is_named(wrong: dict[str, Any], message: str) -> None:
    how = {"lengths": [1, 2, 3], "rows_per_step": 2, "max_rows": 2, **wrong}
    with pytest.raises(UserError, match=message):
        StepSampler(**how)
