"""WebDataset shards: tar archives in which a row is a few files that share the row's id."""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa

from hfpipe.errors import RunError, UserError
from hfpipe.rows.identity import ROW_ID
from hfpipe.rows.values import json_text

TEXT = "txt"
REST = "json"
#: The image column that is known by its file's extension alone.
IMAGE = "image"

#: How files of these kinds begin; the keys are the extensions that readers know.
_BEGINNINGS: dict[str, re.Pattern[bytes]] = {
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "jpg": re.compile(rb"\xff\xd8\xff"),
    "gif": re.compile(rb"GIF8"),
    "webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "bmp": re.compile(rb"BM"),
    "tif": re.compile(rb"II\*\x00|MM\x00\*"),
}
_EXTENSIONS = {*_BEGINNINGS, "jpeg", "tiff", "ppm"}


def write_shards(
    tables: Iterable[pa.Table],
    folder: Path,
    split: str,
    samples_per_shard: int = 1000,
    key: str = ROW_ID,
) -> list[Path]:
    """Write rows as ``{split}-000000.tar`` and on: all of them, or none if it fails.

    A row becomes a sample: an image (struct of ``bytes`` and ``path``) a file of its own, ``.png``
    where the column is ``png`` or ``image``, ``.photo.png`` where it is ``photo``; the text column
    ``txt`` a ``.txt`` file; everything else one ``.json`` file. A missing image or text has no
    file. The same rows give the same bytes.

    Args:
        tables: The rows, in order, all of one schema.
        folder: Where the shards go; made where there is none.
        split: The split's name.
        samples_per_shard: Rows a shard.
        key: The column with the rows' ids, which name the files (see ``escape_key``).

    Returns:
        The shards, in order; none for no rows.

    Raises:
        UserError: An id is missing or stands on two rows of a shard, an image has no bytes, or
            the folder holds more shards of this split, of an earlier run.
        RunError: They cannot be written.
    """
    if samples_per_shard < 1:
        raise UserError(f"samples per shard: {samples_per_shard}: give 1 or more")
    with _stage(folder, split) as stage:
        rows = (row for table in tables for row in _samples(table, key))
        written = [
            _write_shard(stage / f"{split}-{number:06d}.tar", samples)
            for number, samples in enumerate(_lots_of(rows, samples_per_shard))
        ]
        _refuse_leftovers(folder, split, len(written))
        for path in written:
            os.replace(path, folder / path.name)
    return [folder / path.name for path in written]


def escape_key(row_id: str) -> str:
    """A row's id as the name of its files: readers take a key to end at its first dot.

    >>> escape_key("ada/notes.txt #1"), escape_key("é")
    ('ada%2Fnotes%2Etxt%20%231', '%C3%A9')
    """
    return quote(row_id, safe="").replace(".", "%2E")


def image_names(shards: Iterable[Path]) -> list[str]:
    """What the images in shards are called behind the rows' ids, as ``png`` or ``left.jpg``."""
    names = set()
    for path in shards:
        with tarfile.open(path) as archive:
            names |= {entry.name.partition(".")[2] for entry in archive}
    return sorted(name for name in names if name.rpartition(".")[2] in _EXTENSIONS)


def unescape_key(key: str) -> str:
    """The row's id that ``escape_key`` made a name of.

    >>> unescape_key("ada%2Fnotes%2Etxt%20%231")
    'ada/notes.txt #1'
    """
    return unquote(key)


Sample = tuple[str, dict[str, bytes]]


def _samples(table: pa.Table, key: str) -> Iterator[Sample]:
    """Each row's id, and its files by extension."""
    if key not in table.column_names:
        raise UserError(f"no column '{key}' to name the samples by")
    images = {field.name for field in table.schema if is_image(field.type)}
    for batch in table.to_batches(1000):
        for row in batch.to_pylist():
            row_id = str(row[key]) if row[key] is not None else ""
            if not row_id:
                raise UserError(f"a row has no '{key}', which names its files in the shard")
            yield row_id, _files(row, row_id, images)


def _files(row: Mapping[str, Any], row_id: str, images: Collection[str]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    rest = {}
    for name, value in row.items():
        if name in images:
            if value is None or (value["bytes"] is None and value["path"] is None):
                continue
            if value["bytes"] is None:
                raise UserError(
                    f"row '{row_id}': image '{name}' has a path and no bytes: read the images in"
                )
            files[_extension(name, value)] = value["bytes"]
        elif name == TEXT and isinstance(value, str):
            files[TEXT] = value.encode()
        elif name != TEXT or value is not None:
            rest[name] = value
    files[REST] = json_text(rest).encode()
    return files


def is_image(kind: pa.DataType) -> bool:
    """Whether a column holds images: their bytes, and what they are called."""
    return pa.types.is_struct(kind) and {field.name for field in kind} == {"bytes", "path"}


def _extension(column: str, image: Mapping[str, Any]) -> str:
    """What an image's file is called behind the row's id."""
    if column.lower() in _EXTENSIONS:
        return column
    kind = _kind(image)
    named = "" if column == IMAGE and kind else quote(column, safe="")
    return ".".join(filter(None, (named, kind)))


def _kind(image: Mapping[str, Any]) -> str:
    """An image's extension: by its path, else by how it begins; empty where neither tells."""
    said = Path(image["path"] or "").suffix[1:].lower()
    if said in _EXTENSIONS:
        return said
    begun = (name for name, first in _BEGINNINGS.items() if first.match(image["bytes"]))
    return next(begun, "")


def _lots_of(rows: Iterator[Sample], size: int) -> Iterator[Iterator[Sample]]:
    """Runs of ``size`` rows, each to be used up before the next."""
    from itertools import chain, islice

    for first in rows:
        yield chain([first], islice(rows, size - 1))


def _write_shard(path: Path, samples: Iterable[Sample]) -> Path:
    seen: set[str] = set()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for row_id, files in samples:
            if row_id in seen:
                raise UserError(f"'{row_id}' stands on two rows: ids name the files of a shard")
            seen.add(row_id)
            for extension, content in sorted(files.items()):
                # A TarInfo begins with time, owner and group 0: no trace of when and by whom.
                entry = tarfile.TarInfo(f"{escape_key(row_id)}.{extension}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return path


def _refuse_leftovers(folder: Path, split: str, shards: int) -> None:
    name = re.compile(rf"{re.escape(split)}-(\d{{6}})\.tar")
    for path in sorted(folder.iterdir()):
        found = name.fullmatch(path.name)
        if found and int(found.group(1)) >= shards:
            raise UserError(
                f"{path} is left of an earlier run, which wrote more shards: delete it, or give "
                "another folder"
            )


@contextmanager
def _stage(folder: Path, split: str) -> Iterator[Path]:
    """A folder inside ``folder`` for what is not whole yet; gone after the block."""
    stage = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=folder, prefix=f".{split}-"))
        yield stage
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror or error}; no shard was written") from error
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)
