"""Where a cluster is, found out before Ray is asked: it would ask on for minutes."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from hfpipe.errors import UserError

SCHEME = "ray://"
#: Seconds to wait for an answer from the address.
PATIENCE = 5
#: The port that ``ray start --head`` takes where none is named, and that of Ray Client.
PORT, CLIENT_PORT = 6379, 10001
LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: What a client of HTTP/2, and so of gRPC, says first, and the kind of frame that answers it.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4


def head_address(name: str) -> tuple[str, int] | None:
    """Where the head of a cluster listens; None where a cluster is to be started.

    Args:
        name: What ``--engine`` says.

    Raises:
        UserError: It is no address, or nothing there speaks as a cluster does.
    """
    said = name.partition("://")[2]
    if name.startswith(SCHEME) and not said:
        raise UserError(f"--engine {name}: give the address of the cluster's head: ray://HOST:PORT")
    said = said or os.environ.get("RAY_ADDRESS", "").removeprefix(SCHEME)
    if said in ("", "local"):
        return None
    host, _, port = said.rpartition(":") if ":" in said else (said, "", str(PORT))
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise UserError(f"--engine {name}: '{said}' is no address: write ray://HOST:PORT")
    why = _silence(host, int(port))
    if int(port) == CLIENT_PORT or why:
        raise unreachable(name, why or "Ray Client cannot be used")
    return host, int(port)


def _silence(host: str, port: int) -> str | None:
    """Why nothing that could be a cluster answers; None if it does."""
    try:
        with socket.create_connection((host, port), timeout=PATIENCE) as connection:
            connection.sendall(_GREETING)
            frame = connection.recv(9)
    except OSError as error:
        return error.strerror or str(error)
    return None if frame[3:4] == bytes([_SETTINGS]) else "something else listens there"


def unreachable(name: str, why: str) -> UserError:
    """That there is no cluster, and where to find its address."""
    return UserError(
        f"--engine {name}: no Ray cluster answers there ({why}): give the address that 'ray start "
        f"--head' printed; its port is {PORT} by default, not Ray Client's {CLIENT_PORT}"
    )


def prepare_environment(address: tuple[str, int] | None) -> None:
    """Set what Ray reads when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # binds all of it to loopback
        return
    host, port = address
    if host in LOOPBACK and _silence(_own_address(), port):  # its nodes are called 127.0.0.1
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    token = os.environ.get("RAY_AUTH_TOKEN") or (Path.home() / ".ray" / "auth_token").is_file()
    if token and host in (*LOOPBACK, _own_address()):  # a token goes to no other machine unasked
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _own_address() -> str:
    """By which address others reach this machine."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            return str(probe.getsockname()[0])
    except OSError:
        return LOOPBACK[0]


def joined(address: tuple[str, int]) -> str:
    """An address as it is written.

    >>> joined(("::1", 6379))
    '[::1]:6379'
    """
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
