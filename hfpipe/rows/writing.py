"""Write rows to one file, block by block: CSV, TSV, JSON lines or Parquet, whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from hfpipe.errors import RunError, UserError
from hfpipe.files import written_whole
from hfpipe.rows.paths import writable_parent
from hfpipe.rows.remote import shown_url
from hfpipe.rows.sources import ZIPS, Source, kind_of
from hfpipe.rows.values import flat_text, json_text

Write = Callable[[pa.Table], None]

ENDINGS = ".csv, .tsv, .jsonl, .ndjson (each also with .gz or .zst) or .parquet"
_AT_ONCE = 1_000
_READ_ONLY = {
    "hf": "write a local file, and push it with 'hf upload'",
    "http": "write a local file",
    "https": "write a local file",
}


def check_output(path: str | Path) -> str:
    """Make sure that rows can be written to a path, before any work is done for them.

    Args:
        path: A local path, or an address that fsspec can write to, as ``s3://BUCKET/KEY``.

    Returns:
        The kind of the file: ``"csv"``, ``"tsv"``, ``"jsonl"`` or ``"parquet"``.

    Raises:
        UserError: An unknown ending, a folder, or a place that may not be written to.

    >>> check_output("out/rows.jsonl.gz")
    'jsonl'
    >>> check_output("out/rows.xlsx")
    Traceback (most recent call last):
    ...
    hfpipe.errors.UserError: out/rows.xlsx: unknown ending; give .csv, .tsv, .jsonl, .ndjson ...
    """
    text = _bare(path)
    shown, kind, scheme = shown_url(text), kind_of(text), _scheme(text)
    if scheme in _READ_ONLY:
        raise UserError(f"{shown}: {scheme}:// cannot be written to: {_READ_ONLY[scheme]}")
    if kind not in _FORMATS:
        raise UserError(f"{shown}: unknown ending; give {ENDINGS}")
    if scheme:
        _filesystem(text)
    elif Path(text).is_dir():
        raise UserError(f"{shown} is a folder: name a file in it")
    else:
        writable_parent(Path(text).absolute().parent)
    return str(kind)


def check_apart(path: str | Path, sources: Sequence[Source]) -> None:
    """Make sure that an output is none of the inputs.

    Raises:
        UserError: It is one of them.

    >>> check_apart("rows.csv", [Source("./rows.csv", "csv", "./rows.csv")])
    Traceback (most recent call last):
    ...
    hfpipe.errors.UserError: rows.csv is an input too: write to another file
    """
    text = _bare(path)
    identities = [source.identity for source in sources]
    if (text if _scheme(text) else os.path.realpath(text)) in identities:
        raise UserError(f"{shown_url(text)} is an input too: write to another file")


@contextmanager
def rows_written(path: str | Path, schema: pa.Schema) -> Iterator[Write]:
    """Open a file for rows; it is there only when the block ends without an error.

    What was there before stays until then, and is replaced. Memory is bounded by the largest table
    that is handed over.

    Args:
        path: See ``check_output``. What lies elsewhere is written to a temporary file first.
        schema: Of every table. CSV has lists and objects as JSON, missing values as empty cells and
            all else as it is; nothing is done about texts that a spreadsheet takes for formulas.

    Yields:
        Takes one table after the other.

    Raises:
        UserError: See ``check_output``.
        RunError: The disk or the network failed.

    >>> folder = tempfile.mkdtemp()
    >>> with rows_written(f"{folder}/a.csv", pa.schema([("a", pa.string())])) as write:
    ...     write(pa.table({"a": ["x", None, "y, z"]}))
    >>> Path(f"{folder}/a.csv").read_text().splitlines()
    ['a', 'x', '""', '"y, z"']
    """
    check_output(path)
    text = _bare(path)
    raised: list[BaseException] = []
    with _disk_errors(text, raised), ExitStack() as stack:
        place = stack.enter_context(_sent(text)) if _scheme(text) else Path(text)
        sink = stack.enter_context(written_whole(place)).buffer  # type: ignore[attr-defined]
        way = next((ZIPS[end] for end in ZIPS if text.lower().endswith(end)), None)
        if way is not None:
            sink = stack.enter_context(pa.CompressedOutputStream(sink, way))
        write = stack.enter_context(_FORMATS[str(kind_of(text))](sink, schema))

        def guarded(table: pa.Table) -> None:
            with _disk_errors(text):
                write(table)

        try:
            yield guarded
        except BaseException as error:
            raised.append(error)
            raise


@contextmanager
def _separated(separator: str, sink: IO[bytes], schema: pa.Schema) -> Iterator[Write]:
    _put_records(sink, separator, [schema.names])

    def write(table: pa.Table) -> None:
        for batch in table.to_batches(_AT_ONCE):
            columns = [_cells(column) for column in batch.columns]
            _put_records(sink, separator, list(zip(*columns, strict=True)))

    yield write


def _put_records(sink: IO[bytes], separator: str, records: list[Any]) -> None:
    text = io.StringIO(newline="")
    usual = csv.writer(text, delimiter=separator, lineterminator="\n")
    # A lone carriage return ends a line for many readers, and the module does not quote it.
    careful = csv.writer(text, delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for record in records:
        writer = careful if any(cell and "\r" in cell for cell in record) else usual
        writer.writerow(record)
    sink.write(text.getvalue().encode())


def _cells(column: pa.Array) -> list[str | None]:
    return [_cell(value) for value in column.to_pylist()]


def _cell(value: Any) -> str | None:
    """A value as a cell: a float with all its digits, and with its point.

    >>> [_cell(value) for value in (1.0, 1e-06, 3, True, None, ["a"], "=1")]
    ['1.0', '1e-06', '3', 'true', None, '["a"]', '=1']
    """
    if isinstance(value, float):
        return repr(value) if value == value else None
    return flat_text(value)


@contextmanager
def _json_lines(sink: IO[bytes], schema: pa.Schema) -> Iterator[Write]:
    def write(table: pa.Table) -> None:
        for batch in table.to_batches(_AT_ONCE):
            lines = [json_text(row) + "\n" for row in batch.to_pylist()]
            sink.write("".join(lines).encode())

    yield write


@contextmanager
def _parquet(sink: IO[bytes], schema: pa.Schema) -> Iterator[Write]:
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        yield writer.write_table


_FORMATS: Mapping[str, Callable[[Any, pa.Schema], Any]] = {
    "csv": partial(_separated, ","),
    "tsv": partial(_separated, "\t"),
    "jsonl": _json_lines,
    "parquet": _parquet,
}


@contextmanager
def _disk_errors(path: str, others: Sequence[BaseException] = ()) -> Iterator[None]:
    """Say what could not be written; ``others`` are errors of what is done meanwhile."""
    try:
        yield
    except OSError as error:
        if error in others:
            raise
        said = error.strerror or str(error).splitlines()[0]
        raise RunError(f"{shown_url(path)} cannot be written: {said}") from error


@contextmanager
def _sent(url: str) -> Iterator[Path]:
    """A temporary file that goes to an address when the block ends without an error.

    Uploaded in one call, an object is there whole or not at all. If that fails, the file stays: it
    may be the work of hours.
    """
    filesystem, path = _filesystem(url)
    folder = Path(tempfile.mkdtemp(prefix="hfpipe-rows-"))
    local = folder / os.path.basename(path)
    try:
        yield local
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        filesystem.put_file(str(local), path)
    except Exception as error:
        raise RunError(
            f"{shown_url(url)} cannot be written ({type(error).__name__}): check the address and "
            f"your credentials; the rows are in {local}"
        ) from error
    shutil.rmtree(folder, ignore_errors=True)


def _filesystem(url: str) -> tuple[Any, str]:
    """What writes to an address, and the path there.

    Raises:
        UserError: There is no such kind of address, or its library is missing.
    """
    from fsspec.core import url_to_fs

    shown = shown_url(url)
    try:
        filesystem, path = url_to_fs(url)
    except ImportError as error:
        need = "'hfpipe[s3]'" if _scheme(url) in ("s3", "s3a") else (error.name or "its library")
        raise UserError(
            f"{shown}: what writes there is not installed: pip install {need}"
        ) from error
    except ValueError as error:
        raise UserError(f"{shown}: no such kind of address as {_scheme(url)}://") from error
    return filesystem, path


def _bare(path: str | Path) -> str:
    return os.path.expanduser(str(path).removeprefix("file://"))


def _scheme(path: str) -> str:
    return path.partition("://")[0].lower() if "://" in path else ""
