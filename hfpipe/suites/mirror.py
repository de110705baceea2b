"""A copy of all that a suite writes, wherever fsspec reaches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hfpipe.errors import HfpipeError, RunError, UserError
from hfpipe.rows.remote import shown_url
from hfpipe.suites.cells import RUNNING

PROBE = ".hfpipe-mirror"


class Mirror:
    """Copies new and changed files below a folder to a URL; credentials are the environment's."""

    def __init__(self, url: str, folder: Path) -> None:
        """Take the URL and the folder; nothing is reached yet.

        Raises:
            UserError: fsspec knows no such address, or its library is not installed.
        """
        from fsspec.core import url_to_fs

        self.shown = shown_url(url)
        self.folder = folder
        self.sent: dict[str, tuple[int, int]] = {}
        with self._told(UserError):
            filesystem, path = url_to_fs(url)
        self.filesystem: Any = filesystem
        self.path = str(path).rstrip("/")
        if hasattr(filesystem, "auto_mkdir"):
            filesystem.auto_mkdir = True
            own = folder.absolute()
            if own == Path(self.path) or own in Path(self.path).parents:
                raise UserError(f"suite.mirror: {self.shown} lies inside {folder}, what it copies")

    def check(self) -> None:
        """Write a file there and take it away again.

        Raises:
            UserError: That fails: nothing else could be copied there either.
        """
        place = f"{self.path}/{PROBE}"
        with self._told(UserError):
            self.filesystem.pipe_file(place, b"hfpipe\n")
            self.filesystem.rm_file(place)

    def copy(self) -> int:
        """Copy what is new or changed since the last call; gives the number of files.

        Raises:
            RunError: It cannot be copied.
        """
        copied = 0
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder)
            hidden = {RUNNING, "checkpoints"} & set(name.parts) or path.name.startswith(".")
            if hidden or not path.is_file():
                continue
            state = path.stat()
            mark = (state.st_mtime_ns, state.st_size)
            if self.sent.get(name.as_posix()) != mark:
                with self._told(RunError):
                    self.filesystem.put_file(str(path), f"{self.path}/{name.as_posix()}")
                self.sent[name.as_posix()] = mark
                copied += 1
        return copied

    @contextmanager
    def _told(self, kind: type[HfpipeError]) -> Iterator[None]:
        """One line for an error of a library, of which nothing is quoted: it may hold a secret."""
        try:
            yield
        except Exception as error:
            if isinstance(error, HfpipeError):
                raise
            what = type(error).__name__
            raise kind(
                f"suite.mirror: {self.shown} cannot be written to ({what}): {_fix(error, what)}"
            ) from error


def _fix(error: Exception, what: str) -> str:
    if isinstance(error, ImportError):
        return "install the library of such addresses, as in pip install 'hfpipe[s3]'"
    if isinstance(error, FileNotFoundError):
        return "its bucket or host does not exist"
    if isinstance(error, PermissionError) or "Credentials" in what:
        return "access denied: check the credentials in the environment"
    return "check the address, the network and that you may write there"
