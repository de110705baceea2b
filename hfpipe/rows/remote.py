"""Inputs in S3 and wherever else fsspec reaches."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

from hfpipe.errors import HfpipeError, RunError, UserError
from hfpipe.rows.sources import Source, kind_of

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_T = TypeVar("_T")
_BLOCK = 8 * 2**20
_GLOB = ("*", "?", "[")
_WEB = ("http", "https")
_S3_LOGIN = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; FSSPEC_S3_ANON=true for a "
    "public bucket"
)


def find_remote(url: str) -> Iterator[Source]:
    """Find the files that an address stands for.

    Args:
        url: Of a file, a folder or a glob. Credentials are taken from the environment, as the
            library behind the address does it (``AWS_…`` for ``s3://``).

    Yields:
        The files, by name; of a folder or glob those of a known kind. The kind of a single file
        may be empty: not known.

    Raises:
        UserError: There is no such file, access is denied, or a library is missing.
        RunError: The service cannot be reached or fails.
    """
    shown = shown_url(url)
    filesystem, path = _filesystem(url)
    files = FsspecFiles(filesystem, shown)
    if any(sign in path for sign in _GLOB) and urlsplit(url).scheme not in _WEB:
        found = files.call(lambda: filesystem.glob(path, detail=True))
    else:
        info = files.call(lambda: filesystem.info(path))
        if info["type"] != "directory":
            yield _source(files, path, url, info)
            return
        found = files.call(lambda: filesystem.find(path, detail=True))
    for name, info in sorted(found.items()):
        address = filesystem.unstrip_protocol(name)
        hidden = name.rsplit("/", 1)[-1].startswith(".")
        if info["type"] == "file" and kind_of(name) and not hidden:
            yield _source(files, name, address, info)


def _source(files: FsspecFiles, path: str, url: str, info: dict) -> Source:
    # An address of the web has its parameters behind the name.
    name = urlsplit(path).path if urlsplit(url).scheme in _WEB else path
    shown = shown_url(url)
    return Source(
        shown,
        kind_of(name) or "",
        path,
        info.get("size"),
        FsspecFiles(files.filesystem, shown),
        identity=url,
    )


def shown_url(url: str) -> str:
    """An address as it may be shown: without a password, and without what signs it.

    >>> shown_url("https://ada:secret@example.org/a.csv?token=x"), shown_url("s3://b/a?.csv")
    ('https://example.org/a.csv', 's3://b/a?.csv')
    """
    if "://" not in url:
        return url
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if scheme in _WEB:
        path = path.partition("?")[0].partition("#")[0]
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _filesystem(url: str) -> tuple[AbstractFileSystem, str]:
    from fsspec.core import url_to_fs

    shown = shown_url(url)
    scheme = shown.partition("://")[0]
    try:
        return cast("tuple[AbstractFileSystem, str]", url_to_fs(url))
    except ImportError as error:
        need = "'hfpipe[s3]'" if scheme in ("s3", "s3a") else (error.name or "its library")
        said = str(error).split(":")[0].splitlines()[0] if scheme not in ("s3", "s3a") else ""
        fix = f"pip install {need}" if error.name or not said else said
        raise UserError(f"{shown}: what reads {scheme}:// is not installed: {fix}") from error
    except ValueError as error:
        raise UserError(
            f"{shown}: no such kind of address as {scheme}://; there is s3://, hf://, https:// and "
            "what else fsspec knows"
        ) from error
    except Exception as error:
        raise _told(error, shown) from error


@dataclass(frozen=True)
class FsspecFiles:
    """A filesystem of fsspec whose errors are ours.

    Attributes:
        filesystem: What fsspec made of the address.
        shown: The address in messages.
    """

    filesystem: AbstractFileSystem
    shown: str

    def open(self, path: str, mode: str) -> BinaryIO:
        """Open a file for reading.

        Raises:
            UserError: It is gone, or access is denied.
            RunError: The service fails.
        """
        file = self.call(lambda: self.filesystem.open(path, mode, block_size=_BLOCK))
        return cast(BinaryIO, _Guarded(file, self))

    def call(self, action: Callable[[], _T]) -> _T:
        """Do something with the filesystem.

        Raises:
            UserError: What it is done with is not there, or access is denied.
            RunError: The service fails.
        """
        with self.guard():
            return action()

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turn the errors of whatever library is behind the filesystem into ours."""
        try:
            yield
        except Exception as error:
            raise _told(error, self.shown) from error


class _Guarded(io.RawIOBase):
    """A file of fsspec whose errors are ours."""

    def __init__(self, file: BinaryIO, files: FsspecFiles) -> None:
        super().__init__()
        self._file = file
        self._files = files

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with self._files.guard():
            content = self._file.read(len(buffer))
        memoryview(buffer)[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._files.guard():
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _told(error: Exception, shown: str) -> HfpipeError:
    """One line for an error of a library, of which nothing is quoted that might be a secret."""
    kind = type(error).__name__
    if isinstance(error, HfpipeError):
        return error
    if isinstance(error, FileNotFoundError):
        return UserError(f"{shown} does not exist, or its bucket or host does not")
    s3 = shown.startswith(("s3://", "s3a://"))
    if isinstance(error, PermissionError) or "Credentials" in kind:
        return UserError(f"{shown}: access denied: {_S3_LOGIN if s3 else 'check your credentials'}")
    if isinstance(error, ImportError):
        return UserError(f"{shown}: a library is missing: pip install {error.name or kind}")
    if isinstance(error, IsADirectoryError):
        return UserError(f"{shown} is a folder: end its name with /")
    address = "check the network" + (" and AWS_ENDPOINT_URL" if s3 else "")
    return RunError(f"{shown} cannot be read ({kind}): {address}, and run the same command again")
