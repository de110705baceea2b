"""The Xet side of uploads: tokens for it, xorbs, shards.

The clients remember, per address, what they uploaded, and leave it out the next
time. The address that they are given therefore names the present set of xorbs: with a
new directory on an old port, or after the xorbs were removed, it is another address,
and nothing is taken for uploaded that is not there.
"""

from __future__ import annotations

import time

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hfpipe.hub.server.access import (
    base_url,
    check_signature,
    hub_of,
    param,
    sign,
    writable,
)
from hfpipe.hub.server.errors import Refusal, bad_request, bad_token
from hfpipe.hub.server.names import check_sha256
from hfpipe.hub.server.shards import MAX_SHARD, store_files, store_xorb
from hfpipe.hub.server.wire import answer, read_body
from hfpipe.hub.server.xorbs import MAX_XORB, generation, xorb_path

_PURPOSE = "xet write"
_SECONDS = 3600


def write_token(request: Request) -> Response:
    """``GET R/xet-write-token/{rev}``: where to upload to and a token for it."""
    repo, user = writable(request)
    token = sign(repo.hub, _PURPOSE, user, _SECONDS)
    expires = int(time.time()) + _SECONDS
    address = f"{base_url(request)}/xet/{generation(repo.hub)}"
    headers = {
        "X-Xet-Cas-Url": address,
        "X-Xet-Access-Token": token,
        "X-Xet-Token-Expiration": str(expires),
    }
    return answer({"casUrl": address, "exp": expires, "accessToken": token}, headers)


def _uploader(request: Request) -> str:
    """Check the token of a Xet request and name its user."""
    hub = hub_of(request)
    if param(request, "generation") != generation(hub):
        raise Refusal(404, "This address is of xorbs that were removed; ask for a new token")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise bad_token()
    return check_signature(hub, _PURPOSE, token.strip())


async def put_xorb(request: Request) -> Response:
    """``POST /v1/xorbs/default/{hash}``."""
    user, hub = _uploader(request), hub_of(request)
    xorb = check_sha256(param(request, "xorb"))
    temporary = hub.objects.temporary()
    try:
        with temporary.open("wb") as file:
            async for data in request.stream():
                file.write(data)
                if file.tell() > MAX_XORB:
                    raise bad_request(f"A xorb has at most {MAX_XORB} bytes")
        await run_in_threadpool(store_xorb, temporary, xorb_path(hub.root, user, xorb))
    finally:
        temporary.unlink(missing_ok=True)
    return answer({"was_inserted": True})


async def put_shard(request: Request) -> Response:
    """``POST /v1/shards``: the files of the shard are rebuilt before it is answered."""
    user, hub = _uploader(request), hub_of(request)
    shard = await read_body(request, MAX_SHARD)
    new = await run_in_threadpool(store_files, hub, user, shard)
    return answer({"result": 1 if new else 0})


ROUTES = [
    Route("/api/{kind}/{namespace}/{name}/xet-write-token/{revision}", write_token),
    Route("/xet/{generation}/v1/xorbs/{prefix}/{xorb}", put_xorb, methods=["POST"]),
    Route("/xet/{generation}/v1/shards", put_shard, methods=["POST"]),
]
