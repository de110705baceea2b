"""The server as a process of its own: ``python -m hfpipe.hub.server --dir DIR``."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn

from hfpipe.errors import HfpipeError, UserError
from hfpipe.hub.server.app import create_app


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
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise UserError(f"Cannot serve on {host} port {port}: {reason}; try --port 0") from None


def address(host: str, listening: socket.socket) -> str:
    """Give the address at which clients of this machine reach the socket."""
    port = listening.getsockname()[1]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
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


def main() -> int:
    """Run the server from the command line.

    User ``local`` has the token in ``HFPIPE_HUB_TOKEN``, if there is one. With
    ``--until-stdin-closes`` the server lives as long as whoever holds its input.
    """
    parser = argparse.ArgumentParser(prog="python -m hfpipe.hub.server")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready", type=Path, help="write the address here once it is served")
    parser.add_argument("--until-stdin-closes", action="store_true")
    options = parser.parse_args()
    token = os.environ.pop("HFPIPE_HUB_TOKEN", None)
    try:
        listening = bind(options.host, options.port)
        url = address(options.host, listening)

        def ready() -> None:
            print(json.dumps({"url": url, "pid": os.getpid()}), flush=True)
            if options.ready:
                temporary = options.ready.with_name(f"{options.ready.name}.{os.getpid()}.part")
                temporary.write_text(url + "\n", encoding="utf-8")
                os.replace(temporary, options.ready)

        until = sys.stdin.buffer.read if options.until_stdin_closes else None
        serve(options.dir, listening, token, ready, until)
    except HfpipeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
