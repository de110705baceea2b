"""The files: JSONL for the folder, Parquet or CSV for the repo, the split manifest."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.ledger import Ledger
from data_prep.splitting import SPLITS
from hfpipe.errors import RunError
from hfpipe.rows.paths import writable_parent
from hfpipe.rows.values import json_text, plain, text_of

MANIFEST = "split_manifest.parquet"


def split_tables(table: pa.Table, ledger: Ledger, splits: np.ndarray) -> dict[str, pa.Table]:
    """The kept rows of each split, in the order of their row ids, all with one schema."""
    kept = ledger.kept()
    order = np.argsort(np.array([ledger.row_ids[i] for i in kept], dtype=object), kind="stable")
    return {
        split: table.take(pa.array(kept[order][splits[order] == split])).combine_chunks()
        for split in SPLITS
    }


def manifest(ledger: Ledger, splits: np.ndarray) -> pa.Table:
    """Every row's id with its split, or with the reason for which it was dropped."""
    named = np.full(len(ledger.row_ids), None, dtype=object)
    named[ledger.kept()] = splits
    row_ids = [*ledger.row_ids, *ledger.malformed]
    table = pa.table(
        {
            "row_id": pa.array(row_ids, pa.string()),
            "split": pa.array([*named, *[None] * len(ledger.malformed)], pa.string()),
            "reason": pa.array(
                [*(reason or None for reason in ledger.reasons), *_malformed(ledger)], pa.string()
            ),
        }
    )
    return table.sort_by("row_id")


def _malformed(ledger: Ledger) -> list[str]:
    return ["malformed"] * len(ledger.malformed)


def write_jsonl(table: pa.Table, path: Path) -> None:
    """Write one JSON object a row."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for batch in table.to_batches(10_000):
            file.writelines(json_text(row) + "\n" for row in batch.to_pylist())


def write_csv(table: pa.Table, path: Path) -> None:
    """Write a header and one record a row; lists and objects become JSON text."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.column_names)
        for batch in table.to_batches(10_000):
            writer.writerows([_cell(value) for value in row.values()] for row in batch.to_pylist())


def _cell(value: Any) -> str | None:
    value = plain(value)
    return json_text(value) if isinstance(value, (list, dict)) else text_of(value)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write readable JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


@contextmanager
def staging(out: Path | None) -> Iterator[Path]:
    """A folder to write to before anything is in its place; gone after the block.

    It lies beside ``out``, so that moving a file from it is one step; without ``out`` in the
    system's folder for temporary files.

    Raises:
        UserError: Nothing can be written there.
        RunError: The disk is full, or fails.
    """
    beside = writable_parent(out.absolute().parent) if out is not None else None
    stage = Path(tempfile.mkdtemp(prefix=".hfpipe-", dir=beside))
    try:
        yield stage
    except OSError as error:
        raise RunError(f"{out or stage}: {error.strerror or error}; nothing was written") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def settle(stage: Path, out: Path) -> list[Path]:
    """Move every file of a staging folder to its place in ``out``.

    Returns:
        The files, in ``out``.
    """
    out.mkdir(parents=True, exist_ok=True)
    placed = []
    for path in sorted(stage.iterdir()):
        os.replace(path, out / path.name)
        placed.append(out / path.name)
    return placed
