"""Tiny stock classifiers with a frozen encoder, their rows, and who counts what runs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    SiglipImageProcessor,
    Trainer,
    TrainingArguments,
    set_seed,
)

from hfpipe.inputs.collator import Collator
from hfpipe.inputs.encoding import encode_rows
from hfpipe.inputs.kinds.image import ImageInput
from hfpipe.inputs.kinds.text import TextInput
from hfpipe.inputs.processor import Processor

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 30522,
    "pad_token_id": 0,
}
STEADY = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
DISTIL = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16, "vocab_size": 30522}
PIXELS = {**{key: SMALL[key] for key in list(SMALL)[:4]}, "image_size": 16, "patch_size": 8}
TEXTS = {
    "bert": (SMALL, "pooler"),
    "electra": ({**SMALL, "embedding_size": 16}, "first"),
    "roberta": ({**SMALL, "bos_token_id": 101, "eos_token_id": 102}, "first"),
    "distilbert": (DISTIL, "first"),
    "deberta-v2": ({**SMALL, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}, "first"),
    "modernbert": ({**SMALL, "classifier_pooling": "mean"}, "mean"),
}
PICTURES = {
    "siglip": ({"vision_config": PIXELS}, "mean"),
    "vit": (PIXELS, "first"),
    "convnextv2": ({"hidden_sizes": [8, 8, 8, 16], "depths": [1, 1, 1, 1]}, "pooler"),
}
WORDS = ["rain", "snow", "wind", "song", "dance", "drum", "a", "of", "the", "under"]


def texts(count: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, int(random.integers(2, 20)))) for _ in range(count)]


def images(count: int) -> list[dict[str, Any]]:
    from PIL import Image

    found = []
    for pixels in np.random.default_rng(0).integers(0, 255, (count, 32, 32, 3)):
        buffer = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
        found.append({"bytes": buffer.getvalue(), "path": None})
    return found


def text_collator(tokenizer: Any, **more: Any) -> Collator:
    return Collator(Processor({"t": TextInput(["t"], **more)}, "y"), {"t": tokenizer}, flat=True)


def image_collator(size: int) -> Collator:
    tool = SiglipImageProcessor(size={"height": size, "width": size})
    return Collator(Processor({"p": ImageInput(["p"])}, "y"), {"p": tool}, flat=True)


def encoded(collator: Collator, values: list[Any]) -> Dataset:
    """Rows of one input whose labels alternate, but for the first two."""
    (name,) = collator.processor.inputs
    rows = Dataset.from_list([{"row_id": str(at), name: each} for at, each in enumerate(values)])
    labels = [0, *(at % 2 for at in range(1, len(values)))]
    return encode_rows(collator.processor, rows, collator.tools, labels=labels, quiet=True)


def classifier(kind: str = "bert", seed: int = 0, **config: Any) -> Any:
    """With a frozen encoder, and a head that sees differences."""
    is_text = kind in TEXTS
    auto = AutoModelForSequenceClassification if is_text else AutoModelForImageClassification
    set_seed(seed)
    given = (TEXTS[kind] if is_text else PICTURES[kind])[0] if kind != "dinov2" else PIXELS
    model = auto.from_config(AutoConfig.for_model(kind, **{**given, **config}))
    for name, each in model.named_parameters():
        each.requires_grad_(name.startswith(("classifier", "pre_classifier", "pooler", "head")))
        if each.ndim > 1:
            torch.nn.init.normal_(each, std=0.2)
    return model


def encoder_of(model: Any) -> torch.nn.Module:
    return model.base_model if model.base_model is not model else model.vision_model


@contextmanager
def counted(model: Any) -> Iterator[list[int]]:
    """The rows of each batch that went through the encoder's embeddings."""
    seen: list[int] = []
    handle = encoder_of(model).embeddings.register_forward_hook(
        lambda _, __, output: seen.append(len(output[0] if isinstance(output, tuple) else output))
    )
    try:
        yield seen
    finally:
        handle.remove()


def logits(model: Any, collator: Collator, rows: Dataset, size: int = 5) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        starts = range(0, len(rows), size)
        batches = (collator([rows[at] for at in range(len(rows))[s : s + size]]) for s in starts)
        return torch.cat([model(**batch).logits for batch in batches])


def trained(model: Any, collator: Collator, splits: Any, folder: Path) -> tuple[Any, Any]:
    """Three epochs, two batches a step, judged after each."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=3,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        learning_rate=1e-2,
        eval_strategy="epoch",
        save_strategy="epoch",
        seed=5,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
    )
    train, validation = splits
    trainer = Trainer(
        model, arguments, train_dataset=train, eval_dataset=validation, data_collator=collator
    )
    trainer.train()
    return trainer.state.log_history, trainer.predict(validation).predictions
