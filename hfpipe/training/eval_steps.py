"""Evaluation by length: rows share a batch with those of their length, over all processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from accelerate.utils import recursively_apply
from torch.utils.data import DataLoader, SequentialSampler
from transformers import Trainer

from hfpipe.inputs.encoding import LENGTH
from hfpipe.training.batches import length_batches


@dataclass
class EvalSteps:
    """Batches of evaluation, and of each the share of one process: a loader's ``batch_sampler``.

    Processes have as many rows of a step as each other, so that what they say can be gathered. A
    step that cannot be dealt out evenly is filled up with its last row, which ``gathered`` drops.

    Attributes:
        steps: The rows of each, over all processes.
        rank: Of this process.
        world: Number of processes.

    >>> steps = [[4, 0, 2], [3, 1]]
    >>> list(EvalSteps(steps, 0, 2)), list(EvalSteps(steps, 1, 2))
    ([[4, 0], [3]], [[2, 2], [1]])
    >>> EvalSteps(steps, 0, 2).back.tolist()
    [1, 4, 2, 3, 0]
    """

    steps: list[list[int]]
    rank: int = 0
    world: int = 1

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps:
            share = -(-len(step) // self.world)
            filled = step + step[-1:] * (share * self.world - len(step))
            yield filled[share * self.rank : share * (self.rank + 1)]

    @property
    def back(self) -> np.ndarray:
        """``(rows,)``: where each row of the dataset comes in the steps."""
        return np.argsort(np.concatenate(self.steps), kind="stable")


class EvaluatesByLength(Trainer):
    """Loaders of evaluation for the Trainer, where the rows say how long they are."""

    eval_max_tokens: int | None = None
    gather_function: Any
    _at = -1

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """The longest rows first, by ``eval_max_tokens``."""
        rows = self.eval_dataset if eval_dataset is None else eval_dataset
        return self._by_length(rows) or super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader:
        """See ``get_eval_dataloader``."""
        return self._by_length(test_dataset) or super().get_test_dataloader(test_dataset)

    def _by_length(self, rows: Any) -> DataLoader | None:
        if LENGTH not in getattr(rows, "column_names", ()):
            return None
        world = max(1, self.args.world_size)
        steps = length_batches(
            np.asarray(rows[LENGTH]),
            max_rows=self.args.eval_batch_size,
            max_tokens=self.eval_max_tokens,
            world=world,
        )
        shares = EvalSteps(steps, self.args.process_index, world)
        return self._loader(rows, shares, self.data_collator)

    def _loader(self, rows: Any, batches: Any, collate: Any) -> DataLoader:
        return DataLoader(
            rows,
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
            persistent_workers=self.args.dataloader_persistent_workers,
            prefetch_factor=self.args.dataloader_prefetch_factor,
        )

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        """In order, whatever the strategy of training: the stock one would mix the rows up."""
        return SequentialSampler(eval_dataset)

    def prediction_step(self, *args: Any, **kwargs: Any) -> Any:
        """As stock, and counted."""
        self._at += 1
        return super().prediction_step(*args, **kwargs)

    @contextmanager
    def gathered(self, batches: Any) -> Iterator[None]:
        """While this lasts, of what all processes say each row of a step is kept once.

        Args:
            batches: Of the loader that is evaluated.
        """
        if not isinstance(batches, EvalSteps) or batches.world == 1:
            yield
            return

        def gather(said: Any) -> Any:
            rows, world = len(batches.steps[self._at]), batches.world
            share = -(-rows // world)

            def once(each: Any) -> Any:
                # A loss comes as many times as a batch may have rows: once for each is enough.
                return each.unflatten(0, (world, -1))[:, :share].flatten(0, 1)[:rows]

            return recursively_apply(once, self.accelerator.gather(said))

        usual, self.gather_function, self._at = self.gather_function, gather, -1
        try:
            yield
        finally:
            self.gather_function = usual
