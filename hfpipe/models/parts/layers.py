"""Where in a transformers model a parameter lies, by its name."""

from __future__ import annotations

import re

from hfpipe.models.parts.lora import MARK

LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")


def part_of(name: str, encoder: str = "") -> str:
    """The part of a model that a parameter belongs to.

    Args:
        name: Of the parameter.
        encoder: How the names of what is not the head begin; by default all do.

    >>> part_of("bert.encoder.layer.3.output.dense.weight", "bert.")
    'layers.3'
    >>> part_of("bert.embeddings.norm.bias", "bert."), part_of("classifier.bias", "bert.")
    ('embeddings', 'head')
    >>> part_of("backbone.pooler.dense.weight")
    'base.pooler'
    """
    if MARK in name:
        return "lora"
    layer = LAYER.search(name)
    if layer:
        return f"layers.{layer[1]}"
    if "embeddings" in name.split("."):
        return "embeddings"
    # SigLIP's classifier calls its encoder vision_model, and names no prefix for it.
    if not name.startswith((encoder, "vision_model.")):
        return "head"
    return "base.pooler" if "pooler" in name.split(".") else "base"
