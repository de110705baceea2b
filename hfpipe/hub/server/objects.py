"""Large files on disk, each under the sha256 of its content, each once.

Nothing appears under its name before it is whole and its hash is right: content
goes to ``tmp/`` first and is renamed, so a killed server leaves no half object.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hfpipe.hub.server.errors import bad_request

CHUNK = 1 << 20


class Sink:
    """A file being received: written to ``tmp/``, hashed on the way, published at the end.

    Use it as a context manager; what was not published is gone at the end of the block.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._path = store.temporary()
        self._file: IO[bytes] = self._path.open("wb")
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def publish(self, sha256: str | None = None, size: int | None = None) -> tuple[str, int]:
        """Move the file under its hash, after checking it against what was promised.

        Args:
            sha256: The hash it must have, None to take the one it has.
            size: The length it must have, None for any.

        Returns:
            Its sha256 and its size.
        """
        found = self._hash.hexdigest()
        if size is not None and size != self.size:
            raise bad_request(f"{size} bytes were announced but {self.size} arrived")
        if sha256 is not None and sha256 != found:
            raise bad_request(f"The content has sha256 {found}, not the announced {sha256}")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._store.adopt(self._path, found)
        return found, self.size


class ObjectStore:
    """The large files of a hub directory."""

    def __init__(self, root: Path) -> None:
        self.root = root / "objects"
        self._tmp = root / "tmp"
        self.root.mkdir(parents=True, exist_ok=True)
        self._tmp.mkdir(parents=True, exist_ok=True)

    def temporary(self) -> Path:
        """Name a fresh file in ``tmp/``, on the same disk as the objects."""
        return self._tmp / f"{secrets.token_hex(8)}.part"

    def path(self, sha256: str) -> Path:
        """Say where the object ``sha256`` lies, or would lie."""
        return self.root / sha256[:2] / sha256[2:4] / sha256

    def size(self, sha256: str) -> int | None:
        """Give the size of an object, None where it is not stored."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def sink(self) -> Sink:
        """Start receiving an object."""
        return Sink(self)

    def adopt(self, temporary: Path, sha256: str) -> None:
        """Move a checked file of ``tmp/`` under its hash."""
        target = self.path(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, target)

    def copy_in(self, source: Path) -> tuple[str, int]:
        """Store a file of the local disk; return its sha256 and size."""
        sha256 = hash_file(source)
        size = source.stat().st_size
        if self.size(sha256) == size:
            return sha256, size
        with self.sink() as sink, source.open("rb") as file:
            for data in _blocks(file):
                sink.write(data)
            return sink.publish(sha256)

    def read(self, sha256: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes ``start`` to ``stop`` (exclusive) of an object in blocks."""
        return read_range(self.path(sha256), start, stop)

    def total(self) -> tuple[int, int]:
        """Count the objects and their bytes."""
        count = size = 0
        for folder, _, files in os.walk(self.root):
            for name in files:
                with contextlib.suppress(FileNotFoundError):
                    size += os.stat(os.path.join(folder, name)).st_size
                    count += 1
        return count, size


def read_range(path: Path, start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes ``start`` to ``stop`` (exclusive) of a file in blocks."""
    with path.open("rb") as file:
        file.seek(start)
        left = stop - start
        while left > 0:
            data = file.read(min(CHUNK, left))
            if not data:
                return
            left -= len(data)
            yield data


def hash_file(path: Path) -> str:
    """Give the sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file in blocks."""
    while data := file.read(CHUNK):
        yield data
