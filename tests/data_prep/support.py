"""Rows, files and the story called quietly, for the tests of data preparation."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from data_prep.options import PrepareOptions
from data_prep.preparing import Prepared, prepare
from hfpipe.hub.endpoint import Endpoint


def sample_rows(per_class: int = 20, labels: str = "abc") -> list[dict[str, Any]]:
    """Rows whose texts share no two words, so that none is a duplicate of another."""
    return [
        {"text": f"{label}{i}first {label}{i}second {label}{i}third", "label": label, "number": i}
        for label in labels
        for i in range(per_class)
    ]


def write_rows(path: Path, rows: list[Any]) -> Path:
    """Write rows as JSON lines; text is written as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run_prepare(
    *inputs: Path, endpoint: Endpoint | None = None, text: str = "text", **options: Any
) -> Prepared:
    """Call the story, quietly; a dry run where neither ``out`` nor ``target`` is given."""
    options.setdefault("label", "label")
    options.setdefault("dry_run", "out" not in options and "target" not in options)
    settled = PrepareOptions(text=[text], quiet=True, **options)
    return prepare(inputs, settled, endpoint, Console(file=io.StringIO()))
