"""Optimizer steps from the plan to tensors, also where an epoch is taken up in its middle."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import skip_first_batches
from datasets import Dataset
from torch.utils.data import DataLoader

from hfpipe.training.batches import StepSampler
from hfpipe.training.step_loader import StepCollator, StepRows


class Read(Dataset):
    """A dataset that remembers how it was read."""

    reads: list[list[int]]

    def __getitems__(self, keys: list) -> list:
        """See the base."""
        self.reads.append(keys)
        return super().__getitems__(keys)


def rows_with(labels: list[Any]) -> Read:
    """Rows that say where they stand."""
    rows = Read(Dataset.from_dict({"row": list(range(len(labels))), "labels": labels}).data)
    rows.reads = []
    return rows


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Of ``rows_with``."""
    return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


def test_a_step_is_one_read() -> None:
    rows = rows_with([0, 1, 2, 1])
    step = StepRows(rows).__getitems__([[3, 0], [-1], [2]])
    assert rows.reads == [[3, 0, 0, 2]]
    assert [[(row["row"], row["labels"]) for row in micro] for micro in step] == [
        [(3, 1), (0, 0)],
        [(0, -100)],
        [(2, 2)],
    ]
    assert len(StepRows(rows)) == 4


@pytest.mark.parametrize(
    ("labels", "ignored"),
    [
        ([1, 0], torch.tensor([-100, 0])),
        ([0.5, 2.0], torch.tensor([math.nan, 2.0])),
        ([[1.0, 0.0], [0.0, 1.0]], torch.tensor([[math.nan, math.nan], [0.0, 1.0]])),
    ],
)
def test_a_repeated_row_has_no_label(labels: list[Any], ignored: torch.Tensor) -> None:
    step = StepRows(rows_with(labels)).__getitems__([[-1], [1]])
    batch = StepCollator(collate)(step)
    torch.testing.assert_close(batch["labels"], ignored, equal_nan=True)
    assert [each["row"].tolist() for each in batch["micro"]] == [[0], [1]]


def test_rows_without_labels_make_steps_without() -> None:
    step = StepRows(Dataset.from_dict({"row": [4, 5]})).__getitems__([[1], [-1]])
    assert step == [[{"row": 5}], [{"row": 4}]]
    assert set(StepCollator(collate)(step)) == {"micro"}


@pytest.mark.parametrize("workers", [0, 1])
def test_skipping_steps_gives_the_rest_of_the_epoch(workers: int) -> None:
    lengths = np.random.default_rng(1).integers(3, 60, 50)
    sampler = StepSampler(lengths, rows_per_step=8, max_rows=3, strategy="group_by_length")
    rows = Dataset.from_dict({"row": list(range(50)), "labels": [0] * 50})
    loader = DataLoader(
        StepRows(rows), batch_sampler=sampler, collate_fn=StepCollator(collate), num_workers=workers
    )
    sampler.set_epoch(2)
    expected = list(sampler)
    sampler.set_epoch(0)

    rest = skip_first_batches(loader, 4)
    rest.batch_sampler.batch_sampler.set_epoch(2)  # As the Trainer does.
    seen = [[micro["row"].tolist() for micro in step["micro"]] for step in rest]
    assert seen == expected[4:]
    assert len(rest) == len(seen) == 3

    loader.batch_sampler.batch_sampler.set_epoch(2)
    assert [[each["row"].tolist() for each in step["micro"]] for step in loader] == expected
