"""Shards: a Xet client's list of files, each as a row of chunk ranges in xorbs.

A shard begins with a header (magic, version, footer length), then one section of
48-byte records: for each file a heading, its ranges, as many verification records
where a flag says so, and a record with the file's sha256 where another flag says
so. A heading of ones ends the section; what follows is not needed here.
"""

from __future__ import annotations

import os
import struct
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hfpipe.hub.server.directory import Hub
from hfpipe.hub.server.errors import bad_request
from hfpipe.hub.server.objects import Sink
from hfpipe.hub.server.xorbs import Chunk, read_chunk, read_index, xorb_path

MAX_SHARD = 128 * 1024 * 1024
_MAGIC = b"HFRepoMetaData\0"
_HEADER = 48
_RECORD = struct.Struct("<32sIIII")
_END = b"\xff" * 32
_VERIFIED = 1 << 31
_HAS_SHA256 = 1 << 30
_OPEN_XORBS = 16


@dataclass(frozen=True)
class Segment:
    """A range of chunks of one xorb."""

    xorb: str
    size: int
    first: int
    stop: int


@dataclass(frozen=True)
class ShardFile:
    """A file as a shard describes it."""

    sha256: str
    segments: tuple[Segment, ...]

    @property
    def size(self) -> int:
        """The file's length in bytes."""
        return sum(segment.size for segment in self.segments)


def hash_text(raw: bytes) -> str:
    """Write a stored hash as it is spelled: four numbers of 64 bits, each turned round.

    >>> hash_text(bytes(range(32)))[:20]
    '07060504030201000f0e'
    """
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))


def parse_shard(data: bytes) -> list[ShardFile]:
    """List the files of a shard."""
    if not data.startswith(_MAGIC) or len(data) < _HEADER:
        raise bad_request("This is not a shard")
    files: list[ShardFile] = []
    position = _HEADER
    while True:
        raw, flags, count, _, _ = _record(data, position)
        position += _RECORD.size
        if raw == _END:
            return files
        ranges = [_record(data, position + i * _RECORD.size) for i in range(count)]
        position += _RECORD.size * count * (2 if flags & _VERIFIED else 1)
        if not flags & _HAS_SHA256:
            raise bad_request(f"The shard gives no sha256 for the file {hash_text(raw)}")
        sha256 = hash_text(_record(data, position)[0])
        position += _RECORD.size
        segments = (Segment(hash_text(x), size, a, b) for x, _, size, a, b in ranges)
        files.append(ShardFile(sha256, tuple(segments)))


def _record(data: bytes, position: int) -> tuple[bytes, int, int, int, int]:
    if position + _RECORD.size > len(data):
        raise bad_request("The shard ends in the middle of a file")
    raw, one, two, three, four = _RECORD.unpack_from(data, position)
    return raw, one, two, three, four


class _Xorbs:
    """A user's xorbs, the latest used kept open with their chunks listed."""

    def __init__(self, hub: Hub, user: str, stack: ExitStack) -> None:
        self._hub = hub
        self._user = user
        self._open: OrderedDict[str, tuple[IO[bytes], list[Chunk]]] = OrderedDict()
        stack.callback(self._close)

    def get(self, xorb: str) -> tuple[IO[bytes], list[Chunk]]:
        """Open a xorb; one that was not uploaded is refused."""
        if xorb not in self._open:
            path = xorb_path(self._hub.root, self._user, xorb)
            try:
                file = path.open("rb")
            except FileNotFoundError:
                raise bad_request(f"The xorb {xorb} was not uploaded") from None
            self._open[xorb] = (file, read_index(file))
            if len(self._open) > _OPEN_XORBS:
                self._open.popitem(last=False)[1][0].close()
        self._open.move_to_end(xorb)
        return self._open[xorb]

    def _close(self) -> None:
        for file, _ in self._open.values():
            file.close()


def store_files(hub: Hub, user: str, shard: bytes) -> int:
    """Rebuild the files of a shard and store each under its sha256, after checking it.

    Returns:
        How many were not stored before.
    """
    new = 0
    with ExitStack() as stack:
        xorbs = _Xorbs(hub, user, stack)
        for file in parse_shard(shard):
            if hub.objects.size(file.sha256) == file.size:
                continue
            with hub.objects.sink() as sink:
                for segment in file.segments:
                    _write(sink, xorbs, segment)
                sink.publish(file.sha256, file.size)
            new += 1
    return new


def _write(sink: Sink, xorbs: _Xorbs, segment: Segment) -> None:
    """Unpack the chunks of one range into the file being rebuilt."""
    xorb, chunks = xorbs.get(segment.xorb)
    if not segment.first < segment.stop <= len(chunks):
        raise bad_request(f"The xorb {segment.xorb} has only {len(chunks)} chunks")
    before = sink.size
    for chunk in chunks[segment.first : segment.stop]:
        sink.write(read_chunk(xorb, chunk))
    if sink.size - before != segment.size:
        raise bad_request(f"A range of the xorb {segment.xorb} is not {segment.size} bytes long")


def store_xorb(temporary: Path, target: Path) -> None:
    """Check that a received file is a xorb and put it in its place."""
    with temporary.open("rb") as file:
        read_index(file)
        os.fsync(file.fileno())
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(temporary, target)
