"""Kept rows for the tests of the audit: plain lists in, an ``AuditInput`` out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.feature_extraction.text import TfidfVectorizer

from data_prep.audit import AuditInput

NAMES = {"train": 0, "validation": 1, "test": 2}


def audit_input(
    texts: Sequence[str],
    labels: Sequence[str],
    splits: Sequence[str],
    columns: dict[str, Any] | None = None,
    **more: Any,
) -> AuditInput:
    """The rows as the audit takes them."""
    names, codes = np.unique(np.array(labels, dtype=object).astype(str), return_inverse=True)
    ids = [f"row-{place}" for place in range(len(texts))]
    table = pa.table({"row_id": ids, "label": list(labels), **(columns or {})})
    if "rows" not in more:
        more["rows"] = TfidfVectorizer().fit_transform(texts).tocsr()
    return AuditInput(
        splits=np.array([NAMES[split] for split in splits], dtype=np.int8),
        row_ids=pa.array(ids),
        keys=keys_of(texts),
        lengths=np.array([len(text) for text in texts], dtype=np.int32),
        texts=lambda places: [texts[place] for place in places.tolist()],
        columns=lambda places: table.take(pa.array(places)),
        labels=codes.astype(np.int32),
        label_names=names.tolist(),
        label_column="label",
        text_columns=["text"],
        **more,
    )


def keys_of(texts: Sequence[str]) -> np.ndarray:
    """A key of 128 bits for each text."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)
    return np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2)


def topic_texts(rows: int, seed: int, topics: Sequence[str] = "abcd") -> tuple[list, list]:
    """Texts of ten words, most of which only their topic uses, and their topics."""
    generator = np.random.default_rng(seed)
    labels = [topics[code] for code in generator.integers(0, len(topics), rows)]
    texts = []
    for label in labels:
        own = [f"{label}word{n}" for n in generator.integers(0, 40, 6)]
        shared = [f"common{n}" for n in generator.integers(0, 300, 4)]
        texts.append(" ".join(own + shared))
    return texts, labels


def split_names(rows: int, seed: int) -> list[str]:
    """Eight of ten rows in train, by lot."""
    order = np.random.default_rng(seed).permutation(rows)
    names = np.array(["train"] * rows, dtype=object)
    names[order[: rows // 10]] = "validation"
    names[order[rows // 10 : rows // 5]] = "test"
    return names.tolist()


def finding_of(audit: dict[str, Any], check: str) -> dict[str, Any]:
    """The finding of one check."""
    return next(found for found in audit["findings"] if found["check"] == check)
