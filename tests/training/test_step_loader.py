"""Optimizer steps from the plan to tensors, also where an epoch is taken up in its middle."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import skip_first_batches
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import TrainingArguments

from hfpipe.inputs.kinds.image import ImageInput
from hfpipe.inputs.processor import Processor
from hfpipe.metrics.tasks import task_of
from hfpipe.training.batches import StepSampler
from hfpipe.training.fit import ROWS, build_trainer
from hfpipe.training.step_loader import StepCollator, StepRows
from tests.training.heads import classifier, encoded, image_collator
from tests.training.heads import images as pictures


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


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("max_rows", [1, 8])
def test_rows_say_their_epoch_however_a_step_is_cut(workers: int, max_rows: int) -> None:
    """Augmentation is drawn from it: were it lost on the way, epochs would be alike."""
    rows = Dataset.from_dict({"row": list(range(8)), "labels": [0] * 8})
    sampler = StepSampler([1] * 8, rows_per_step=8, max_rows=max_rows)
    loader = DataLoader(
        StepRows(rows), batch_sampler=sampler, collate_fn=StepCollator(collate), num_workers=workers
    )
    for epoch in (0, 3):
        sampler.set_epoch(epoch)
        (step,) = loader
        assert len(step["micro"]) == 8 // max_rows
        assert {at for micro in step["micro"] for at in micro["epoch"].tolist()} == {epoch}


def test_augmented_inputs_do_not_depend_on_the_cut_but_on_the_epoch(tmp_path) -> None:
    """Micro-batches of one row get the pictures of a whole step, and others at the next epoch."""
    images = ImageInput(["p"], augment=["horizontal_flip"])
    collator = replace(image_collator(16), processor=Processor({"p": images}, "y"))
    rows = encoded(collator, pictures(16))
    seen: dict[int, list[dict[str, Any]]] = {}
    for size in (1, 3, 16):
        arguments = TrainingArguments(
            str(tmp_path), per_device_train_batch_size=size, use_cpu=True, report_to="none", **ROWS
        )
        task = task_of("classification", ["no", "yes"])
        trainer = build_trainer(classifier("vit"), arguments, collator, task, rows, seed=5, rows=16)
        loader = trainer.get_train_dataloader()
        seen[size] = []
        for epoch in range(4):
            loader.batch_sampler.set_epoch(epoch)
            ids = [
                rows[at]["row_id"] for step in loader.batch_sampler for each in step for at in each
            ]
            pixels = [each["pixel_values"] for step in loader for each in step["micro"]]
            seen[size].append(dict(zip(ids, torch.cat(pixels), strict=True)))
    for epoch in range(4):
        for size in (1, 3):
            for name, each in seen[16][epoch].items():
                assert torch.equal(seen[size][epoch][name], each)
    turned = [sum(not torch.equal(a[n], seen[1][0][n]) for n in a) for a in seen[1][1:]]
    assert all(3 < each < 13 for each in turned)
