"""Rows with a column for every way in which one of them can be bad, and recipes that read it."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from hfpipe.blocks import Data, Evaluation, Input, Loss, Model, Recipe, Tower
from tests.training.support import SMALL_SEQUENCE, TINY_SIGLIP, picture, rows

MLP = {"kind": "concat_mlp", "config": {"sizes": [8]}}
SEQUENTIAL = {"kind": "sequence", "config": SMALL_SEQUENCE}
PROFILE = {"kind": "profile", "config": SMALL_SEQUENCE}
PICTURES = {"kind": "image_classification", "scratch": TINY_SIGLIP}
GATED = {"kind": "gated_fusion", "config": {"tower_size": 8, "gate_size": 4, "sizes": [8]}}
FUSION = {"kind": "late_fusion", "config": {"projection_size": 8, "sizes": [8]}}
RIDGE = {"kind": "ridge"}
BERT = {"kind": "sequence_classification", "base": "tiny/bert"}
VIEWS = {"label": "views", "task": "regression", "log1p": True}
SHORT = {"num_train_epochs": 1}


def chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of some 80 bytes that says it is large."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


CUT = picture("yes", np.random.default_rng(0))["bytes"][:200]


def image(content: bytes | None) -> dict[str, Any] | None:
    return None if content is None else {"bytes": content, "path": None}


def broken(split: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Good rows with a column for every way in which one of them can be bad."""
    found = rows(count, seed)
    for at, row in enumerate(found):
        train, validation = split == "train", split == "validation"
        row |= {
            "endless": np.inf if train and at == 5 else row["size"],
            "gappy": np.nan if at % 2 else row["size"],
            "spelt": "six" if train and at == 4 else f"{row['size']:.3f}",
            "vanished": None,
            "blank": None if train and at == 3 else row["text"],
            "holes": None if train and at == 3 else row["video"],
            "late_blank": " " if validation and at == 2 else row["text"],
            "late_holes": None if validation and at == 2 else row["video"],
            "longer": [*row["video"], 1.0] if validation and at == 2 else row["video"],
            "undefined": [np.nan, *row["video"][1:]] if train and at == 6 else row["video"],
            "wide": [*row["video"], 1.0],
            "stepless": [] if validation and at == 1 else row["messages"],
            "unlike": [[1.0] * 3] if validation and at == 7 else row["messages"],
            "cut": image(CUT) if train and at == 2 else row["picture"],
            "bomb": image(bomb()) if validation and at == 3 else row["picture"],
            "spoiled": image(bomb(20, 20)) if train and at == 9 else row["picture"],
            "prose": image(b"hello") if train and at == 1 else row["picture"],
            "no_picture": image(None) if train and at == 7 else row["picture"],
            "new_class": "maybe" if validation and at == 4 else row["answer"],
            "new_tag": ["green"] if validation and at == 4 else ["red"],
            "worded": "high" if train and at == 1 else f"{row['views']:.1f}",
            "low": -2.0 if validation and at == 3 else row["views"],
            "boundless": np.inf if train and at == 3 else row["views"],
            "followers": float(at),
            "handle": f"user {at}",
            "nobody": None if validation and at == 5 else row["author"],
        }
    return found


def recipe_of(
    model: dict[str, Any],
    inputs: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    evaluation: dict[str, Any] | None = None,
    **data: Any,
) -> Recipe:
    """The recipe that a YAML file would say, without its parsing."""
    towers = {name: Tower(**each) for name, each in model.get("towers", {}).items()}
    nested = {"towers": towers, "loss": Loss(**model.get("loss", {}))}
    return Recipe(
        "never",
        data=Data(inputs={name: Input(**each) for name, each in (inputs or {}).items()}, **data),
        model=Model(**{**model, **nested}),
        training=training or {},
        evaluation=Evaluation(baselines=False, **(evaluation or {})),
    )


def one(kind: str, column: str, **more: Any) -> dict[str, Any]:
    return {"it": {"kind": kind, "columns": [column], **more}}


def changed(model: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**model, **more}
