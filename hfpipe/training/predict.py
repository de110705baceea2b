"""What a model says of every row, in dataset order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hfpipe.inputs.encoding import LABELS

if TYPE_CHECKING:
    from datasets import Dataset

    from hfpipe.inputs.collator import Collator
    from hfpipe.metrics.tasks import Task
    from hfpipe.models.families.tabular import TabularFit
    from hfpipe.models.table import Table

TABLE_ROWS = 2000


@dataclass(frozen=True)
class Outputs:
    """What a model said.

    Attributes:
        logits: ``(rows, logits)`` float32; of a tabular model ``(rows, 1)`` float64.
        extras: What else it tells of each row, by name.
    """

    logits: np.ndarray
    extras: dict[str, np.ndarray] = field(default_factory=dict)


def predict_outputs(
    model: Any,
    collator: Collator,
    encoded: Dataset,
    task: Task,
    batch_size: int,
    quiet: bool = False,
    bf16: bool = False,
    max_tokens: int | None = None,
) -> Outputs:
    """Run any model over encoded rows.

    Args:
        model: What ``Family.load`` gave.
        collator: Makes the batches.
        encoded: See ``hfpipe.inputs.encoding.encode_rows``.
        task: What is predicted.
        batch_size: At most so many rows a batch.
        quiet: No progress bar.
        bf16: Compute in bfloat16, where the device is fast in it. Scores then differ from
            float32's, and between batch sizes, in the third digit.
        max_tokens: At most so many tokens a batch, padding included; None for what suits the
            device.
    """
    from hfpipe.models.families.tabular import TabularFit

    if isinstance(model, TabularFit):
        assert model.model is not None
        said = model.model.predict(table_of(model, collator, encoded))
        return Outputs(said[:, None])
    return _network(model, collator, encoded, task, batch_size, quiet, bf16, max_tokens)


def _network(
    model: Any,
    collator: Collator,
    encoded: Dataset,
    task: Task,
    batch_size: int,
    quiet: bool,
    bf16: bool,
    max_tokens: int | None,
) -> Outputs:
    """Rows of one length share a batch, the longest first; the Trainer puts them back in order."""
    import torch
    from transformers import TrainingArguments

    from hfpipe.training.fit import ROWS, build_trainer
    from hfpipe.training.precision import bf16_is_fast, on_cpu

    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            per_device_eval_batch_size=batch_size,
            bf16=bf16 and bf16_is_fast(),
            use_cpu=on_cpu(),
            dataloader_pin_memory=torch.cuda.is_available(),
            report_to="none",
            disable_tqdm=quiet,
            **ROWS,
        )
        trainer = build_trainer(model, arguments, collator, task, eval_max_tokens=max_tokens)
        trainer.compute_metrics = None
        rows = encoded.remove_columns(LABELS) if LABELS in encoded.column_names else encoded
        # A wrapper's extras are left out of what the Trainer keeps unless nothing is to be.
        ignored: list[str] | None = [] if _is_ours(model) else None
        said = trainer.predict(rows, ignore_keys=ignored).predictions
    logits, extras = said if isinstance(said, tuple) else (said, {})
    kept = {name: np.asarray(each) for name, each in _per_row(extras, len(rows))}
    return Outputs(np.asarray(logits, np.float32), kept)


def _is_ours(model: Any) -> bool:
    from hfpipe.models.base import HfpipeModel

    return isinstance(model, HfpipeModel)


def _per_row(extras: Any, rows: int) -> Iterator[tuple[str, Any]]:
    for name, each in extras.items() if isinstance(extras, Mapping) else ():
        if len(each) == rows:
            yield name, each


def named_extras(model: Any, outputs: Outputs) -> dict[str, np.ndarray]:
    """The weights of towers by the towers' names: ``gate_weight.video`` → ``(rows,)``."""
    towers = getattr(model, "towers_in_order", None) or getattr(model, "names", None) or []
    found = {}
    for name, values in outputs.extras.items():
        if values.ndim == 2 and values.shape[1] == len(towers):
            singular = name.removesuffix("s")
            for at, tower in enumerate(towers):
                found[f"{singular}.{tower}"] = values[:, at]
    return found


def table_of(model: TabularFit, collator: Collator, encoded: Dataset) -> Table:
    """Encoded rows as the arrays of a tabular model: the same tensors that a network would see."""
    from hfpipe.models.table import Table

    blocks = [
        _block(model, collator(encoded.select(range(start, min(start + TABLE_ROWS, len(encoded))))))
        for start in range(0, len(encoded), TABLE_ROWS)
    ]
    numeric, categories, vectors = (np.concatenate(each) for each in zip(*blocks, strict=True))
    return Table.of(vectors, numeric, categories)


def _block(model: TabularFit, batch: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    import torch

    from hfpipe.models.parts.batches import presence
    from hfpipe.models.parts.fusion import fuse

    inputs = batch["inputs"]
    rows = len(next(iter(next(iter(inputs.values())).values())))
    numeric, categories, vectors = [], [], []
    for name in sorted(inputs):
        tensors = inputs[name]
        if "codes" in tensors:
            categories.append(tensors["codes"])
        elif "missing" in tensors:
            numeric += [tensors["values"], tensors["missing"].float()]
        else:
            vectors.append(name)
    fused = torch.zeros(rows, 0)
    if vectors:
        present = torch.stack([presence(inputs[name]) for name in vectors], dim=1)
        fused = fuse([inputs[name]["values"] for name in vectors], present, model.strategy)
    return (
        torch.cat([torch.zeros(rows, 0), *numeric], dim=1).double().numpy(),
        torch.cat([torch.zeros(rows, 0).long(), *categories], dim=1).numpy(),
        fused.double().numpy(),
    )
