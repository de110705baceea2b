"""Logits for every row, in dataset order, computed in length order."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def predict_logits(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    encoded: Dataset,
    batch_size: int,
    quiet: bool = False,
    bf16: bool = False,
) -> np.ndarray:
    """Run a classifier over encoded rows.

    Rows of one length share a batch, so that little padding is computed; the longest come
    first, so that running out of memory shows at once. The result is put back in order.

    Args:
        model: The classifier.
        tokenizer: Pads the batches.
        encoded: See ``Processor.encode``.
        batch_size: Rows a batch.
        quiet: No progress bar.
        bf16: Compute in bfloat16, where the device is fast in it. Scores then differ from
            float32's, and between batch sizes, in the third digit.

    Returns:
        ``(rows, classes)`` float32 logits, in the order of ``encoded``.
    """
    import torch
    from transformers import TrainingArguments

    from hfpipe.training.fit import build_trainer
    from hfpipe.training.precision import bf16_is_fast, on_cpu

    order = np.argsort(-np.asarray(encoded["length"]), kind="stable")
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            per_device_eval_batch_size=batch_size,
            bf16=bf16 and bf16_is_fast(),
            use_cpu=on_cpu(),
            dataloader_pin_memory=torch.cuda.is_available(),
            report_to="none",
            disable_tqdm=quiet,
        )
        trainer = build_trainer(model, tokenizer, arguments)
        trainer.compute_metrics = None
        sorted_rows = encoded.select(order)
        held = [name for name in ("labels", "length") if name in sorted_rows.column_names]
        logits = trainer.predict(sorted_rows.remove_columns(held)).predictions
    restored = np.empty_like(logits, dtype=np.float32)
    restored[order] = logits
    return restored
