"""Git LFS pointers: the few lines that stand in git for a large file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_VERSION = "version https://git-lfs.github.com/spec/v1\n"
_POINTER = re.compile(re.escape(_VERSION) + r"oid sha256:([0-9a-f]{64})\nsize (\d+)\n\Z")
_MAX_POINTER = 200


@dataclass(frozen=True)
class Pointer:
    """A large file: its sha256 and its size in bytes."""

    sha256: str
    size: int

    def text(self) -> bytes:
        """Write the pointer as git stores it.

        >>> Pointer("ab" * 32, 12).text().decode().splitlines()[2]
        'size 12'
        """
        return f"{_VERSION}oid sha256:{self.sha256}\nsize {self.size}\n".encode()

    def wire(self) -> dict[str, object]:
        """Describe the large file as the tree and paths-info answers do."""
        return {"oid": self.sha256, "size": self.size, "pointerSize": len(self.text())}


@lru_cache(maxsize=65536)
def _parse(text: str) -> Pointer | None:
    match = _POINTER.match(text)
    return Pointer(match[1], int(match[2])) if match else None


def parse_pointer(data: bytes) -> Pointer | None:
    """Read a pointer; None where ``data`` is something else.

    >>> parse_pointer(Pointer("ab" * 32, 12).text()).size
    12
    >>> parse_pointer(b"hello") is None
    True
    """
    if len(data) > _MAX_POINTER or not data.startswith(_VERSION.encode()):
        return None
    return _parse(data.decode("ascii", "replace"))
