"""The files: JSONL for the folder, Parquet for the repo, the manifest."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_prep.corpus import Corpus
from data_prep.dividing import Division
from data_prep.ledger import Ledger
from data_prep.splitting import SPLITS
from hfpipe.errors import RunError
from hfpipe.rows.paths import writable_parent
from hfpipe.rows.values import json_text, plain

MANIFEST = "split_manifest.parquet"
#: Rows, and bytes of rows, fetched from the spool and written at a time: bounds the memory of
#: writing. The first rows tell how large they are.
PORTION = 20_000
FIRST_PORTION = 256
PORTION_BYTES = 64 << 20


def split_rows_in_order(
    corpus: Corpus, division: Division, advance: Callable[[int], None] = lambda rows: None
) -> dict[str, Callable[[], Iterator[pa.Table]]]:
    """Each split as a function that gives its rows, in the order of their ids, in portions.

    So that the same rows give the same files, whatever order they came in.
    """
    ids = corpus.row_ids.take(pa.array(division.kept))
    order = pc.sort_indices(ids).to_numpy()

    def portions(code: int) -> Iterator[pa.Table]:
        places = order[division.splits[order] == code]
        size = FIRST_PORTION
        while len(places):
            chosen, places = places[:size], places[size:]
            table = corpus.take(division.kept[chosen])
            if division.folds is not None:
                folds = division.folds[chosen]
                table = table.append_column("fold", pa.array(folds, pa.int32(), mask=folds < 0))
            size = int(PORTION_BYTES * len(chosen) / max(1, table.nbytes))
            size = max(1, min(PORTION, size))
            yield table
            advance(len(chosen))

    return {split: partial(portions, code) for code, split in enumerate(SPLITS)}


def manifest(corpus: Corpus, ledger: Ledger, division: Division) -> pa.Table:
    """Every row's id with its split, or with the reason for which it was dropped."""
    splits = np.full(len(corpus.row_ids), len(SPLITS), dtype=np.int64)
    splits[division.kept] = division.splits
    bad = len(corpus.bad_ids)
    groups = corpus.notes.get("group")
    ids = corpus.row_ids.combine_chunks()
    table = pa.table(
        {
            "row_id": pa.chunked_array([ids, pa.array(corpus.bad_ids, pa.string())]),
            "split": pa.chunked_array(
                [
                    pa.array([*SPLITS, None], pa.string()).take(pa.array(splits)),
                    pa.nulls(bad, pa.string()),
                ]
            ),
            "group": pa.chunked_array(
                [
                    *(groups.chunks if groups is not None else [pa.nulls(len(ids), pa.string())]),
                    pa.nulls(bad, pa.string()),
                ],
                pa.string(),
            ),
            "reason": pa.array([*ledger.reasons(), *["malformed"] * bad], pa.string()),
        }
    )
    return table.sort_by("row_id")


def write_jsonl(tables: Iterable[pa.Table], path: Path) -> None:
    """Write one JSON object a row."""
    with path.open("wb") as file:
        for table in tables:
            file.writelines(_json_line(row) for row in table.to_pylist())


def _json_line(row: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(row, default=plain, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # a number beyond 64 bits
        return json_text(row).encode("utf-8") + b"\n"


def write_parquet(tables: Iterable[pa.Table], paths: Iterable[Path], rows: int) -> None:
    """Write Parquet files, one portion after the other, each of about as many rows.

    Args:
        tables: The rows, all of one schema.
        paths: The files.
        rows: How many rows there are in all.
    """
    files = list(paths)
    limit = -(-rows // len(files))
    source = _portioned(tables, limit)
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_file(next(source), path)


def _portioned(tables: Iterable[pa.Table], limit: int) -> Iterator[Iterator[pa.Table]]:
    """Cut a stream of tables into streams of ``limit`` rows, to be used up one by one."""
    left: list[pa.Table] = []
    stream = iter(tables)

    def part() -> Iterator[pa.Table]:
        wanted = limit
        while wanted:
            table = left.pop() if left else next(stream, None)
            if table is None:
                return
            if table.num_rows > wanted:
                left.append(table.slice(wanted))
                table = table.slice(0, wanted)
            wanted -= table.num_rows
            yield table

    while True:
        yield part()


def _write_file(tables: Iterator[pa.Table], path: Path) -> None:
    first = next(tables)
    with pq.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def write_table(table: pa.Table, path: Path) -> None:
    """Write one table as a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write readable JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


@contextmanager
def staging(out: Path | None) -> Iterator[Path]:
    """A folder to write to before anything is in its place; gone after the block.

    It lies beside ``out``, so that moving a file from it is one step, or in it, where beside it is
    no place or another disk; without ``out`` in the system's folder for temporary files.

    Raises:
        UserError: Nothing can be written there.
        RunError: The disk is full, or fails.
    """
    stage = Path(tempfile.mkdtemp(prefix=".hfpipe-", dir=out and _stage_folder(out.absolute())))
    try:
        yield stage
    except OSError as error:
        raise RunError(f"{out or stage}: {error.strerror or error}; nothing was written") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _stage_folder(out: Path) -> Path:
    """The folder for the staging folder of ``out``."""
    beside = out.parent
    if out.is_dir() and not (
        os.access(beside, os.W_OK) and beside.stat().st_dev == out.stat().st_dev
    ):
        return writable_parent(out)
    return writable_parent(beside)


def settle(stage: Path, out: Path, stale: str) -> list[Path]:
    """Move every file of a staging folder to its place in ``out``.

    Args:
        stage: The staging folder.
        out: The folder.
        stale: A file that goes from there if this run has none: it tells about an earlier one.

    Returns:
        The files, in ``out``.
    """
    out.mkdir(parents=True, exist_ok=True)
    placed = []
    if not (stage / stale).exists():
        (out / stale).unlink(missing_ok=True)
    for path in sorted(stage.iterdir()):
        os.replace(path, out / path.name)
        placed.append(out / path.name)
    return placed
