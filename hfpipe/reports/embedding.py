"""Small pictures put into a page as ``data:`` addresses, so that it needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

MOST_BYTES = 2_000_000
"""All pictures of a page together; a thumbnail of 128 x 128 pixels has some 5,000 bytes."""
SIGNATURES: Mapping[bytes, str] = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def embedded(pictures: Mapping[str, bytes], ids: Sequence[str]) -> tuple[dict[str, str], int]:
    r"""The addresses of some rows' pictures, in order, as long as there is room.

    Args:
        pictures: Row id to PNG or JPEG; what is neither is left out.
        ids: The rows that are shown.

    Returns:
        Row id to ``data:`` address, and how many pictures there was no room for.

    >>> found, left_out = embedded({"r1": b"\xff\xd8\xff...", "r2": b"<svg>"}, ["r1", "r2", "r3"])
    >>> found, left_out
    ({'r1': 'data:image/jpeg;base64,/9j/Li4u'}, 0)
    """
    found: dict[str, str] = {}
    room, left_out = MOST_BYTES, 0
    for row_id in ids:
        content = pictures.get(row_id, b"")
        kind = next((name for start, name in SIGNATURES.items() if content.startswith(start)), None)
        if kind is None:
            continue
        if len(content) > room:
            left_out += 1
            continue
        room -= len(content)
        found[row_id] = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return found, left_out
