"""A million rows for the benchmark of ``prepare``: given rows, repeated with random edits."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np


def write_rows(source: Path, rows: int, target: Path, seed: int = 0) -> None:
    """Write JSONL rows ``id, text, label``.

    The first rows are those of ``source``; the others are copies of random ones in which each
    word is replaced by a random word of the source, or left out, with a chance of 15 % each; so
    that most copies are no near-duplicates, and many are.

    Args:
        source: JSONL (``.gz``) with ``definition`` and ``subject``.
        rows: How many.
        target: The file to write.
        seed: Of the edits.
    """
    draw = np.random.default_rng(seed)
    with gzip.open(source, "rt", encoding="utf-8") as file:
        known = [json.loads(line) for line in file]
    texts = [row["definition"].split() for row in known]
    words = [word for text in texts for word in text]
    with target.open("w", encoding="utf-8") as file:
        for number in range(rows):
            pick = number if number < len(known) else int(draw.integers(len(known)))
            text = texts[pick]
            if number >= len(known):
                text = _edited(text, words, draw)
            row = {"id": number, "text": " ".join(text), "label": known[pick]["subject"]}
            file.write(json.dumps(row) + "\n")


def _edited(text: list[str], words: list[str], draw: np.random.Generator) -> list[str]:
    chances = draw.random(len(text))
    others = draw.integers(len(words), size=len(text))
    edited = [
        words[other] if chance < 0.15 else word
        for word, chance, other in zip(text, chances, others, strict=True)
        if not 0.15 <= chance < 0.3
    ]
    return edited or text


if __name__ == "__main__":
    write_rows(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
