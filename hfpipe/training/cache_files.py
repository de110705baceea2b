"""The files of the feature cache: whole or not there, checked when read, bounded in sum.

A file is a ``.npy`` of one record a row, ``pooled`` ``(dim,)`` float32 and ``present`` bool, with
a checksum behind it. What was not used for longest is removed first.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO

import numpy as np

from hfpipe.errors import UserError

FOLDER, LIMIT = "HFPIPE_CACHE", "HFPIPE_CACHE_GB"
DEFAULT_GB = 20.0
GB = 10**9
BLOCK = 1 << 24
CHECKSUM = 4
ABANDONED = 24 * 3600
"""Seconds after which a half-written file's writer is taken for dead."""


class CannotKeep(Exception):
    """The folder takes no file: it is full, or not ours to write to."""


def cache_folder() -> Path:
    """``HFPIPE_CACHE``, else ``~/.cache/hfpipe``; the features are below it."""
    root = os.environ.get(FOLDER) or "~/.cache/hfpipe"
    return Path(root).expanduser() / "features"


def cache_limit() -> int:
    """How many bytes the files may have in sum: ``HFPIPE_CACHE_GB`` times 10⁹; 0 keeps nothing.

    Raises:
        UserError: It is no number, or a negative one.
    """
    said = os.environ.get(LIMIT) or str(DEFAULT_GB)
    try:
        limit = float(said) * GB
        if not 0 <= limit < float("inf"):
            raise ValueError
    except ValueError:
        raise UserError(
            f"{LIMIT}={said!r} is no number of gigabytes: give one, as {LIMIT}=20, or 0 for none"
        ) from None
    return int(limit)


def record(dim: int) -> np.dtype:
    """What is kept of a row.

    >>> record(2).itemsize
    12
    """
    return np.dtype([("pooled", "<f4", (dim,)), ("present", "?")], align=True)


def read(path: Path, rows: int) -> np.ndarray | None:
    """A kept file as a memory map ``(rows,)`` of records; None where there is none to trust.

    Args:
        path: The file.
        rows: How many it must have.
    """
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        with path.open("rb") as file:
            file.seek(-CHECKSUM, os.SEEK_END)
            told = int.from_bytes(file.read(CHECKSUM), "little")
        if found.shape != (rows,) or found.dtype.names != ("pooled", "present"):
            return None
        if zlib.crc32(found.view(np.uint8)) != told:
            return None
    except (OSError, ValueError, EOFError, SyntaxError, TokenError):  # the header is Python
        return None
    with suppress(OSError):  # another user's file can be read all the same
        os.utime(path)
    return found


class Draft:
    """A file while it is written."""

    def __init__(self, file: BinaryIO, rows: int, dim: int) -> None:
        self.file, self.kind = file, record(dim)
        header = {
            "descr": np.lib.format.dtype_to_descr(self.kind),
            "fortran_order": False,
            "shape": (rows,),
        }
        np.lib.format.write_array_header_1_0(file, header)
        self.start = file.tell()
        self.size = rows * self.kind.itemsize

    def put(self, places: np.ndarray, pooled: np.ndarray, present: np.ndarray) -> None:
        """Write some rows.

        Args:
            places: ``(batch,)``: which ones.
            pooled: ``(batch, dim)``.
            present: ``(batch,)`` bool.

        Raises:
            CannotKeep: The disk is full.
        """
        records = np.zeros(len(places), self.kind)
        records["pooled"], records["present"] = pooled, present
        with _disk():
            for place, each in zip(places.tolist(), records, strict=True):
                self.file.seek(self.start + place * self.kind.itemsize)
                self.file.write(each.tobytes())

    def finish(self) -> None:
        """Write the checksum."""
        checksum, left = 0, self.size
        self.file.seek(self.start)
        while left:
            block = self.file.read(min(BLOCK, left))
            checksum, left = zlib.crc32(block, checksum), left - len(block)
        self.file.write(checksum.to_bytes(CHECKSUM, "little"))


@contextmanager
def drafted(path: Path, rows: int, dim: int) -> Iterator[Draft]:
    """Write a file beside its name; it takes that name once the block is left without an error.

    Another process may write or read the same one meanwhile. Then what was not used for longest is
    removed until the sum of all is within the limit.

    Args:
        path: Its name.
        rows: How many it will have.
        dim: Of each.

    Raises:
        CannotKeep: The folder cannot be written to, or has not enough room for it.
    """
    size = rows * record(dim).itemsize
    scratch = path.with_name(f"{path.stem}.{socket.gethostname()}.{os.getpid()}.tmp")
    with _disk():
        _check_room(path.parent, size)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = scratch.open("w+b")
    try:
        with file:
            with _disk():
                draft = Draft(file, rows, dim)
            yield draft
            with _disk():
                draft.finish()
                file.flush()
        with _disk():
            os.replace(scratch, path)
    finally:
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
    tidy(path.parent, cache_limit())


@contextmanager
def _disk() -> Iterator[None]:
    """What the file system refuses, as our own error.

    Raises:
        CannotKeep: See above.
    """
    try:
        yield
    except OSError as error:
        raise CannotKeep(error.strerror or str(error)) from error


def _check_room(folder: Path, size: int) -> None:
    limit = cache_limit()
    if size > limit:
        raise CannotKeep(f"{size / GB:.3g} GB are needed, and {LIMIT} allows {limit / GB:.3g}")
    there = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise CannotKeep(f"{size / GB:.3g} GB are needed, and {free / GB:.3g} are free")


def tidy(folder: Path, limit: int) -> None:
    """Remove what was not used for longest, until all files have ``limit`` bytes or fewer in sum.

    A process that has mapped a removed file can go on reading it.
    """
    found = []
    for path in folder.glob("*"):
        with suppress(OSError):
            found.append((path.stat().st_mtime, path.stat().st_size, path))
    kept = sum(size for _, size, _ in found)
    for used, size, path in sorted(found):
        forsaken = path.suffix == ".tmp" and used < time.time() - ABANDONED
        if forsaken or (kept > limit and path.suffix == ".npy"):
            with suppress(OSError):
                path.unlink()
                kept -= size


@cache
def tell_once(reason: str) -> None:
    """Say, once a process, that training goes on without the cache."""
    logging.getLogger(__name__).warning(
        "Feature cache: nothing is kept in %s (%s): training goes on without, and slower; "
        "%s names another folder",
        cache_folder(),
        reason,
        FOLDER,
    )
