"""Kept rows for the tests of the audit: plain lists in, an ``AuditInput`` out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.feature_extraction.text import TfidfVectorizer

from data_prep.audit import AuditInput, audit_page
from tests.reports.conftest import ATTACKS

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
    ids = more.pop("ids", None) or [f"row-{place}" for place in range(len(texts))]
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


def rows_of(rows: int, columns: dict[str, Any] | None = None, **more: Any) -> AuditInput:
    """Rows in which nothing is wrong."""
    texts, labels = topic_texts(rows, 0)
    return audit_input(texts, labels, split_names(rows, 1), columns, **more)


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


ROWS = 600
RECORD = {
    "text": ["definition"],
    "label": "subject",
    "inputs": [{"file": "topics.jsonl.gz", "rows": ROWS, "sha256": "ab" * 32}],
    "provenance": {"hfpipe": "0.1", "command": "hfpipe prepare topics.jsonl.gz"},
}


def troubled(names: Sequence[str], rows: int = ROWS) -> AuditInput:
    """Rows that have every problem there is, in texts and with names of one's choice."""
    texts, labels = topic_texts(rows, 0)
    splits = split_names(rows, 1)
    generator = np.random.default_rng(0)
    for place in range(0, rows, 15):
        labels[place] = "abcd"[generator.integers(4)]
    texts = [f"{text} {names[place % len(names)]}" for place, text in enumerate(texts)]
    for place in generator.choice(rows, 40, replace=False).tolist():
        other = (place + 7) % rows
        texts[other] = texts[place] if place % 2 else " ".join(reversed(texts[place].split()))
    texts[5] = "very long " * 300
    labels = [names["abcd".index(label)] for label in labels]
    columns = {
        names[0]: [len(label) for label in labels],
        names[1]: generator.normal(size=rows),
        names[2]: labels,
        names[3]: [[{names[0]: 1}]] * rows,
    }
    return audit_input(
        texts,
        labels,
        splits,
        columns,
        groups=generator.integers(0, 50, rows),
        group_column=names[0],
        times=generator.integers(0, 10**16, rows),
        time_column=names[1],
        leakage_columns=names[:2],
    )


def attacked_page(attacked: dict[str, Any]) -> str:
    """The page of an audit, with a record in which every text is an attack."""
    record = {
        "text": ATTACKS,
        "label": ATTACKS[0],
        "inputs": [{"file": attack, "rows": 1, "sha256": attack} for attack in ATTACKS],
        "provenance": {"hfpipe": ATTACKS[1], "command": ATTACKS[2]},
    }
    return audit_page(attacked, record)
