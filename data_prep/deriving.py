"""Columns that are made of others, for the rows that are kept: vectors from a model or from shards."""

from __future__ import annotations

from collections.abc import Callable
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
Derive = Callable[[pa.Table, list[str]], tuple[pa.Table, dict[str, np.ndarray]]]


def derive_columns(
    corpus: Corpus,
    ledger: Ledger,
    options: PrepareOptions,
    endpoint: Endpoint | None,
    scratch: Path,
    advance: Callable[[int], None] = lambda rows: None,
) -> dict[str, Any]:
    """Make the columns that ``encode`` and ``vectors`` ask for.

    Rows that an earlier version of the dataset has keep what they have.

    Args:
        corpus: The rows; gets the new columns.
        ledger: The account; rows for which there is nothing to make are dropped.
        options: What was asked for.
        endpoint: The Hub that base models come from.
        scratch: Folder for the new columns.
        advance: Told how many more rows are done.

    Returns:
        What made them, for the record.
    """
    makers, record = _makers(corpus, options, endpoint)
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
        old = set(table.column_names)
        for make in makers:
            table, dropped = make(table, ids)
            for reason, rows in dropped.items():
                ledger.drop(positions[rows], reason)
        fresh = table.select([name for name in table.column_names if name not in old])
        batches.append(fresh)
        place[positions] = np.arange(done, done + len(positions))
        done += len(positions)
        advance(len(positions))
    corpus.derived, corpus.derived_place = Spool(batches), place
    return record()


def _makers(
    corpus: Corpus, options: PrepareOptions, endpoint: Endpoint | None
) -> tuple[list[Derive], Callable[[], dict[str, Any]]]:
    """What makes columns, and what tells about it afterwards."""
    makers: list[Derive] = []
    tell: dict[str, Callable[[], Any]] = {}
    if options.vectors:
        from data_prep.vectors import VectorReader, vector_options

        reader = VectorReader(vector_options(options.vectors), vector_root(options))
        for table in corpus.spool.tables():
            reader.prime(table)  # so that all portions get the same columns
        makers.append(lambda table, ids: reader.read(table))
        tell["vectors"] = lambda: reader.schema_lock
    if options.encode:
        from data_prep.encode import Encoder, encode_options

        encoder = Encoder(encode_options(options.encode), endpoint)
        makers.append(lambda table, ids: encoder.encode(table, ids))
        tell["encode"] = lambda: encoder.provenance
    return makers, lambda: {name: said() for name, said in tell.items()}


def vector_root(options: PrepareOptions) -> str:
    """The folder that the files named by vector columns are relative to: the joined table's."""
    said = options.vectors.get("root")
    if said:
        return str(said)
    return options.join.rpartition("/")[0] or "." if options.join else "."
