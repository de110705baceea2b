"""Xorbs: the containers of compressed chunks that Xet clients upload.

A xorb is a row of chunks, each behind a header of eight bytes: version, compressed
length (three bytes, little-endian), compression, plain length (three bytes). A
footer may follow, known by its first bytes; nothing of it is needed here.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import lz4.frame

from hfpipe.hub.server.errors import bad_request
from hfpipe.hub.server.files import write_text

if TYPE_CHECKING:
    from hfpipe.hub.server.directory import Hub

MAX_XORB = 128 * 1024 * 1024
_HEADER = 8
_FOOTER = b"XETBLOB"
_MAX_CHUNK = 1 << 24
_PLAIN, _LZ4, _GROUPED_LZ4 = 0, 1, 2


@dataclass(frozen=True)
class Chunk:
    """Where one chunk lies in its xorb, and how it is packed."""

    offset: int
    packed: int
    plain: int
    scheme: int


def read_index(file: IO[bytes]) -> list[Chunk]:
    """List the chunks of a xorb by walking over their headers."""
    end = file.seek(0, os.SEEK_END)
    chunks: list[Chunk] = []
    position = 0
    while position < end:
        file.seek(position)
        header = file.read(_HEADER)
        if header.startswith(_FOOTER):
            break
        chunk = _parse_header(header, position + _HEADER, end)
        chunks.append(chunk)
        position = chunk.offset + chunk.packed
    if not chunks:
        raise bad_request("The xorb has no chunks")
    return chunks


def _parse_header(header: bytes, offset: int, end: int) -> Chunk:
    if len(header) < _HEADER or header[0] != 0:
        raise bad_request(f"The xorb is damaged at byte {offset - _HEADER}")
    packed = int.from_bytes(header[1:4], "little")
    plain = int.from_bytes(header[5:8], "little")
    if header[4] not in (_PLAIN, _LZ4, _GROUPED_LZ4):
        raise bad_request(f"The xorb has a chunk of unknown compression {header[4]}")
    if offset + packed > end:
        raise bad_request("The xorb ends in the middle of a chunk")
    return Chunk(offset, packed, plain, header[4])


def read_chunk(file: IO[bytes], chunk: Chunk) -> bytes:
    """Unpack one chunk and check its length."""
    file.seek(chunk.offset)
    data = file.read(chunk.packed)
    if chunk.scheme != _PLAIN:
        data = _unpack(data, chunk.plain)
    if len(data) != chunk.plain:
        raise bad_request(f"A chunk has {len(data)} bytes instead of {chunk.plain}")
    return regroup(data) if chunk.scheme == _GROUPED_LZ4 else data


def _unpack(data: bytes, size: int) -> bytes:
    """Undo LZ4, never unpacking more than the header announced."""
    try:
        unpacked: bytes = lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=size + 1)
    except (RuntimeError, EOFError, ValueError):
        raise bad_request("The xorb has a chunk that cannot be unpacked") from None
    return unpacked


def regroup(data: bytes) -> bytes:
    r"""Put bytes that were grouped by their place in four-byte numbers in order again.

    >>> regroup(bytes([1, 5, 2, 6, 3, 4]))
    b'\x01\x02\x03\x04\x05\x06'
    """
    whole, rest = divmod(len(data), 4)
    ordered = bytearray(len(data))
    start = 0
    for lane in range(4):
        stop = start + whole + (lane < rest)
        ordered[lane::4] = data[start:stop]
        start = stop
    return bytes(ordered)


def generation(hub: Hub) -> str:
    """Name the present set of xorbs.

    The name is kept among them, so that it changes when they are removed.
    """
    path = hub.root / "xorbs" / "generation"
    if not path.exists():
        with hub.lock("xorbs"):
            path.parent.mkdir(exist_ok=True)
            if not path.exists():
                write_text(path, secrets.token_hex(8))
    return path.read_text("ascii")


def xorb_path(root: Path, user: str, xorb: str) -> Path:
    """Say where a user's xorb lies.

    Each user has their own: nobody can spoil another's uploads by storing
    something else under a hash that they will use.
    """
    return root / "xorbs" / user / xorb[:2] / xorb
