"""Tiny models with rows of their own for the Trainer itself: no Hub, no base model, no dropout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    TrainingArguments,
    set_seed,
)

from hfpipe.inputs.collator import Collator
from hfpipe.inputs.encoding import encode_rows
from hfpipe.inputs.kinds.numeric import NumericInput
from hfpipe.inputs.kinds.text import TextInput
from hfpipe.inputs.processor import Processor
from hfpipe.metrics.tasks import Task, task_of
from hfpipe.models.concat_mlp import ConcatMLPConfig, ConcatMLPModel
from hfpipe.models.late_fusion import LateFusionConfig, LateFusionModel
from hfpipe.models.losses import trainer_loss
from hfpipe.models.parts.towers import tower_config
from hfpipe.training.fit import ROWS, build_trainer
from hfpipe.training.trainer import HfpipeTrainer

VOCABULARY = {"[PAD]": 0, "[UNK]": 1, **{f"w{at}": at for at in range(2, 30)}}
CLASSES = ["a", "b", "c"]
NAN = float("nan")


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word."""
    made = Tokenizer(WordLevel(VOCABULARY, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]")


def raw_rows(count: int, seed: int = 0) -> Dataset:
    """Texts of 1 to 20 words and two numbers."""
    random = np.random.default_rng(seed)
    texts = [
        " ".join(f"w{at}" for at in random.integers(2, 30, random.integers(1, 21)))
        for _ in range(count)
    ]
    return Dataset.from_dict(
        {
            "row_id": [f"r{at}" for at in range(count)],
            "text": texts,
            "x": random.normal(size=count).tolist(),
            "y": random.normal(size=count).tolist(),
        }
    )


def labels_for(task: str, rows: Dataset) -> np.ndarray:
    """Labels that the texts or the numbers tell; a number, or an entry, in five is not known."""
    words = [text.split() for text in rows["text"]]
    if task == "classification":
        return np.array([int(each[0][1:]) % 3 for each in words])
    if task == "multi_label":
        marks = np.array([[f"w{2 + at}" in each for at in range(3)] for each in words], np.float32)
        marks[::5, 1] = NAN
        return marks
    found = np.array(rows["x"], np.float32)
    if task == "binary":
        return (found > 0.5).astype(np.float32)
    found[1::5] = NAN
    return found


def bert(labels: int = 3, kind: type = BertForSequenceClassification, **more: Any) -> Any:
    """A stock BERT of two layers of 16."""
    given = {
        "vocab_size": len(VOCABULARY),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 32,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "num_labels": labels,
        **more,
    }
    return kind(BertConfig(**given))


def mlp(problem: str, **more: Any) -> ConcatMLPModel:
    """A wrapper of ours over two numbers."""
    inputs = {"numbers": {"kind": "numeric", "n": 2}}
    options = {"problem_type": problem, "sizes": [8], "dropout": 0.0, **more}
    return ConcatMLPModel(ConcatMLPConfig(inputs=inputs, **options))


def fusion(**more: Any) -> LateFusionModel:
    """A tower of the text and one of the numbers, weighted."""
    towers = {
        "words": {"inputs": ["text"], "config": tower_config(bert().config)},
        "about": {
            "inputs": ["numbers"],
            "config": {"model_type": "hfpipe-concat-mlp", "sizes": [8], "dropout": 0.0},
        },
    }
    inputs = {"text": {"kind": "text"}, "numbers": {"kind": "numeric", "n": 2}}
    options = {"projection_size": 8, "sizes": [8], "fusion": "weighted", "dropout": 0.0, **more}
    config = LateFusionConfig(inputs=inputs, towers=towers, problem_type="binary", **options)
    return LateFusionModel(config)


@dataclass(frozen=True)
class Toy:
    """A model with its task.

    Attributes:
        task: Its name.
        make: The model, with new weights.
        flat: Whether it is a stock one, of the text; else ours, of the numbers.
        loss: What a stock one minimises, as its config would say it.
        both: Whether it reads text and numbers.
    """

    task: str
    make: Callable[[], Any]
    flat: bool = True
    loss: dict[str, Any] = field(default_factory=dict)
    both: bool = False

    @property
    def kind(self) -> Task:
        """What is measured."""
        names = {"classification": CLASSES, "multi_label": CLASSES, "binary": ["no", "yes"]}
        return task_of(self.task, names.get(self.task, []))

    @property
    def collator(self) -> Collator:
        """Of its one input."""
        numbers = NumericInput(["x", "y"], [], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0])
        every: dict[str, Any] = {"text": TextInput(["text"]), "numbers": numbers}
        unread = () if self.both else ("numbers",) if self.flat else ("text",)
        inputs = {name: each for name, each in every.items() if name not in unread}
        processor = Processor(inputs, "label", CLASSES, self.task)
        return Collator(processor, {"text": tokenizer()}, flat=self.flat)

    def rows(self, count: int, seed: int = 0) -> Dataset:
        """Encoded, with labels."""
        raw, collator = raw_rows(count, seed), self.collator
        labels = labels_for(self.task, raw)
        return encode_rows(collator.processor, raw, collator.tools, labels=labels, quiet=True)

    def model(self, seed: int = 0) -> Any:
        """The same weights for the same seed."""
        set_seed(seed)
        return self.make()

    def loss_func(self) -> Any:
        """As ``Trainer(compute_loss_func=…)``."""
        return trainer_loss(SimpleNamespace(**self.loss)) if self.loss else None


TOYS = {
    "stock BERT, class weights": Toy(
        "classification",
        bert,
        loss={"problem_type": "single_label_classification", "class_weights": [0.5, 1.0, 3.0]},
    ),
    "wrapper, pos_weight": Toy("binary", lambda: mlp("binary", pos_weight=3.0), flat=False),
    "regression, labels missing": Toy("regression", lambda: mlp("regression"), flat=False),
    "multi-label, entries missing": Toy(
        "multi_label",
        bert,
        loss={"problem_type": "multi_label_classification", "pos_weight": [2.0, 1.0, 0.5]},
    ),
}


def trainer_of(
    toy: Toy,
    folder: Path,
    train: Dataset | None = None,
    held_out: Dataset | None = None,
    *,
    model: Any = None,
    rows: int | None = None,
    max_tokens: int | None = None,
    eval_max_tokens: int | None = None,
    watch: Any = None,
    **arguments: Any,
) -> HfpipeTrainer:
    """The real Trainer; SGD, so that a wrong scale of the gradient shows in the weights."""
    given: dict[str, Any] = {
        "output_dir": str(folder),
        "optim": "sgd",
        "learning_rate": 0.5,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "logging_steps": 1,
        "save_strategy": "no",
        "bf16": False,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        **ROWS,
        **arguments,
    }
    return build_trainer(
        toy.model() if model is None else model,
        TrainingArguments(**given),
        toy.collator,
        toy.kind,
        train,
        held_out,
        loss=toy.loss_func(),
        rows=rows,
        max_tokens=max_tokens,
        eval_max_tokens=eval_max_tokens,
        watch=watch,
    )


def weights(model: Any) -> dict[str, torch.Tensor]:
    """A copy of them."""
    return {name: each.detach().clone() for name, each in model.named_parameters()}


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference between two sets of weights."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def losses(trainer: HfpipeTrainer) -> list[float]:
    """The training losses that were logged."""
    return [each["loss"] for each in trainer.state.log_history if "loss" in each]


def each_row(model: Any, collator: Collator, rows: Dataset) -> Sequence[Any]:
    """What a model says of every row, alone: the plainest evaluation."""
    model.eval()
    with torch.no_grad():
        batches = [collator([row]) for row in rows]
        return [model(**{k: v for k, v in batch.items() if k != "labels"}) for batch in batches]
