"""How many tokens may share a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfpipe.training.precision import eval_tokens

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from hfpipe.inputs.collator import Collator


def token_limits(
    arguments: TrainingArguments,
    collator: Collator,
    training: int | None,
    evaluation: int | None,
) -> tuple[int | None, int | None]:
    """The limits of a micro-batch and of a batch of evaluation; None for no limit.

    Rows of which only kept vectors are read have tokens on record, but pay for none of them.

    Args:
        arguments: Those of the Trainer.
        collator: Makes its batches.
        training: ``batches.max_tokens``.
        evaluation: ``evaluation.max_tokens``; None for what suits the device.
    """
    if not collator.reads_tokens:
        return None, None
    if evaluation is None:
        evaluation = eval_tokens(arguments.device.type == "cpu")
    return training, evaluation
