"""Parquet files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hfpipe.errors import UserError
from hfpipe.rows.identity import row_digest
from hfpipe.rows.records import FileRows


def read_parquet(path: Path, advance: Callable[[int], None]) -> FileRows:
    """Read a Parquet file; its types are kept.

    Args:
        path: The file.
        advance: Told how many bytes have been read.

    Raises:
        UserError: It is not Parquet, damaged, or has two columns of one name.
    """
    try:
        file = pq.ParquetFile(path)
        names = Counter(file.schema_arrow.names)
        for name, times in names.items():
            if times > 1:
                raise UserError(f"{path}: column '{name}' stands {times} times: rename one")
        table = file.read()
        table.validate(full=True)  # text that is not UTF-8 shows only here
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        line = str(error).splitlines()[0]
        raise UserError(f"{path}: not a readable Parquet file ({line}): write it again") from error
    digests = [row_digest(row) for batch in table.to_batches(10_000) for row in batch.to_pylist()]
    advance(path.stat().st_size)
    return FileRows(str(path), table.replace_schema_metadata(None), digests)
