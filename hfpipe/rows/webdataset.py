"""WebDataset shards: tar archives in which the files of one name are one sample."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hfpipe.errors import UserError
from hfpipe.rows.identity import canonical, raw_digest
from hfpipe.rows.images import defect
from hfpipe.rows.jsonl import Rows, parse_line, reason_of, row_chunks
from hfpipe.rows.records import FileRows, Reading

KEY = "key"
IMAGE = "image"
IMAGES = ("png", "jpg", "jpeg", "webp")
# As WebDataset splits names: the key ends at the first dot behind the last slash.
_NAME = re.compile(r"((?:.*/)?[^./][^/.]*)\.([^/]+)", re.DOTALL)
_REST = 2**16
_TAR_FAILS = (tarfile.TarError, ValueError, OverflowError, IndexError, KeyError, TypeError)


@dataclass
class _Sample:
    key: str
    members: dict[str, bytes] = field(default_factory=dict)
    wrong: str = ""

    @property
    def digest(self) -> str:
        parts = [self.key.encode(errors="surrogateescape"), *self.members.values()]
        return raw_digest(b"".join(parts))


class _Member(tarfile.TarInfo):
    """A member that is refused where its header is damaged: tarfile would end there in silence."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Member:
        try:
            member = super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error
        if member.size < 0:
            raise tarfile.ReadError("a member of negative size")
        return member


def webdataset_chunks(stream: io.BufferedReader, reading: Reading) -> Iterator[FileRows]:
    """Read a shard chunk by chunk; nothing is unpacked to the disk.

    A sample's row has ``key``, and by the extension of its files: ``txt`` as text, ``cls`` as a
    whole number, ``npy`` as a list, the fields of ``json``, an image as ``image`` with its
    ``bytes`` and ``path``; other files as bytes. Of ``left.png`` the column is ``left``.

    Args:
        stream: The shard, unzipped.
        reading: What to look for; takes the bad samples.

    Yields:
        Chunks, at least one.

    Raises:
        UserError: It is no tar archive, or is damaged or cut off.
    """
    columns: dict[str, None] = {}
    rows, size, some = Rows(), 0, False
    for sample in _samples(stream, reading):
        _take(sample, rows, reading)
        size += sum(map(len, sample.members.values()))
        held = len(rows) + len(reading.bad.digests)
        if held >= reading.chunk_rows or size >= reading.chunk_bytes:
            yield from row_chunks(rows, reading, columns)
            rows, size, some = Rows(), 0, True
    if len(rows) or reading.bad.digests or not some:
        yield from row_chunks(rows, reading, columns)


def _take(sample: _Sample, rows: Rows, reading: Reading) -> None:
    try:
        if sample.wrong:
            raise ValueError(sample.wrong)
        row = sample_row(sample.key, sample.members)
        rows.add(row, raw_digest(canonical(row)), 0)
    except (ValueError, RecursionError) as error:
        shown = sample.key.encode(errors="backslashreplace").decode()
        reading.bad.add(0, f"sample '{shown}': {reason_of(error)}", sample.digest)


def _samples(stream: io.BufferedReader, reading: Reading) -> Iterator[_Sample]:
    """Members that follow each other and have one key."""
    sample: _Sample | None = None
    seen: set[str] = set()
    for key, extension, content in _members(stream, reading):
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample = _Sample(key)
            if key in seen:
                sample.wrong = "its files do not follow each other: sort them by name"
            seen.add(key)
        if content is None:
            sample.wrong = f".{extension} is larger than {reading.largest_row:,} bytes"
        elif extension in sample.members:
            sample.wrong = f"has two .{extension} files"
        else:
            sample.members[extension] = content
    if sample is not None:
        yield sample


def _members(
    stream: io.BufferedReader, reading: Reading
) -> Iterator[tuple[str, str, bytes | None]]:
    """Key, extension and content of every file; no content where it is too large."""
    with _damage(reading.file):
        archive = tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member)  # noqa: SIM115
    while True:
        with _damage(reading.file):
            member = archive.next()
            archive.members = []  # type: ignore[attr-defined]  # else it remembers all
            if member is None:
                _check_end(archive)
                return
            match = _NAME.fullmatch(member.name)
            if match is None or not member.isfile() or "__MACOSX/" in member.name:
                continue
            content = None
            if member.size <= reading.largest_row:
                file = archive.extractfile(member)
                content = file.read() if file else b""
        yield match[1], match[2].lower(), content


def _check_end(archive: tarfile.TarFile) -> None:
    """Read to the end: behind the end mark there is nothing."""
    rest: Any = archive.fileobj
    while block := rest.read(_REST):
        if block.count(0) != len(block):
            raise tarfile.ReadError("something stands behind its end mark")


class _damage:  # noqa: N801
    """Turns the errors of tarfile into one line."""

    def __init__(self, file: str) -> None:
        self._file = file

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _TAR_FAILS):
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"{self._file}: damaged, cut off or no tar archive ({said}): fetch or pack it again"
            ) from error


def sample_row(key: str, members: dict[str, bytes]) -> dict[str, Any]:
    """One sample as a row.

    Args:
        key: The name that its files share.
        members: The files by extension.

    Raises:
        ValueError: One of them is not what its extension says.

    >>> sample_row("a/1", {"txt": b"hello", "cls": b"3", "json": b'{"n": [1], "txt": 0}'})
    {'key': 'a/1', 'txt': 'hello', 'cls': 3, 'n': [1], 'json.txt': 0}
    """
    row: dict[str, Any] = {KEY: _text(key.encode(errors="surrogateescape"))}
    fields: dict[str, Any] = {}
    for extension, content in members.items():
        before, _, last = extension.rpartition(".")
        try:
            if extension == "json":
                fields = parse_line(content, ())
                continue
            value = _image(key, last, content) if last in IMAGES else _decoded(last, content)
        except (ValueError, RecursionError) as error:
            raise ValueError(f".{extension}: {reason_of(error)}") from error
        name = before or (IMAGE if last in IMAGES else last)
        if name in row:
            raise ValueError(f"two of its files are '{name}'")
        row[_text(name.encode(errors="surrogateescape"))] = value
    for name, value in fields.items():
        if name not in row:
            row[name] = value
        elif row[name] != value:
            row[f"json.{name}"] = value
    return row


def _decoded(extension: str, content: bytes) -> Any:
    read = _DECODERS.get(extension)
    return read(content) if read else content


def _text(content: bytes) -> str:
    return content.decode("utf-8")


def _image(key: str, extension: str, content: bytes) -> dict[str, Any]:
    wrong = defect(content)
    if wrong:
        raise ValueError(wrong)
    return {"bytes": content, "path": f"{key.rpartition('/')[2]}.{extension}"}


def _array(content: bytes) -> list[Any]:
    import numpy as np

    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (EOFError, SyntaxError, TypeError, MemoryError, OSError) as error:
        raise ValueError(f"no array ({type(error).__name__})") from error
    if array.dtype.kind not in "biufU":
        raise ValueError(f"an array of {array.dtype}")
    values = array.tolist()
    return values if isinstance(values, list) else [values]


def _json(content: bytes) -> Any:
    return parse_line(content, ())


_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "txt": _text,
    "text": _text,
    "cls": int,
    "npy": _array,
    "json": _json,
}
