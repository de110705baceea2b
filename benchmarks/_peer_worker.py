"""One contender of ``topics_peers``: a script that runs in the contender's own environment.

    python _peer_worker.py NAME TASK.json

The task has ``train`` and ``test`` (a text and a label each), ``model`` (a folder), ``epochs``,
``seed``, ``scratch`` and ``half`` (whether this machine computes in bf16). Every library keeps its
own defaults but for those; what it says goes to standard error, and the last line of standard
output is the result.

A contender imports its library, then gives a function that trains: what that takes, from texts in
memory to a trained model, is its training time. That one gives a function that predicts.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()
HELD_OUT = 10  # one row in so many, by those that choose their best epoch on them

Predict = Callable[[list[str]], Sequence[Any]]
Train = Callable[[], tuple[Predict, int]]
"""Gives how to predict, and on how many rows it trained, over all epochs."""


def split(rows: list[dict[str, str]]) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Train and held-out rows."""
    held = [row for at, row in enumerate(rows) if at % HELD_OUT == 0]
    return [row for at, row in enumerate(rows) if at % HELD_OUT], held


def texts_of(rows: list[dict[str, str]]) -> list[str]:
    return [row["text"] for row in rows]


def classes(rows: list[dict[str, str]]) -> tuple[list[str], list[int]]:
    """The labels there are, and which of them each row has."""
    labels = sorted({row["label"] for row in rows})
    return labels, [labels.index(row["label"]) for row in rows]


def import_torchvision() -> None:
    """Import it although its build on PyPI finds no CUDA: two image operators must be declared."""
    import torch

    if not torch.cuda.is_available():
        declared = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision  # noqa: F401


def import_torchaudio() -> None:
    """Import it without its library, whose build on PyPI is for CUDA: nothing here is heard."""
    paths: Any = Path
    glob = paths.glob
    paths.glob = lambda self, pattern: () if "_torchaudio" in pattern else glob(self, pattern)
    try:
        import torchaudio  # noqa: F401
    finally:
        paths.glob = glob


def ours(task: dict[str, Any]) -> Train:
    """What ``hfpipe finetune --recipe topics_minilm`` does between download and push."""
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

    from hfpipe.inputs.collator import Collator
    from hfpipe.inputs.encoding import encode_rows
    from hfpipe.inputs.kinds.text import TextInput
    from hfpipe.inputs.processor import Processor
    from hfpipe.metrics.tasks import task_of
    from hfpipe.recipe import load_recipe
    from hfpipe.training.engines import Learning, engine_of
    from hfpipe.training.predict import predict_outputs
    from hfpipe.training.reporting import Reporting

    recipe = load_recipe("topics_minilm")
    recipe.training |= {"seed": task["seed"]}
    if task["epochs"] is not None:
        recipe.training["num_train_epochs"] = task["epochs"]

    def train() -> tuple[Predict, int]:
        rows = [Dataset.from_list(part) for part in split(task["train"])]
        labels, _ = classes(task["train"])
        tools = {"text": AutoTokenizer.from_pretrained(task["model"])}
        processor = Processor({"text": TextInput(["text"])}, "label", labels)
        target = processor.target
        splits = [
            encode_rows(processor, part, tools, labels=target.encode(part, "rows"), quiet=True)
            for part in rows
        ]
        set_seed(task["seed"])
        model = AutoModelForSequenceClassification.from_pretrained(
            task["model"], num_labels=len(labels)
        )
        collator = Collator(processor, tools, flat=True)
        kind = task_of("classification", labels)
        folder, quiet = Path(task["scratch"]), Reporting(quiet=True)
        learning = Learning(recipe, model, processor, collator, kind, {}, folder, quiet)
        learned = engine_of(model).learn(learning, *splits)

        def predict(texts: list[str]) -> Sequence[str]:
            encoded = encode_rows(processor, Dataset.from_dict({"text": texts}), tools, quiet=True)
            size = recipe.evaluation.batch_size
            said = predict_outputs(learned.model, collator, encoded, kind, size, quiet=True)
            return [labels[at] for at in said.logits.argmax(axis=1)]

        return predict, len(splits[0]) * int(recipe.training["num_train_epochs"])

    return train


def plain(task: dict[str, Any]) -> Train:
    """The stock Trainer tuned by hand; it sees all of train, and keeps its last weights."""
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    from hfpipe.training.precision import bf16_is_fast, on_cpu

    epochs = task["epochs"] or 4
    arguments = TrainingArguments(
        output_dir=task["scratch"],
        num_train_epochs=epochs,
        per_device_train_batch_size=32,
        learning_rate=3e-4,
        lr_scheduler_type="cosine",
        warmup_steps=0.06,  # a share; without it this rate may lose the pretrained weights
        weight_decay=0.01,
        train_sampling_strategy="group_by_length",
        bf16=bf16_is_fast(),
        use_cpu=on_cpu(),
        seed=task["seed"],
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=not on_cpu(),
    )

    def train() -> tuple[Predict, int]:
        labels, marks = classes(task["train"])
        tokenizer = AutoTokenizer.from_pretrained(task["model"])

        def encoded(texts: list[str], **more: Any) -> Dataset:
            ids = tokenizer(texts, truncation=True, max_length=512)
            return Dataset.from_dict({**ids, **more})

        set_seed(task["seed"])
        model = AutoModelForSequenceClassification.from_pretrained(
            task["model"], num_labels=len(labels)
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=encoded(texts_of(task["train"]), labels=marks),
            processing_class=tokenizer,
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        trainer.train()

        def predict(texts: list[str]) -> Sequence[str]:
            said: Any = trainer.predict(encoded(texts)).predictions  # type: ignore[arg-type]
            return [labels[at] for at in said.argmax(axis=1)]

        return predict, len(marks) * epochs

    return train


def setfit(task: dict[str, Any]) -> Train:
    """One pair of each kind a row: by default it makes pairs of all rows, millions of them."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=task["scratch"],
        num_iterations=1,
        seed=task["seed"],
        report_to="none",
        save_strategy="no",
    )

    def train() -> tuple[Predict, int]:
        model = SetFitModel.from_pretrained(task["model"], device="cpu")
        rows = Dataset.from_list(task["train"])
        trainer = Trainer(model=model, args=arguments, train_dataset=rows)
        trainer.train()
        return lambda texts: [str(each) for each in model.predict(texts)], len(rows)

    return train


def simpletransformers(task: dict[str, Any]) -> Train:
    """``ClassificationModel``, its defaults: batches of 8 at 4e-5."""
    import pandas
    from simpletransformers.classification import ClassificationArgs, ClassificationModel

    epochs = task["epochs"] or 4
    arguments = ClassificationArgs(
        num_train_epochs=epochs,
        manual_seed=task["seed"],
        output_dir=task["scratch"],
        overwrite_output_dir=True,
        no_save=True,
        use_multiprocessing=False,
        use_multiprocessing_for_evaluation=False,
        dataloader_num_workers=0,
        silent=True,
    )

    def train() -> tuple[Predict, int]:
        labels, marks = classes(task["train"])
        table = pandas.DataFrame({"text": texts_of(task["train"]), "labels": marks})
        model = ClassificationModel(
            "bert", task["model"], num_labels=len(labels), args=arguments, use_cuda=False
        )
        model.train_model(table)
        return lambda texts: [labels[at] for at in model.predict(texts)[0]], len(table) * epochs

    return train


def ludwig(task: dict[str, Any]) -> Train:
    """A pretrained encoder that is trained, and a category."""
    import_torchvision()
    import_torchaudio()
    import pandas
    from ludwig.api import LudwigModel

    epochs = task["epochs"] or 4
    encoder = {"type": "auto_transformer", "trainable": True}
    encoder |= {"pretrained_model_name_or_path": task["model"]}
    config = {
        "input_features": [{"name": "text", "type": "text", "encoder": encoder}],
        "output_features": [{"name": "label", "type": "category"}],
        "trainer": {"epochs": epochs},
    }

    def train() -> tuple[Predict, int]:
        learn, held = (pandas.DataFrame(part) for part in split(task["train"]))
        model = LudwigModel(config, backend="local")
        model.train(
            training_set=learn,
            validation_set=held,
            output_directory=task["scratch"],
            random_seed=task["seed"],
            skip_save_processed_input=True,
        )

        def predict(texts: list[str]) -> Sequence[str]:
            said, _ = model.predict(pandas.DataFrame({"text": texts}))
            return [str(each) for each in said["label_predictions"]]

        return predict, len(learn) * epochs

    return train


def autogluon(task: dict[str, Any]) -> Train:
    """``MultiModalPredictor`` on text alone; it holds rows out of train by itself.

    Its default is half precision, which a processor without such instructions emulates, many
    times slower: there it learns in float32, as all others do.
    """
    import_torchvision()
    import pandas
    from autogluon.multimodal import MultiModalPredictor

    epochs = task["epochs"] or 4

    def train() -> tuple[Predict, int]:
        folder = str(Path(task["scratch"], "model"))
        predictor = MultiModalPredictor(label="label", path=folder, verbosity=1)
        predictor.fit(
            pandas.DataFrame(task["train"]),
            seed=task["seed"],
            hyperparameters={
                "model.names": ["hf_text"],
                "model.hf_text.checkpoint_name": task["model"],
                "optim.max_epochs": epochs,
                "env.num_gpus": 0,
                **({} if task["half"] else {"env.precision": 32}),
                "env.num_workers": 0,
                "env.num_workers_inference": 0,
            },
        )

        def predict(texts: list[str]) -> Sequence[str]:
            return [str(each) for each in predictor.predict(pandas.DataFrame({"text": texts}))]

        return predict, len(task["train"]) * epochs

    return train


CONTENDERS = (ours, plain, setfit, simpletransformers, ludwig, autogluon)


def main(name: str, task: dict[str, Any]) -> dict[str, Any]:
    """Import, train, test; the figures."""
    train = {each.__name__: each for each in CONTENDERS}[name](task)
    imported = time.perf_counter()
    predict, seen = train()
    trained = time.perf_counter()
    found = predict(texts_of(task["test"]))
    right = sum(a == row["label"] for a, row in zip(found, task["test"], strict=True))
    return {
        "accuracy": right / len(found),
        "train seconds": trained - imported,
        "import seconds": imported - STARTED,
        "examples/s": seen / (trained - imported),
    }


if __name__ == "__main__":
    os.environ |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    sys.path.pop(0)  # this folder, where a library of a contender's name would be looked for
    with redirect_stdout(sys.stderr):
        result = main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))
    print(json.dumps(result))
