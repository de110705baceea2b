"""One repo: a bare git repository and what the Hub knows beside git."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pygit2
from pygit2.enums import ConfigLevel, FileMode

from hfpipe.hub.server.errors import entry_not_found, revision_not_found
from hfpipe.hub.server.files import write_json
from hfpipe.hub.server.names import Kind
from hfpipe.hub.server.pointers import Pointer, parse_pointer

if TYPE_CHECKING:
    from hfpipe.hub.server.directory import Hub

# What a new repo sends to large file storage whatever its size, as the public Hub does.
_LARGE = """*.7z *.arrow *.bin *.bz2 *.ckpt *.ftz *.gz *.h5 *.joblib *.lfs.* *.mlmodel *.model
*.msgpack *.npy *.npz *.onnx *.ot *.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors
saved_model/**/* *.tar.* *.tar *.tflite *.tgz *.wasm *.xz *.zip *.zst *tfevents*"""
GITATTRIBUTES = "".join(f"{glob} filter=lfs diff=lfs merge=lfs -text\n" for glob in _LARGE.split())

_SHA = re.compile(r"[0-9a-f]{7,40}\Z")

# The repositories belong to the hub alone: neither the user's git settings nor
# the owner of a mounted folder may change how they are read.
for _level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL, ConfigLevel.PROGRAMDATA):
    pygit2.settings.search_path[_level] = ""
pygit2.settings.owner_validation = False


@dataclass(frozen=True)
class Entry:
    """A file or a folder in one revision."""

    path: str
    is_folder: bool
    oid: str
    size: int = 0
    pointer: Pointer | None = None

    @property
    def etag(self) -> str:
        """What names the content: sha256 of a large file, git's sha1 of another."""
        return self.pointer.sha256 if self.pointer else self.oid

    def wire(self) -> dict[str, Any]:
        """Describe the entry as the tree and paths-info answers do."""
        if self.is_folder:
            return {"type": "directory", "oid": self.oid, "size": 0, "path": self.path}
        lfs = {"lfs": self.pointer.wire()} if self.pointer else {}
        return {"type": "file", "oid": self.oid, "size": self.size, "path": self.path, **lfs}


class Repo:
    """A model, dataset or space in a hub directory."""

    def __init__(self, hub: Hub, kind: Kind, namespace: str, name: str) -> None:
        self.hub = hub
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.path = hub.root / "repos" / kind / namespace / name

    @property
    def id(self) -> str:
        """The repo's id, ``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def url_path(self) -> str:
        """Where its pages are: the id, behind the type where it is not a model."""
        return self.id if self.kind == "models" else f"{self.kind}/{self.id}"

    @property
    def lock_name(self) -> str:
        """The name of the lock around its refs."""
        return f"{self.kind}/{self.id}"

    def exists(self) -> bool:
        """Say whether it is there."""
        return (self.path / "hfpipe.json").is_file()

    @functools.cached_property
    def about(self) -> dict[str, Any]:
        """What is kept beside git: ``private``, ``created`` and, for a space, ``sdk``."""
        loaded: dict[str, Any] = json.loads((self.path / "hfpipe.json").read_text("utf-8"))
        return loaded

    def change(self, **values: Any) -> None:
        """Change what is kept beside git."""
        with self.hub.lock(self.lock_name):
            self.__dict__.pop("about", None)
            write_json(self.path / "hfpipe.json", {**self.about, **values})
            del self.about

    @property
    def private(self) -> bool:
        """Whether only its owner may see it."""
        return bool(self.about.get("private"))

    @functools.cached_property
    def git(self) -> pygit2.Repository:
        """The git repository, opened for this request."""
        return pygit2.Repository(str(self.path))

    def commit_at(self, revision: str) -> pygit2.Commit:
        """Find the commit that a branch, tag, ref or commit id names."""
        for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if name.startswith("refs/"):
                commit = self.ref(name)
                if commit is not None:
                    return commit
        if _SHA.match(revision):
            try:
                found = self.git.get(revision)
            except ValueError:  # an abbreviation that several objects share
                found = None
            if isinstance(found, pygit2.Commit):
                return found
        raise revision_not_found(self.id, revision)

    def ref(self, name: str) -> pygit2.Commit | None:
        """Give the commit a full ref name points to, None where there is no such ref."""
        if not pygit2.reference_is_valid_name(name):
            return None
        reference = self.git.references.get(name)
        return reference.peel(pygit2.Commit) if reference else None

    def refs(self, prefix: str) -> Iterator[tuple[str, pygit2.Commit]]:
        """Yield the refs below ``prefix`` and their commits, in alphabetical order."""
        for name in sorted(self.git.references):
            if name.startswith(prefix):
                yield name, self.git.references[name].peel(pygit2.Commit)

    def entry(self, commit: pygit2.Commit, path: str) -> Entry:
        """Find one file or folder; a missing one is refused with 404."""
        try:
            return self._entry(path, commit.tree[path])
        except (KeyError, ValueError, UnicodeEncodeError):
            raise entry_not_found(path, str(commit.id)) from None

    def entries(
        self, commit: pygit2.Commit, path: str = "", recursive: bool = False
    ) -> Iterator[Entry]:
        """Yield what is in a folder, in git's order, each folder before what it holds."""
        tree: Any = commit.tree
        if path:
            tree = tree[path] if self.entry(commit, path).is_folder else None
            if tree is None:
                raise entry_not_found(path, str(commit.id))
        yield from self._walk(tree, f"{path}/" if path else "", recursive)

    def _walk(self, tree: Any, prefix: str, recursive: bool) -> Iterator[Entry]:
        for item in tree:
            yield self._entry(prefix + item.name, item)
            if recursive and isinstance(item, pygit2.Tree):
                yield from self._walk(item, f"{prefix}{item.name}/", recursive)

    def _entry(self, path: str, item: Any) -> Entry:
        oid = str(item.id)
        if isinstance(item, pygit2.Tree):
            return Entry(path, True, oid)
        size, pointer = _facts(oid, item)
        return Entry(path, False, oid, pointer.size if pointer else size, pointer)

    def read(self, entry: Entry) -> bytes:
        """Give the content of a file that git itself holds."""
        blob = self.git[entry.oid]
        assert isinstance(blob, pygit2.Blob)
        return blob.data

    def read_path(self, commit: pygit2.Commit, path: str) -> bytes | None:
        """Give the content of a small file, None where there is none."""
        try:
            item = commit.tree[path]
        except KeyError:
            return None
        return item.data if isinstance(item, pygit2.Blob) else None


_SEEN: dict[str, tuple[int, Pointer | None]] = {}


def _facts(oid: str, item: Any) -> tuple[int, Pointer | None]:
    """Give a blob's size and pointer; remembered, since a blob never changes."""
    if oid not in _SEEN:
        if len(_SEEN) > 200_000:
            _SEEN.clear()
        _SEEN[oid] = (item.size, parse_pointer(item.data) if item.size < 200 else None)
    return _SEEN[oid]


def create_repository(path: Path, about: dict[str, Any]) -> None:
    """Make a bare git repository with the first commit that every repo starts from."""
    git = pygit2.init_repository(str(path), bare=True, initial_head="main")
    index = pygit2.Index()
    blob = git.create_blob(GITATTRIBUTES.encode())
    index.add(pygit2.IndexEntry(".gitattributes", blob, FileMode.BLOB))
    author = signature("system")
    tree = index.write_tree(git)
    git.create_commit("refs/heads/main", author, author, "initial commit", tree, [])
    write_json(path / "hfpipe.json", {"created": iso(author.time), **about})


def signature(user: str) -> pygit2.Signature:
    """Sign a commit as ``user``, now, in UTC."""
    return pygit2.Signature(
        user, f"{user}@users.noreply.hub", int(datetime.now(UTC).timestamp()), 0
    )


def iso(seconds: float) -> str:
    """Write a time as the Hub's answers do.

    >>> iso(0)
    '1970-01-01T00:00:00.000Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
