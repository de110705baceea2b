"""The application: every address of the hub, and how errors are answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hfpipe.hub.server import accounts, committing, lfs, reading, refs, xet
from hfpipe.hub.server.access import base_url, caller
from hfpipe.hub.server.directory import open_hub
from hfpipe.hub.server.errors import Refusal, repo_not_found

_MAX_DRAIN = 128 * 1024 * 1024


class Transport:
    """What clients need that Starlette does not do by itself.

    Addresses are matched as they were sent, so that a quoted slash stays in its name.
    And a refused upload is read to its end before it is answered: a client that is
    still sending would find the connection closed and never see why.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope.get("raw_path"):
            scope = {**scope, "path": scope["raw_path"].decode("latin-1")}
        body = _Body(receive)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                await body.drain()
            await send(message)

        await self._app(scope, body.receive, answer)


class _Body:
    """The body of a request, and whether all of it was read."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._done = False

    async def receive(self) -> Message:
        """Read on."""
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            self._done = True
        return message

    async def drain(self) -> None:
        """Read what is left, up to a limit, and forget it."""
        left = _MAX_DRAIN
        while not self._done and left > 0:
            left -= len((await self.receive()).get("body", b""))


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
    Route("/api/{kind}/{name}", missing_repo),
    Route("/api/{kind}/{name}/revision/{revision}", missing_repo),
    Route("/api/{kind}/{name}/tree/{revision}", missing_repo),
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
        middleware=[Middleware(Transport)],
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
