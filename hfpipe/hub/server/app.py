"""The application: every address of the hub, and how errors are answered."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hfpipe.hub.server import accounts, committing, lfs, reading, refs, xet
from hfpipe.hub.server.access import base_url, caller
from hfpipe.hub.server.directory import open_hub
from hfpipe.hub.server.errors import Refusal, repo_not_found

_LOG = logging.getLogger("hfpipe.hub.server")


class RawPath:
    """Match addresses as they were sent, so that a quoted slash stays in its name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope.get("raw_path"):
            scope = {**scope, "path": scope["raw_path"].decode("latin-1")}
        await self._app(scope, receive, send)


def home(request: Request) -> Response:
    """``GET /``: what this is, for whoever opens it in a browser."""
    return PlainTextResponse(
        "A Hugging Face Hub of your own. Point clients at it:\n"
        f"export HF_ENDPOINT={base_url(request)}\n"
    )


def missing_repo(request: Request) -> Response:
    """Answer for what cannot be a repo here, such as a name without a namespace."""
    user = caller(request)
    raise repo_not_found(request.path_params["name"], anonymous=user is None)


async def refused(request: Request, error: Exception) -> Response:
    """Answer a refusal."""
    assert isinstance(error, Refusal)
    return JSONResponse({"error": error.message, **error.body}, error.status, error.all_headers())


async def unknown(request: Request, error: Exception) -> Response:
    """Answer for an address or a method that the hub does not know."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path} is not served by this hub"
    return await refused(request, Refusal(error.status_code, message))


async def failed(request: Request, error: Exception) -> Response:
    """Answer for a fault of the hub itself, which goes to its log."""
    return await refused(request, Refusal(500, f"The hub failed: {type(error).__name__}"))


async def gone(request: Request, error: Exception) -> Response:
    """Answer nobody: the client hung up in the middle of an upload."""
    return Response(status_code=400)


ROUTES = [
    Route("/", home),
    *accounts.ROUTES,
    *reading.ROUTES,
    *committing.ROUTES,
    *refs.ROUTES,
    *lfs.ROUTES,
    *xet.ROUTES,
    Route("/api/{kind:str}/{name}", missing_repo),
    Route("/{name}/resolve/{revision}/{path:path}", missing_repo),
]


def create_app(root: Path, token_for_local: str | None = None) -> Starlette:
    """Make the application that serves a hub directory.

    Args:
        root: The hub directory, made where there is none.
        token_for_local: The token of user ``local``; it is kept in memory only.
    """
    hub = open_hub(root, create=True, local_token=token_for_local)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        hub.sweep()
        yield

    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(RawPath)],
        exception_handlers={
            Refusal: refused,
            HTTPException: unknown,
            ClientDisconnect: gone,
            500: failed,
        },
        lifespan=lifespan,
    )
    app.state.hub = hub
    return app
