"""A task that a tiny model learns in seconds, and pushing rows without hfpipe's own prepare."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from hfpipe.hub.endpoint import Endpoint

WORDS = {
    "animal": ["dog", "cat", "horse"],
    "plant": ["rose", "tree", "grass"],
    "tool": ["hammer", "knife", "wheel"],
}
PREPARED = {"text": ["text"], "label": "topic"}


def toy_rows(count: int, seed: int) -> list[dict]:
    """Texts of 1 to 16 words, the last of which tells the label."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        label = list(WORDS)[number % len(WORDS)]
        text = " ".join(["the"] * int(random.integers(0, 16)) + [str(random.choice(WORDS[label]))])
        rows.append({"row_id": f"{seed}-{number}", "text": text, "topic": label})
    return rows


def push_rows(
    hub: Endpoint, repo_id: str, prepared: dict | None = PREPARED, **splits: list[dict]
) -> str:
    """Push splits of rows as a dataset repo."""
    from hfpipe.hub.publish import publish

    files: dict[str, Path | bytes] = {}
    for split, rows in splits.items():
        buffer = io.BytesIO()
        pd.DataFrame(rows).to_parquet(buffer, index=False)
        files[f"data/{split}-00000-of-00001.parquet"] = buffer.getvalue()
    if prepared is not None:
        files["hfpipe/prepare.json"] = json.dumps(prepared).encode()
    return publish(hub, repo_id, "dataset", files, "rows").repo_id


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_jsonl(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
