"""Row ids: from what a row says, so that neither the order nor the number of rows changes them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson

ROW_ID = "row_id"


def row_digest(row: Mapping[str, Any]) -> str:
    """A hash of a row's values; a missing value counts like an absent column.

    >>> row_digest({"a": 1, "b": None}) == row_digest({"a": 1})
    True
    >>> row_digest({"a": 1, "b": 2**70}) == row_digest({"b": 2**70, "a": 1})
    True
    """
    return raw_digest(canonical(row))


def row_digests(rows: Iterable[dict[str, Any]]) -> list[str]:
    """The hash of each of many rows: ``row_digest``, in a third of the time.

    >>> row_digests([{"a": 1, "b": None}]) == [row_digest({"a": 1})]
    True
    """
    digests = []
    dumps, sort = orjson.dumps, orjson.OPT_SORT_KEYS
    for row in rows:
        try:
            said = dumps(row, _said, sort)
        except orjson.JSONEncodeError:
            said = canonical(row)
        if b":null" in said:
            said = canonical(row)
        digests.append(blake2b(said, digest_size=10).hexdigest())
    return digests


def canonical(row: Mapping[str, Any]) -> bytes:
    """A row's values as JSON, the same for the same values: keys in order, nothing missing.

    Raises:
        RecursionError: It is nested deeper than 250 levels.

    >>> canonical({"b": "é", "a": 1, "c": None}).decode()
    '{"a":1,"b":"é"}'
    """
    try:
        said = orjson.dumps(row, default=_said, option=orjson.OPT_SORT_KEYS)
        if b":null" not in said:
            return said
        kept = {str(key): value for key, value in row.items() if value is not None}
        return orjson.dumps(kept, default=_said, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        if "ecursion" in str(error):
            raise RecursionError(str(error)) from error
    # Integers beyond 64 bits, which orjson refuses.
    kept = {str(key): value for key, value in row.items() if value is not None}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), default=_said)
    return text.encode()


def _said(value: Any) -> str:
    """What JSON has no type for, as text; bytes, which may be an image's, by their hash."""
    return raw_digest(value) if isinstance(value, bytes) else str(value)


def raw_digest(content: bytes) -> str:
    """A hash of bytes: 20 hex digits, so that a billion rows still have distinct ones."""
    return blake2b(content, digest_size=10).hexdigest()


def number_repeats(digests: Sequence[str]) -> list[str]:
    """Make ids of hashes: the second row that says the same gets ``-2``, and so on.

    >>> number_repeats(["a", "b", "a"])
    ['a', 'b', 'a-2']
    """
    seen: Counter[str] = Counter()
    ids = []
    for digest in digests:
        seen[digest] += 1
        ids.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return ids
