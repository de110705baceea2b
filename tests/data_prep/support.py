"""Rows, files and the story called quietly, for the tests of data preparation."""

from __future__ import annotations

import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console

from data_prep.corpus import Corpus
from data_prep.options import PrepareOptions
from data_prep.planning import row_plan
from data_prep.preparing import Prepared, prepare
from data_prep.reading import LocalEngine, read_corpus
from data_prep.spool import DiskBatches
from hfpipe.hub.endpoint import Endpoint
from hfpipe.rows.paths import find_inputs


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
    *inputs: Path, endpoint: Endpoint | None = None, text: str | list[str] = "text", **options: Any
) -> Prepared:
    """Call the story, quietly; a dry run where neither ``out`` nor ``target`` is given."""
    options.setdefault("label", "label")
    options.setdefault("audit", False)  # which has tests of its own, and takes a second
    options.setdefault("dry_run", "out" not in options and "target" not in options)
    names = [text] if isinstance(text, str) else text
    settled = PrepareOptions(text=names, quiet=True, **options)
    return prepare(inputs, settled, endpoint, Console(file=io.StringIO()))


@dataclass
class ReadBack:
    """A corpus with all that it has on disk, as lists."""

    corpus: Corpus
    table: pa.Table
    row_ids: list[str]
    texts: list[str]
    labels: list[str | None]


def read_back(*paths: Path, text: str | list[str] = "text", **options: Any) -> ReadBack:
    """Read inputs into a corpus, unchanged, and look at all of it."""
    settled = PrepareOptions(
        text=[text] if isinstance(text, str) else text, label="label", steps=[], **options
    )
    batches = DiskBatches(Path(tempfile.mkdtemp()))
    plan = row_plan(settled)
    corpus, _ = read_corpus(find_inputs(list(paths)), settled, plan, LocalEngine(batches))
    everything = np.arange(len(corpus.row_ids))
    names = [*corpus.label_names, None]
    return ReadBack(
        corpus=corpus,
        table=corpus.take(everything),
        row_ids=corpus.row_ids.to_pylist(),
        texts=corpus.texts(everything),
        labels=[names[code] for code in corpus.labels],
    )
