"""Running the application: the socket, the address, the server's life."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn

from hfpipe.errors import UserError
from hfpipe.hub.server.app import create_app

# Listening on all addresses is the user's choice; this only finds one to print.
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104
_LOOKUP_ERRORS = (socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL)


def bind(host: str, port: int) -> socket.socket:
    """Take the port, so that the address is known before the server runs.

    Raises:
        UserError: Where the port is in use or the host is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OverflowError:
        raise UserError(f"--port {port}: a port is a number from 0 to 65535") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"--port {port}: it is in use on {host}; --port 0 takes any") from None
        if error.errno == errno.EADDRNOTAVAIL or _unknown_name(error):
            raise UserError(f"--host {host}: not an address of this machine") from None
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(f"Cannot serve on {host} port {port}: {reason}") from None


def _unknown_name(error: OSError) -> bool:
    """Say whether a host could not be looked up."""
    return isinstance(error, socket.gaierror) or error.errno in _LOOKUP_ERRORS


def address(host: str, listening: socket.socket) -> str:
    """Give the address at which clients of this machine reach the socket."""
    port = listening.getsockname()[1]
    if host in _EVERY_ADDRESS:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """A server that says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then say so."""
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()


def serve(
    directory: Path,
    listening: socket.socket,
    token: str | None = None,
    ready: Callable[[], None] = lambda: None,
    until: Callable[[], object] | None = None,
) -> None:
    """Serve a hub directory until the process is told to end.

    Args:
        directory: The hub directory.
        listening: A socket of :func:`bind`.
        token: The token of user ``local``.
        ready: Called once requests are answered.
        until: Waited for in a thread; when it returns, the server ends.
    """
    config = uvicorn.Config(
        create_app(directory, token),
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=3,
        timeout_keep_alive=60,
        ws="none",
    )
    server = _Server(config, ready)
    if until is not None:

        def end() -> None:
            until()
            server.should_exit = True

        threading.Thread(target=end, daemon=True).start()
    server.run(sockets=[listening])
