"""Columns made of others, for the rows that are kept: vectors from a model or from shards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data_prep.corpus import Corpus
from data_prep.ledger import Ledger
from data_prep.options import PrepareOptions
from data_prep.spool import DiskBatches, Spool
from hfpipe.hub.endpoint import Endpoint

#: Rows that get their columns at a time.
PORTION = 10_000
Advance = Callable[[int], None]
Derive = Callable[[pa.Table, list[str], Advance], tuple[pa.Table, dict[str, np.ndarray]]]


def derive_columns(
    corpus: Corpus,
    ledger: Ledger,
    options: PrepareOptions,
    endpoint: Endpoint | None,
    scratch: Path,
    lock: Mapping[str, Any] | None = None,
    advance: Advance = lambda rows: None,
) -> dict[str, Any]:
    """Make the columns that ``encode`` and ``vectors`` ask for.

    Rows that an earlier version of the dataset has keep what they have.

    Args:
        corpus: The rows; gets the new columns.
        ledger: The account; rows for which there is nothing to make are dropped.
        options: What was asked for.
        endpoint: The Hub that base models come from.
        scratch: Folder for the new columns.
        lock: Dimensions that an earlier version of the dataset holds the vectors to.
        advance: Told how many more rows are done.

    Returns:
        What made them, for the record.
    """
    makers, record = _makers(corpus, options, endpoint, lock)
    if not makers:
        return {}
    scratch.mkdir()
    batches = DiskBatches(scratch)
    kept = ledger.kept()
    if corpus.pinned is not None:
        kept = kept[corpus.pinned[kept] < 0]
    place = np.full(len(corpus.row_ids), -1, dtype=np.int64)
    done = 0
    for start in range(0, len(kept), PORTION):
        positions = kept[start : start + PORTION]
        table = corpus.spool.take(positions)
        ids = corpus.row_ids.take(pa.array(positions)).to_pylist()
        if corpus.pinned is not None:  # what an earlier version has of these is made anew
            table = table.drop_columns([n for n in _made(options) if n in table.column_names])
        old = set(table.column_names)
        for make in makers:
            table, dropped = make(table, ids, advance)
            for reason, rows in dropped.items():
                free = positions[rows][ledger.marks[positions[rows]] == 0]
                ledger.drop(free, reason)
        fresh = table.select([name for name in table.column_names if name not in old])
        batches.append(fresh)
        place[positions] = np.arange(done, done + len(positions))
        done += len(positions)
    corpus.derived, corpus.derived_place = Spool(batches), place
    return record()


def _makers(
    corpus: Corpus,
    options: PrepareOptions,
    endpoint: Endpoint | None,
    lock: Mapping[str, Any] | None,
) -> tuple[list[Derive], Callable[[], dict[str, Any]]]:
    """What makes columns, and what tells about it afterwards."""
    makers: list[Derive] = []
    tell: dict[str, Callable[[], Any]] = {}
    if options.vectors:
        from data_prep.vectors import VectorReader, vector_options

        reader = VectorReader(vector_options(options.vectors), vector_root(options), lock)
        for table in corpus.spool.tables():
            reader.prime(table)  # so that all portions get the same columns
        makers.append(lambda table, ids, advance: reader.read(table, ids))
        tell["vectors"] = lambda: reader.schema_lock
    if options.encode:
        from data_prep.encode import Encoder, encode_options

        encoder = Encoder(encode_options(options.encode), endpoint)
        makers.append(encoder.encode)
        tell["encode"] = lambda: encoder.provenance
    return makers, lambda: {name: said() for name, said in tell.items()}


def _made(options: PrepareOptions) -> list[str]:
    """The columns that will be made."""
    names = []
    if options.vectors:
        from data_prep.vectors import modality, vector_options

        settled = vector_options(options.vectors)
        names += [*map(modality, settled.columns), settled.name]
    if options.encode:
        from data_prep.encode import encode_options

        names.append(encode_options(options.encode).name)
    return names


def vector_root(options: PrepareOptions) -> str:
    """The folder that the files named by vector columns are relative to: the joined table's."""
    said = options.vectors.get("root")
    if said:
        return str(said)
    return options.join.rpartition("/")[0] or "." if options.join else "."
