"""Parquet files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from hfpipe.errors import UserError
from hfpipe.rows.columns import marked
from hfpipe.rows.identity import row_digests
from hfpipe.rows.records import FileRows, Reading
from hfpipe.rows.sources import Source, open_raw

_BUFFER = 2**20
_MOST_AT_ONCE = 10_000


def parquet_chunks(source: Source, reading: Reading) -> Iterator[FileRows]:
    """Read a Parquet file chunk by chunk; its types are kept.

    Args:
        source: The file.
        reading: How large a chunk is.

    Yields:
        Chunks, at least one.

    Raises:
        UserError: It is not Parquet, damaged, or has two columns of one name.
    """
    with _damage(reading.file), open_raw(source) as raw:
        # Arrow reads a local file itself: through Python it takes twice as long.
        place = raw if source.files is not None else pa.OSFile(source.path)
        file = pq.ParquetFile(place, buffer_size=_BUFFER, pre_buffer=False)
        _check_names(reading.file, file.schema_arrow)
        some = False
        held: list[pa.Table] = []
        for batch in file.iter_batches(_batch_rows(file.metadata, reading)):
            batch.validate(full=True)  # text that is not UTF-8 shows only here
            held.append(pa.Table.from_batches([batch]))
            rows, size = sum(map(len, held)), sum(table.nbytes for table in held)
            if rows >= reading.chunk_rows or size >= reading.chunk_bytes:
                yield _chunk(held, reading)
                held, some = [], True
        if held or not some:
            yield _chunk(held or [file.schema_arrow.empty_table()], reading)


def _chunk(held: list[pa.Table], reading: Reading) -> FileRows:
    table = marked(pa.concat_tables(held).combine_chunks().replace_schema_metadata(None))
    rows = (row for batch in table.to_batches(1_000) for row in batch.to_pylist())
    return reading.chunk(table, row_digests(rows))


def _batch_rows(metadata: pq.FileMetaData, reading: Reading) -> int:
    """So many rows that a batch of them is no larger than a chunk."""
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    largest = max((each.total_byte_size / max(1, each.num_rows) for each in groups), default=1.0)
    most = min(reading.chunk_rows, _MOST_AT_ONCE)
    return int(max(1, min(most, reading.chunk_bytes / max(1.0, largest))))


def _check_names(file: str, schema: pa.Schema) -> None:
    if not schema.names:
        raise UserError(f"{file}: no columns: write it again")
    for name, times in Counter(schema.names).items():
        if times > 1:
            raise UserError(f"{file}: column '{name}' stands {times} times: rename one")


@contextmanager
def _damage(file: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{file}: not a readable Parquet file ({line}): write it again") from error
