"""One input: where it lies, what it holds, and how its bytes are read, hashed and unzipped."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import pyarrow as pa

from hfpipe.errors import RunError, UserError

KINDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".tar": "webdataset",
}
ZIPS = {".gz": "gzip", ".zst": "zstd"}
# What a file begins with that is not what its name says.
_FOREIGN = {
    b"\x1f\x8b": "gzip data: let its name end with .gz",
    b"\x28\xb5\x2f\xfd": "Zstandard data: let its name end with .zst",
    b"PK\x03\x04": "a zip archive (or an Excel file): unpack it, or save it as CSV",
    b"PAR1": "Parquet: let its name end with .parquet",
    b"BZh": "bzip2 data: zip it with gzip",
    b"\xfd7zXZ": "xz data: zip it with gzip",
    b"ARROW1": "Arrow data: write it as Parquet",
}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_BLOCK = 2**20


def kind_of(path: str | Path) -> str | None:
    """What a file holds, by its name: a value of ``KINDS``, or None if it is none of them.

    >>> kind_of("rows.jsonl.gz"), kind_of(Path("rows.CSV.zst")), kind_of("rows.parquet.gz")
    ('jsonl', 'csv', None)
    """
    name = os.path.basename(path).lower()
    bare = name.removesuffix(_zip_suffix(name))
    kind = KINDS.get(os.path.splitext(bare)[1])
    return None if bare != name and kind == "parquet" else kind


def _zip_suffix(name: str) -> str:
    return next((suffix for suffix in ZIPS if name.lower().endswith(suffix)), "")


class Files(Protocol):
    """What opens a file that is not local: a filesystem of fsspec, or a repo of a Hub."""

    def open(self, path: str, mode: str) -> BinaryIO:
        """Open a file for reading."""
        ...


@dataclass
class Source:
    """One input file.

    Attributes:
        name: As it is shown: what the user wrote, without credentials.
        kind: ``"jsonl"``, ``"csv"``, ``"tsv"``, ``"parquet"`` or ``"webdataset"``.
        path: Its local path, or its path in ``files``.
        size: Bytes; None where that is not known.
        files: What opens it; None for a local file.
        split: The split that the name of a file in a Hub repo says.
        revision: The commit that a file in a Hub repo is read from.
        sha256: Of its bytes as they lie there; known when all chunks have been read.
        identity: The same for two names of one file.
    """

    name: str
    kind: str
    path: str
    size: int | None = None
    files: Files | None = field(default=None, repr=False)
    split: str | None = None
    revision: str | None = None
    sha256: str | None = None
    identity: str = field(default="", repr=False)

    @property
    def short(self) -> str:
        """What a record calls it: a local file by its name alone, another by its address.

        >>> Source("in/rows.csv", "csv", "in/rows.csv").short
        'rows.csv'
        """
        return os.path.basename(self.name) if self.files is None else self.name

    def __post_init__(self) -> None:
        if not self.identity:
            self.identity = os.path.realpath(self.path)

    def __fspath__(self) -> str:
        """The local path.

        Raises:
            UserError: It is not a local file.
        """
        if self.files is not None:
            raise UserError(f"{self.name} is not a local file: fetch it first")
        return self.path


@contextmanager
def reading_errors(source: Source) -> Iterator[None]:
    """Turn what goes wrong while a source is read into one clear line.

    Raises:
        UserError: It may not be read, is not zipped as its name says, or is damaged.
        RunError: The disk or the network failed.
    """
    name = source.name
    try:
        yield
    except PermissionError as error:
        raise UserError(f"{name} may not be read: check its permissions") from error
    except FileNotFoundError as error:
        raise UserError(f"{name} does not exist any more") from error
    except EOFError as error:
        raise UserError(f"{name}: the gzip stream ends early: fetch or zip it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(
            f"{name}: damaged or not gzip ({error}): zip it again, or rename it without .gz"
        ) from error
    except OSError as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "ompressed stream" in said or "ZSTD" in said:
            raise UserError(
                f"{name}: damaged or not Zstandard ({said}): zip it again, or rename it without "
                ".zst"
            ) from error
        raise RunError(f"{name}: {error.strerror or said}") from error


@contextmanager
def opened(source: Source, advance: Callable[[int], None]) -> Iterator[io.BufferedReader]:
    """Open a source for reading from start to end, unzipped; its hash is taken on the way.

    Args:
        source: What to read. When the block ends without an error, its ``sha256`` is known.
        advance: Told how many bytes, as they lie there, have been read.

    Raises:
        UserError: See ``reading_errors``; also when that shows only while the block reads.
        RunError: See ``reading_errors``.
    """
    with reading_errors(source), open_raw(source) as raw:
        tally = Tally(raw, advance)
        with _unzipped(source, tally) as stream:
            check_beginning(source, stream.peek(8))
            yield stream
        source.sha256 = tally.finish()


def open_raw(source: Source) -> BinaryIO:
    """Open a source's bytes as they lie there."""
    if source.files is None:
        return Path(source.path).open("rb", buffering=0)
    return source.files.open(source.path, "rb")


def check_beginning(source: Source, start: bytes) -> None:
    """Refuse a file whose first bytes say that it holds something else than its name says.

    Raises:
        UserError: That is so.
    """
    for magic, what in _FOREIGN.items():
        if start.startswith(magic):
            raise UserError(f"{source.name}: this is {what}")
    if start.startswith(_UTF_16):
        raise UserError(
            f"{source.name}: line 1: not UTF-8: byte 0x{start[0]:02x} at byte 1 begins UTF-16: "
            "convert it (iconv -f UTF-16 -t UTF-8)"
        )


class Tally(io.RawIOBase):
    """A file that hashes and counts what is read from it.

    >>> tally = Tally(io.BytesIO(b"abc"), advance=print)
    >>> io.BufferedReader(tally).read(), tally.finish()[:8]
    3
    (b'abc', 'ba7816bf')
    """

    def __init__(self, file: BinaryIO, advance: Callable[[int], None]) -> None:
        super().__init__()
        self._file = file
        self._advance = advance
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into ``buffer``; gives the number of bytes, 0 at the end."""
        read = self._file.readinto(buffer)  # type: ignore[attr-defined]
        if read:
            self._hash.update(memoryview(buffer)[:read])
            self._advance(read)
        return int(read or 0)

    def finish(self) -> str:
        """Read what is left; gives the SHA-256 of it all, in hex."""
        buffer = memoryview(bytearray(_BLOCK))
        while self.readinto(buffer):
            pass
        return self._hash.hexdigest()


@contextmanager
def _unzipped(source: Source, tally: Tally) -> Iterator[io.BufferedReader]:
    way = ZIPS.get(_zip_suffix(source.path))
    buffered = io.BufferedReader(tally, _BLOCK)
    if way is None:
        yield cast(io.BufferedReader, buffered)
    elif way == "gzip":
        with gzip.GzipFile(fileobj=buffered) as file:
            yield io.BufferedReader(cast(io.RawIOBase, file), _BLOCK)
    else:
        with pa.CompressedInputStream(pa.PythonFile(buffered, "r"), way) as stream:
            yield io.BufferedReader(stream, _BLOCK)
