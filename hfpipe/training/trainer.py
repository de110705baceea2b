"""The stock Trainer, with batches of training that may differ from those of evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.utils.data import DataLoader
from transformers import Trainer


class HfpipeTrainer(Trainer):
    """Trainer whose train batches have a collator of their own.

    Args:
        *args: As for ``Trainer``.
        train_collator: Of the train batches, where inputs may be changed at random.
        **kwargs: As for ``Trainer``; ``data_collator`` is that of evaluation.
    """

    def __init__(self, *args: Any, train_collator: Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.train_collator = train_collator
        self.data_collator: Any

    def get_train_dataloader(self) -> DataLoader:
        """See the base."""
        plain, self.data_collator = self.data_collator, self.train_collator
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = plain
