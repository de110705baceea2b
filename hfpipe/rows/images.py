"""Whether bytes are a whole image: PNG, JPEG or WebP, by their framing, without decoding it."""

from __future__ import annotations

import zlib

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"


def defect(content: bytes) -> str:
    """What is wrong with an image; empty where nothing is.

    >>> defect(b""), defect(b"GIF89a"), defect(b"RIFF" + bytes([4, 0, 0, 0]) + b"WEBP")
    ('an empty image', 'no PNG, JPEG or WebP image', '')
    """
    if not content:
        return "an empty image"
    if content.startswith(_PNG):
        return _png_defect(content)
    if content.startswith(_JPEG):
        return "" if _JPEG_END in content[-65536:] else "a JPEG image that is cut off"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        size = int.from_bytes(content[4:8], "little")
        return "" if len(content) >= size + 8 else "a WebP image that is cut off"
    return "no PNG, JPEG or WebP image"


def _png_defect(content: bytes) -> str:
    """Walk the chunks: length, name, body, checksum of name and body."""
    place = len(_PNG)
    while place + 12 <= len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")
        name = content[place + 4 : place + 8]
        checksum = int.from_bytes(content[end : end + 4], "big")
        if len(content) < end + 4:
            break
        if zlib.crc32(content[place + 4 : end]) != checksum:
            return "a damaged PNG image"
        if name == b"IEND":
            return ""
        place = end + 4
    return "a PNG image that is cut off"
