"""Image files that somebody else made: read, looked at, decoded under a limit."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any

from hfpipe.rows.images import defect

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 2**26
"""A larger image, of 8192 x 8192 pixels, is a decompression bomb rather than an input."""

#: Pillow would run other programs for some of the formats that it knows.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
# How files begin of which it can be told, without decoding, whether they are whole.
_FRAMED = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")

# What Pillow raises for files that are not what they seem to be.
_FAILS = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    EOFError,
    MemoryError,
    NotImplementedError,
    struct.error,
    zlib.error,
)


def read_bytes(value: Any) -> bytes | None:
    """The bytes of an image: themselves, in a struct with a ``path``, or in the file at a path.

    Args:
        value: A cell of an image column.

    Returns:
        Nothing where there is no image; no bytes where its file is not there.

    >>> read_bytes({"bytes": b"GIF", "path": None}), read_bytes(None), read_bytes("no/where.png")
    (b'GIF', None, b'')
    """
    if isinstance(value, dict):
        found = value.get("bytes")
        value = value.get("path") if found is None else found
    if value is None or isinstance(value, bytes):
        return value
    import fsspec

    try:
        with fsspec.open(value, "rb") as file:
            return file.read()
    except (OSError, ValueError, ImportError):
        return b""


def fault(content: bytes) -> str:
    """What is wrong with an image, as far as can be told without decoding it.

    >>> fault(b""), fault(b"hello")
    ('an empty file, or one that is not there', 'no image that can be read')
    """
    if not content:
        return "an empty file, or one that is not there"
    if content.startswith(_FRAMED) and (wrong := defect(content)):
        return wrong
    try:
        _opened(content)
    except ValueError as error:
        return str(error)
    return ""


def decoded(content: bytes) -> Image.Image:
    """An image in RGB, turned as its EXIF data says.

    Raises:
        ValueError: It cannot be decoded, or is too large to be.
    """
    from PIL import ImageOps

    image = _opened(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ImageOps.exif_transpose(image).convert("RGB")
    except _FAILS as error:
        raise ValueError(f"an image that cannot be decoded ({_said(error)})") from error


def _opened(content: bytes) -> Image.Image:
    """The image with nothing but its header read."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise ValueError(f"an image of more than {MAX_PIXELS:,} pixels") from None
    except _FAILS as error:
        raise ValueError("no image that can be read") from error
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(
            f"an image of {image.width} x {image.height} pixels, more than {MAX_PIXELS:,}"
        )
    return image


def _said(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
