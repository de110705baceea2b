"""One value as text: labels and texts are strings everywhere, whatever a file holds."""

from __future__ import annotations

import base64
import json
import math
import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

_WHOLE = re.compile(r"[+-]?\d+(\.0+)?")


def text_of(value: Any) -> str | None:
    """A scalar as text; None for a missing one.

    >>> [text_of(v) for v in ("a", 3, 3.0, 2.5, True, None, float("nan"))]
    ['a', '3', '3', '2.5', 'true', None, None]
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        # Whole numbers become floats in columns with gaps: 3.0 is the label 3 again.
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    return str(value)


def is_scalar(value: Any) -> bool:
    """Whether a value can be a text or a label.

    >>> is_scalar(3), is_scalar(["a"]), is_scalar({"a": 1})
    (True, False, False)
    """
    return not isinstance(value, (list, dict, tuple, bytes))


def whole_numbers(labels: list[str | None]) -> list[str | None]:
    """Labels that are all whole numbers, written as such; other labels as they are.

    >>> whole_numbers(["3.0", None, "4.0"])
    ['3', None, '4']
    >>> whole_numbers(["3.0", "3.5"])
    ['3.0', '3.5']
    """
    if all(label is None or not label or _WHOLE.fullmatch(label) for label in labels):
        return [label.partition(".")[0] if label else label for label in labels]
    return labels


def plain(value: Any) -> Any:
    """A value as JSON can hold it: dates as ISO text, bytes as base64, NaN and infinity as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Decimal):
        return str(value)
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)


def json_text(value: Any) -> str:
    """A value as one line of JSON, with the keys in their order.

    >>> json_text({"b": [1, float("nan")], "a": "é"})
    '{"b": [1, null], "a": "é"}'
    """
    return json.dumps(plain(value), ensure_ascii=False)


def flat_text(value: Any) -> str | None:
    """Any value as text: lists and objects as JSON, bytes as base64.

    >>> flat_text(3.0), flat_text([3.0]), flat_text(b"ab"), flat_text(None)
    ('3', '[3]', 'YWI=', None)
    """
    if is_scalar(value):
        return text_of(value)
    return str(plain(value)) if isinstance(value, bytes) else canonical_json(value)


def canonical_json(value: Any) -> str:
    """A list or an object of a column of mixed types: the same text for the same values.

    Keys stand in order, what is missing is left out, and whole numbers are written as such, so
    that the text does not depend on what Arrow made of the rows around it.

    >>> canonical_json({"b": [1.0, 2.5, None], "a": "é", "c": None})
    '{"a": "é", "b": [1, 2.5, null]}'
    """
    return json.dumps(_bare(plain(value)), ensure_ascii=False, sort_keys=True)


def _bare(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {key: _bare(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_bare(each) for each in value]
    return value
