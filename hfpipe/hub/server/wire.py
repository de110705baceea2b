"""Reading requests and writing answers: JSON bodies, forms, ranges, pages."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from hfpipe.hub.server.access import base_url
from hfpipe.hub.server.errors import Refusal, bad_request

Item = TypeVar("Item")
_MAX_BODY = 32 * 1024 * 1024


async def read_body(request: Request, limit: int = _MAX_BODY) -> bytes:
    """Read a body that fits in memory; a larger one is refused with 413."""
    body = bytearray()
    async for data in request.stream():
        body += data
        if len(body) > limit:
            raise Refusal(413, f"The request has more than {limit} bytes")
    return bytes(body)


def with_json(
    function: Callable[[Request, dict[str, Any]], Response],
) -> Callable[[Request], Awaitable[Response]]:
    """Make an endpoint of a function that takes the JSON object sent to it."""

    async def endpoint(request: Request) -> Response:
        body = await read_body(request)
        return await run_in_threadpool(function, request, parse_object(body))

    return endpoint


def with_form(
    function: Callable[[Request, dict[str, list[str]]], Response],
) -> Callable[[Request], Awaitable[Response]]:
    """Make an endpoint of a function that takes the fields of the form sent to it."""

    async def endpoint(request: Request) -> Response:
        body = await read_body(request)
        if "json" in request.headers.get("content-type", ""):
            sent = parse_object(body).items()
            fields = {key: value if isinstance(value, list) else [value] for key, value in sent}
            return await run_in_threadpool(function, request, fields)
        try:
            fields = parse_qs(body.decode("ascii"), keep_blank_values=True)
        except (UnicodeDecodeError, ValueError):
            raise bad_request("The form is not URL-encoded") from None
        return await run_in_threadpool(function, request, fields)

    return endpoint


def parse_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object; an empty body is an empty one."""
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise bad_request(f"The body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise bad_request("The body is not a JSON object")
    return value


def text_of(payload: dict[str, Any], key: str, default: str | None = None) -> str:
    """Give a text of a JSON object."""
    value = payload.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise bad_request(f"'{key}' must be a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise bad_request(f"'{key}' is not valid Unicode") from None
    return value


def flag(request: Request, name: str) -> bool:
    """Say whether a query parameter is switched on."""
    return request.query_params.get(name, "").lower() in ("1", "true", "yes")


def number(request: Request, name: str, default: int, largest: int) -> int:
    """Read a query parameter that is a whole number, kept at or below ``largest``."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not text.isdecimal():
        raise bad_request(f"'{name}' must be a whole number, not {text!r}")
    return min(int(text), largest)


def page(
    request: Request, items: Sequence[Item], size: int, path: str | None = None
) -> tuple[Sequence[Item], dict[str, str]]:
    """Cut one page out of ``items``.

    Args:
        request: Says by ``cursor`` where the page starts.
        items: All of them, in an order that does not change between two pages.
        size: Items on a page.
        path: Where the next page is, the same address where None.

    Returns:
        The page and the headers that lead to the next one.
    """
    start = number(request, "cursor", 0, len(items))
    stop = start + max(size, 1)
    if stop >= len(items):
        return items[start:], {}
    kept = [(key, value) for key, value in request.query_params.multi_items() if key != "cursor"]
    query = urlencode([*kept, ("cursor", str(stop))])
    address = f"{base_url(request)}{path or request.scope['path']}?{query}"
    return items[start:stop], {"Link": f'<{address}>; rel="next"'}


def answer(value: object, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    """Answer with JSON."""
    return JSONResponse(value, status, headers)


def content(
    request: Request,
    size: int,
    read: Callable[[int, int], Iterator[bytes]],
    headers: dict[str, str],
) -> Response:
    """Answer with a file, or with the one range of it that was asked for.

    Args:
        request: GET or HEAD, perhaps with a ``Range``.
        size: The file's size.
        read: Yields the bytes from a start to a stop (exclusive).
        headers: The headers of the file.
    """
    start, stop = _range(request.headers.get("range", ""), size)
    partial = (start, stop) != (0, size)
    headers = {**headers, "Accept-Ranges": "bytes", "Content-Length": str(stop - start)}
    if partial:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    status = 206 if partial else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(read(start, stop), status, headers)


def _range(header: str, size: int) -> tuple[int, int]:
    """Read a ``Range`` header; one of another form means the whole file.

    >>> _range("bytes=10-19", 100), _range("bytes=-5", 100), _range("", 100)
    ((10, 20), (95, 100), (0, 100))
    """
    unit, _, spec = header.partition("=")
    first, dash, last = spec.strip().partition("-")
    numbers = all(text.isdecimal() or not text for text in (first, last)) and (first or last)
    if unit.strip().lower() != "bytes" or not dash or not numbers:
        return 0, size
    if not first:
        start, stop = max(size - int(last), 0), size
        bad = int(last) == 0
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        bad = bool(last) and int(last) < int(first)
    if bad or start >= size:
        message = f"The file has {size} bytes; {header} is outside of it"
        raise Refusal(416, message, headers={"Content-Range": f"bytes */{size}"})
    return start, stop
