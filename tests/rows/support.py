"""Files of every kind, and all of a source's rows at once."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from hfpipe.rows.columns import agreed_schema, cast_table
from hfpipe.rows.jsonl import jsonl_chunks
from hfpipe.rows.paths import find_inputs
from hfpipe.rows.reading import read_chunks
from hfpipe.rows.records import BadRow, BadRows, FileRows, Reading
from hfpipe.rows.separated import separated_chunks


@dataclass
class All:
    """All chunks of some inputs put together."""

    table: pa.Table
    digests: list[str]
    bad: list[BadRow]
    bad_digests: list[str]
    chunks: list[FileRows]


def read_all(
    *inputs: object, texts: Sequence[str] = (), endpoint: Any = None, **options: Any
) -> All:
    """Read inputs chunk by chunk, and cast the chunks to what they agree on."""
    sources = find_inputs([str(each) for each in inputs], endpoint)
    chunks = [chunk for source in sources for chunk in read_chunks(source, texts, **options)]
    return put_together(chunks)


def put_together(chunks: list[FileRows]) -> All:
    schema = agreed_schema([chunk.table.schema for chunk in chunks])
    return All(
        pa.concat_tables([cast_table(chunk.table, schema) for chunk in chunks]),
        [digest for chunk in chunks for digest in chunk.digests],
        [row for chunk in chunks for row in chunk.bad],
        [digest for chunk in chunks for digest in chunk.bad_digests],
        chunks,
    )


def from_jsonl(content: bytes, texts: Sequence[str] = (), **limits: int) -> All:
    """JSON lines from memory, read with other limits than those of files."""
    reading = Reading("a.jsonl", list(texts), BadRows("a.jsonl"), **limits)
    return put_together(list(jsonl_chunks(io.BufferedReader(io.BytesIO(content)), reading)))


def from_csv(content: bytes, texts: Sequence[str] = (), **limits: int) -> All:
    """CSV from memory, read with other limits than those of files."""
    reading = Reading("a.csv", list(texts), BadRows("a.csv"), **limits)
    stream = io.BufferedReader(io.BytesIO(content))
    return put_together(list(separated_chunks(",", stream, reading)))


def jsonl(rows: Sequence[Any]) -> bytes:
    """Rows as JSON lines; text is taken as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return "".join(line + "\n" for line in lines).encode()


def write(path: Path, content: bytes) -> Path:
    """Write bytes, zipped as the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    if path.suffix == ".zst":
        content = zst(content)
    path.write_bytes(content)
    return path


def zst(content: bytes) -> bytes:
    """Zstandard data with a checksum-free single frame, as Arrow writes it."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def tar(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A tar archive of these files in this order."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def png() -> bytes:
    """One red pixel."""
    import struct
    import zlib

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\xff\0\0")
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
