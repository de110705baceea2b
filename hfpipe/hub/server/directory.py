"""A hub directory: what lies where, who may use it, which repos it has.

- ``hub.json``: format, and the secret that signs upload addresses
- ``users.json``: names and the sha256 of their tokens
- ``repos/KIND/NAMESPACE/NAME/``: bare git repositories; ``hfpipe.json`` beside git's files
- ``objects/``: large files by sha256
- ``xorbs/``: what Xet clients uploaded, kept so that they may refer to it again; removing
  all of it only makes them upload more
- ``locks/``, ``tmp/``: locks between processes, files being received
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hfpipe.errors import UserError
from hfpipe.hub.server import users
from hfpipe.hub.server.errors import Refusal
from hfpipe.hub.server.files import write_json
from hfpipe.hub.server.locks import exclusive
from hfpipe.hub.server.names import KINDS, Kind
from hfpipe.hub.server.objects import ObjectStore
from hfpipe.hub.server.repository import Repo, create_repository

FORMAT = 1
_STALE_SECONDS = 24 * 3600
# "client" is the cache that hfpipe gives the clients of an embedded Hub.
_ENTRIES = {"client", "hub.json", "users.json", "repos", "objects", "xorbs", "locks", "tmp"}


class Hub:
    """An opened hub directory.

    Args:
        root: The directory.
        local_token: The token of user ``local``, known to this process only.
    """

    def __init__(self, root: Path, local_token: str | None = None) -> None:
        self.root = root.absolute()
        about = json.loads((self.root / "hub.json").read_text(encoding="utf-8"))
        self.secret: bytes = bytes.fromhex(about["secret"])
        self.objects = ObjectStore(self.root)
        self._local_token = local_token

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep other threads and processes out of ``name`` for the length of the block."""
        with exclusive(self.root / "locks" / f"{name.replace('/', '--')}.lock"):
            yield

    def user_of(self, token: str) -> str | None:
        """Say whose token it is, None where it is nobody's."""
        if self._local_token and secrets.compare_digest(token.encode(), self._local_token.encode()):
            return "local"
        return users.find(self.root / "users.json", token)

    def add_user(self, name: str) -> str:
        """Add a user and return the token, which is stored nowhere but as its sha256."""
        with self.lock("users"):
            return users.add(self.root / "users.json", name)

    def find(self, kind: Kind, namespace: str, name: str) -> Repo | None:
        """Find a repo, None where there is none of that name."""
        repo = Repo(self, kind, namespace, name)
        return repo if repo.exists() else None

    def repos(self, kind: Kind) -> Iterator[Repo]:
        """Yield the repos of one type, in the order of their ids."""
        base = self.root / "repos" / kind
        for namespace in sorted(_folders(base)):
            for name in sorted(_folders(base / namespace)):
                repo = Repo(self, kind, namespace, name)
                if repo.exists():
                    yield repo

    def all_repos(self) -> Iterator[Repo]:
        """Yield the repos of every type."""
        for kind in KINDS:
            yield from self.repos(kind)

    def create(self, kind: Kind, namespace: str, name: str, about: dict[str, Any]) -> Repo:
        """Create a repo with its first commit; an existing one is refused with 409.

        It is built aside and renamed into place, so it is there whole or not at all.
        """
        repo = Repo(self, kind, namespace, name)
        with self.lock("repos"):
            if repo.exists():
                raise Refusal(409, f"You already created this {kind[:-1]} repo: {repo.id}")
            repo.path.parent.mkdir(parents=True, exist_ok=True)
            building = self.root / "tmp" / f"{secrets.token_hex(8)}.repo"
            create_repository(building, about)
            os.rename(building, repo.path)
        return repo

    def delete(self, repo: Repo) -> None:
        """Delete a repo; its large files stay, other repos may have them too."""
        away = self.root / "tmp" / f"{secrets.token_hex(8)}.gone"
        with self.lock(repo.lock_name), self.lock("repos"):
            os.rename(repo.path, away)
        shutil.rmtree(away, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what killed servers left in ``tmp/`` more than a day ago."""
        limit = time.time() - _STALE_SECONDS
        for path in (self.root / "tmp").iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < limit:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def open_hub(root: Path, create: bool = False, local_token: str | None = None) -> Hub:
    """Open a hub directory.

    Args:
        root: The directory.
        create: Make a new one where there is nothing or an empty folder.
        local_token: The token of user ``local``, if it has one.

    Raises:
        UserError: Where ``root`` is something else than a hub directory.
    """
    if (root / "hub.json").is_file():
        _check_format(root)
    elif not create:
        if not root.exists():
            raise UserError(f"{root}: there is no such hub directory; 'hfpipe hub serve' makes one")
        raise UserError(f"{root}: not a hub directory (it has no hub.json)")
    else:
        _initialise(root)
    return Hub(root, local_token)


def _check_format(root: Path) -> None:
    """Refuse a directory that another version of hfpipe laid out differently."""
    try:
        about = json.loads((root / "hub.json").read_text(encoding="utf-8"))
        known = about["format"] == FORMAT and bool(about["secret"])
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{root}: its hub.json is damaged, so it cannot be opened") from None
    except OSError as error:
        raise UserError(f"{root}: cannot read its hub.json: {error.strerror}") from None
    if not known:
        raise UserError(f"{root}: laid out by another version of hfpipe (format {FORMAT} wanted)")


def _initialise(root: Path) -> None:
    """Make a new hub directory, unless the folder holds something else."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        foreign = sorted(set(os.listdir(root)) - _ENTRIES)
        if foreign:
            raise UserError(
                f"{root}: not a hub directory and not empty (it has {foreign[0]!r});"
                " give an empty or a new one"
            )
        (root / "tmp").mkdir(exist_ok=True)
        with exclusive(root / "locks" / "init.lock"):
            if not (root / "hub.json").exists():
                about = {"format": FORMAT, "secret": secrets.token_hex(32)}
                write_json(root / "hub.json", about)
    except OSError as error:
        raise UserError(f"{root}: cannot make a hub directory here: {error.strerror}") from None


def _folders(path: Path) -> list[str]:
    """Name the folders in ``path``; none where it does not exist."""
    try:
        return [entry.name for entry in os.scandir(path) if entry.is_dir()]
    except FileNotFoundError:
        return []
