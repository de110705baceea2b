"""Lines of a file, read in blocks, with one that is too long passed over unread."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from hashlib import blake2b

_BLOCK = 2 * 2**20


class LongLine:
    """A line that is not held in memory.

    >>> line = LongLine(9)
    >>> line.take(b"c" * 60)
    >>> line.take(b"c" * 39)
    >>> line.reason, line.digest[:6]
    ('a line of 99 bytes, more than 9', '4ea30b')
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._size = 0
        self._hash = blake2b(digest_size=10)

    def take(self, part: bytes) -> None:
        """Count and hash a part of it."""
        self._size += len(part)
        self._hash.update(part)

    @property
    def reason(self) -> str:
        """What is wrong with it."""
        return f"a line of {self._size:,} bytes, more than {self._largest:,}"

    @property
    def digest(self) -> str:
        """A hash of what it says."""
        return self._hash.hexdigest()


def line_blocks(
    stream: io.BufferedReader, largest: int, most: int = 2**30
) -> Iterator[tuple[Sequence[bytes], LongLine | None]]:
    r"""Read the lines of a file, some at a time.

    Args:
        stream: The file.
        largest: A line of more bytes is passed over.
        most: So many lines at a time at most.

    Yields:
        Lines without their line feeds, and the line after them where that is too long.

    >>> blocks = line_blocks(io.BufferedReader(io.BytesIO(b"a\nb\n" + b"c" * 99 + b"\nd")), 9)
    >>> [(lines, long and long.reason) for lines, long in blocks]
    [([b'a', b'b'], 'a line of 99 bytes, more than 9'), ([b'd'], None)]
    """
    begun: list[bytes] = []  # of a line whose end has not come yet
    passed: LongLine | None = None
    while block := stream.read(_BLOCK):
        if passed is not None:
            line, feed, block = block.partition(b"\n")
            passed.take(line)
            if not feed:
                continue
            yield [], passed
            passed = None
        cut = block.rfind(b"\n")
        if cut >= 0:
            lines = b"".join([*begun, block[:cut]]).split(b"\n")
            begun = []
            yield from _portions(lines, largest, most)
        begun.append(block[cut + 1 :])
        if sum(map(len, begun)) > largest:
            passed = LongLine(largest)
            for part in begun:
                passed.take(part)
            begun = []
    if passed is not None:
        yield [], passed
    elif any(begun):
        yield from _portions([b"".join(begun)], largest, most)


def _portions(
    lines: list[bytes], largest: int, most: int
) -> Iterator[tuple[Sequence[bytes], LongLine | None]]:
    start = 0
    for place in [place for place, line in enumerate(lines) if len(line) > largest]:
        passed = LongLine(largest)
        passed.take(lines[place])
        yield lines[start:place], passed
        start = place + 1
    for first in range(start, len(lines), most):
        yield lines[first : first + most], None
