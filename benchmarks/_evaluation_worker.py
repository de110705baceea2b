"""One contender of ``evaluation_speed``, in a process of its own that scores all rows a turn.

    python -m benchmarks._evaluation_worker pipeline|hfpipe FOLDER ROWS

The folder holds a classifier that ``make`` saved. A line on standard input says how to score:
``{"batch_size": 8}`` for the pipeline, ``{"max_tokens": null, "bf16": false}`` for hfpipe.
The answer is the seconds, from texts to scores, and the class of each row.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging

from benchmarks._topics_worker import base_folder
from hfpipe.demonstrating import demo_rows

FITTED = 600
"""Rows that the head is fitted on."""


def texts_and_labels() -> tuple[list[str], list[str]]:
    """The packaged glosses."""
    with gzip.open(demo_rows(), "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [row["definition"] for row in rows], [row["subject"] for row in rows]


def make(folder: Path) -> None:
    """Save MiniLM with a topics head that is fitted by logistic regression, not drawn at random.

    The scores of a head that was never fitted are all but even, so that any rounding would change
    the class.
    """
    from sklearn.linear_model import LogisticRegression

    texts, labels = texts_and_labels()
    names = sorted(set(labels))
    tokenizer = AutoTokenizer.from_pretrained(base_folder())
    model = AutoModelForSequenceClassification.from_pretrained(
        base_folder(), num_labels=len(names), dtype=torch.float32
    ).eval()
    step = max(1, len(texts) // FITTED)
    picked, known = texts[::step], [names.index(label) for label in labels[::step]]
    batches = [picked[start : start + 32] for start in range(0, len(picked), 32)]
    with torch.inference_mode():
        pooled = torch.cat(
            [
                model.bert(**tokenizer(batch, padding=True, return_tensors="pt")).pooler_output
                for batch in batches
            ]
        )
    fitted = LogisticRegression(C=10.0, max_iter=300).fit(pooled.numpy(), known)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.fill_(-100.0)
        model.classifier.weight[fitted.classes_] = torch.from_numpy(fitted.coef_).float()
        model.classifier.bias[fitted.classes_] = torch.from_numpy(fitted.intercept_).float()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def by_pipeline(folder: Path, texts: list[str]) -> Callable[..., list[int]]:
    """``pipeline("text-classification")``."""
    from transformers import pipeline

    pipe = pipeline("text-classification", model=str(folder), dtype=torch.float32)
    assert pipe.model.config.label2id is not None
    ids = pipe.model.config.label2id

    def score(batch_size: int) -> list[int]:
        return [int(ids[each["label"]]) for each in pipe(texts, batch_size=batch_size)]

    return score


def by_hfpipe(folder: Path, texts: list[str]) -> Callable[..., list[int]]:
    """What ``hfpipe evaluate`` does to score: ``encode_rows`` and ``predict_outputs``."""
    from datasets import Dataset

    from hfpipe.blocks import Evaluation
    from hfpipe.inputs.collator import Collator
    from hfpipe.inputs.encoding import encode_rows
    from hfpipe.inputs.kinds.text import TextInput
    from hfpipe.inputs.processor import Processor
    from hfpipe.metrics.tasks import task_of
    from hfpipe.training.predict import predict_outputs

    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    tools = {"text": AutoTokenizer.from_pretrained(folder)}
    names = [model.config.id2label[at] for at in range(model.config.num_labels)]
    processor = Processor({"text": TextInput(["text"])}, None, names)
    collator, task = Collator(processor, tools, flat=True), task_of("classification", names)
    rows = Dataset.from_dict({"text": texts})

    def score(max_tokens: int | None, bf16: bool) -> list[int]:
        encoded = encode_rows(processor, rows, tools, quiet=True)
        size = Evaluation().batch_size
        said: Any = predict_outputs(
            model, collator, encoded, task, size, quiet=True, bf16=bf16, max_tokens=max_tokens
        )
        return said.logits.argmax(axis=1).tolist()

    return score


WAYS = {"pipeline": by_pipeline, "hfpipe": by_hfpipe}


def main(name: str, folder: Path, count: int) -> None:
    """Score as each line says."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    texts = texts_and_labels()[0]
    texts = texts[:: max(1, len(texts) // count)][:count]
    score = WAYS[name](folder, texts)
    for line in sys.stdin:
        started = time.perf_counter()
        classes = score(**json.loads(line))
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "classes": classes}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
