"""Small rows, a tokenizer of a few words and an image processor, made here in no time."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
from datasets import Dataset

from hfpipe.inputs.collator import Collator
from hfpipe.inputs.encoding import encode_rows
from hfpipe.inputs.fitting import fit_inputs
from hfpipe.inputs.processor import Processor
from hfpipe.recipe import Data, Input

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "red", "green", "blue", "dog", "cat"]


@cache
def tokenizer(padding_side: str = "right"):
    """Words to their places in ``WORDS``, between [CLS] and [SEP]."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    words = {word: place for place, word in enumerate(WORDS)}
    made = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", padding_side=padding_side
    )


@cache
def image_processor(size: int = 8):
    """SigLIP's: pixels from -1 to 1."""
    from transformers import SiglipImageProcessorPil

    return SiglipImageProcessorPil(size={"height": size, "width": size})


def picture(colour=(255, 0, 0), size=(12, 10), kind="PNG", **options: Any) -> bytes:
    """An image file of one colour, its left half black."""
    from PIL import Image

    image = Image.new("RGB", size, colour)
    image.paste((0, 0, 0), (0, 0, size[0] // 2, size[1]))
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rows(**columns: list) -> Dataset:
    """Rows called a, b, c and so on."""
    count = len(next(iter(columns.values())))
    names = [chr(ord("a") + at) if at < 26 else f"r{at}" for at in range(count)]
    return Dataset.from_dict({"row_id": names, **columns})


def fit(train: Dataset, **inputs: Input) -> Processor:
    """A processor for inputs, without a label."""
    return Processor(fit_inputs(train, Data(inputs=inputs), {}, "the data"), None)


def tools(processor: Processor) -> dict[str, Any]:
    made = {"tokenizer": tokenizer, "image processor": image_processor}
    return {name: made[each.tool]() for name, each in processor.inputs.items() if each.tool}


def encoded(processor: Processor, dataset: Dataset, **options: Any) -> Dataset:
    return encode_rows(processor, dataset, tools(processor), "the rows", quiet=True, **options)


def batch(processor: Processor, dataset: Dataset, seed: int | None = None, **options: Any) -> dict:
    """All rows as one batch."""
    made = encoded(processor, dataset, **options)
    return Collator(processor, tools(processor), seed)(made.__getitems__(list(range(len(made)))))


def one(processor: Processor, dataset: Dataset, seed: int | None = None) -> dict[str, np.ndarray]:
    """The tensors of the one input, as arrays."""
    (tensors,) = batch(processor, dataset, seed)["inputs"].values()
    return {name: tensor.numpy() for name, tensor in tensors.items()}
