"""Git LFS uploads: the batch answer, whole files, files in parts, the check at the end."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hfpipe.hub.server.access import (
    base_url,
    check_signature,
    hub_of,
    param,
    readable,
    sign,
    signed_in,
    writable,
)
from hfpipe.hub.server.directory import Hub
from hfpipe.hub.server.errors import Refusal, bad_request
from hfpipe.hub.server.names import KINDS, check_sha256
from hfpipe.hub.server.objects import hash_file
from hfpipe.hub.server.wire import answer, parse_object, read_body, with_json

PART_SIZE = 16 * 1024 * 1024
_MULTIPART_FROM = 2 * PART_SIZE
_SECONDS = 24 * 3600


def batch(request: Request, payload: dict[str, Any]) -> Response:
    """``POST /…/{name}.git/info/lfs/objects/batch``."""
    if payload.get("operation", "upload") != "upload":
        readable(request)
        raise bad_request("Only uploads are served here; download files by their addresses")
    repo, user = writable(request)
    objects = payload.get("objects")
    if not isinstance(objects, list) or not all(isinstance(item, dict) for item in objects):
        raise bad_request("'objects' must be a list of objects")
    parts = "multipart" in (payload.get("transfers") or [])
    verify = f"{base_url(request)}/api/lfs/verify"
    answers = [_actions(request, repo.hub, user, item, parts, verify) for item in objects]
    split = any("chunk_size" in _upload(item).get("header", {}) for item in answers)
    return answer({"transfer": "multipart" if split else "basic", "objects": answers})


def _upload(item: dict[str, Any]) -> dict[str, Any]:
    upload: dict[str, Any] = item.get("actions", {}).get("upload", {})
    return upload


def _actions(
    request: Request, hub: Hub, user: str, item: dict[str, Any], parts: bool, verify: str
) -> dict[str, Any]:
    """Say how one object is to be uploaded; without actions where it is stored already."""
    oid, size = check_sha256(item.get("oid")), item.get("size")
    if not isinstance(size, int) or size < 0:
        raise bad_request(f"{oid}: 'size' must be a whole number")
    known = {"oid": oid, "size": size}
    if hub.objects.size(oid) == size:
        return known
    purpose = f"lfs {oid} {size}"
    token = quote(sign(hub, purpose, user, _SECONDS), safe="")
    address = f"{base_url(request)}/lfs/{oid}"
    query = f"size={size}&token={token}"
    upload: dict[str, Any] = {"href": f"{address}?{query}"}
    if parts and size > _MULTIPART_FROM:
        count = math.ceil(size / PART_SIZE)
        urls = {str(i): f"{address}/parts/{i}?{query}" for i in range(1, count + 1)}
        upload["header"] = {"chunk_size": str(PART_SIZE), **urls}
    return {**known, "actions": {"upload": upload, "verify": {"href": verify}}}


def _claim(request: Request) -> tuple[str, int, str]:
    """Check an upload address; give the object, its size and whose upload it is."""
    oid = check_sha256(param(request, "oid"))
    size = request.query_params.get("size", "")
    if not size.isdecimal():
        raise bad_request("The upload address has no size")
    token = request.query_params.get("token", "")
    return oid, int(size), check_signature(hub_of(request), f"lfs {oid} {size}", token)


async def put(request: Request) -> Response:
    """``PUT`` of a whole object."""
    oid, size, _ = _claim(request)
    with hub_of(request).objects.sink() as sink:
        async for data in request.stream():
            sink.write(data)
            if sink.size > size:
                raise bad_request(f"More than the announced {size} bytes arrived")
        await run_in_threadpool(sink.publish, oid, size)
    return Response()


async def put_part(request: Request) -> Response:
    """``PUT`` of one part, written at its place in the file to be."""
    oid, size, user = _claim(request)
    number = int(request.path_params["part"])
    start = (number - 1) * PART_SIZE
    stop = min(start + PART_SIZE, size)
    if not 0 <= start < size:
        raise bad_request(f"There is no part {number} in {size} bytes")
    path = _partial(hub_of(request), oid, user)
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.seek(start)
        async for data in request.stream():
            if file.tell() + len(data) > stop:
                raise bad_request(f"Part {number} is longer than {stop - start} bytes")
            file.write(data)
            digest.update(data)
        if file.tell() != stop:
            raise bad_request(f"Part {number} has {file.tell() - start} of {stop - start} bytes")
    return Response(headers={"ETag": f'"{digest.hexdigest()}"'})


def _partial(hub: Hub, oid: str, user: str) -> Path:
    """Name the file that the parts of an upload go to."""
    return hub.root / "tmp" / f"{oid}.{user}.parts"


async def complete(request: Request) -> Response:
    """``POST`` behind the last part: the file is hashed and, if right, stored."""
    oid, size, user = _claim(request)
    sent = parse_object(await read_body(request))
    if sent.get("oid") != oid:
        raise bad_request(f"The parts are of {oid}, not of {sent.get('oid')}")
    await run_in_threadpool(_assemble, hub_of(request), oid, size, user)
    return answer({})


def _assemble(hub: Hub, oid: str, size: int, user: str) -> None:
    path = _partial(hub, oid, user)
    if hub.objects.size(oid) == size:
        return
    if not path.exists() or path.stat().st_size != size:
        raise bad_request(f"Not all parts of {oid} were uploaded")
    found = hash_file(path)
    if found != oid:
        path.unlink()
        raise bad_request(f"The content has sha256 {found}, not the announced {oid}")
    with path.open("rb") as file:
        os.fsync(file.fileno())
    hub.objects.adopt(path, oid)


def verify(request: Request, payload: dict[str, Any]) -> Response:
    """``POST /api/lfs/verify``: is the object there, and of that size?"""
    signed_in(request)
    oid = check_sha256(payload.get("oid"))
    size = hub_of(request).objects.size(oid)
    if size is None:
        raise Refusal(404, f"The large file {oid} is not stored")
    if size != payload.get("size"):
        raise bad_request(f"The large file {oid} has {size} bytes")
    return answer({})


_BATCH = "/{namespace}/{name}.git/info/lfs/objects/batch"

ROUTES = [
    *[Route(f"/{kind}{_BATCH}", with_json(batch), methods=["POST"]) for kind in KINDS[1:]],
    Route(_BATCH, with_json(batch), methods=["POST"]),
    Route("/api/lfs/verify", with_json(verify), methods=["POST"]),
    Route("/lfs/{oid}", put, methods=["PUT"]),
    Route("/lfs/{oid}", complete, methods=["POST"]),
    Route("/lfs/{oid}/parts/{part:int}", put_part, methods=["PUT"]),
]
