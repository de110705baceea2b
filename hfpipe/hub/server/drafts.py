"""A commit in the making: operations are collected, checked and applied at once."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pygit2
from pygit2.enums import FileMode

from hfpipe.hub.server.errors import (
    Refusal,
    bad_request,
    entry_not_found,
    repo_not_found,
    revision_not_found,
)
from hfpipe.hub.server.names import check_path, check_sha256
from hfpipe.hub.server.pointers import Pointer, parse_pointer
from hfpipe.hub.server.repository import Repo, signature

MAX_REGULAR = 10 * 1024 * 1024


@dataclass(frozen=True)
class Committed:
    """Where a branch is now, and whether this commit moved it there."""

    oid: str
    changed: bool


@dataclass
class Draft:
    """Operations for one commit of ``repo``; nothing is visible before :meth:`commit`."""

    repo: Repo
    operations: list[tuple[str, str, Any]] = field(default_factory=list)

    def add_file(self, path: str, content: bytes) -> None:
        """Add or replace a small file, kept in git itself."""
        check_path(path)
        if len(content) > MAX_REGULAR:
            raise bad_request(f"{path}: {len(content)} bytes are too many for a regular file")
        if parse_pointer(content):
            # Taken as it is, it would give whoever knows a hash the file behind it.
            raise bad_request(f"{path}: this is a Git LFS pointer; upload the file itself")
        self.operations.append(("add", path, self.repo.git.create_blob(content)))

    def add_large(self, path: str, sha256: str, size: int | None = None) -> None:
        """Add or replace a large file that was uploaded before."""
        check_path(path)
        found = self.repo.hub.objects.size(check_sha256(sha256))
        if found is None:
            raise bad_request(f"{path}: the large file {sha256} was not uploaded")
        if size is not None and size != found:
            raise bad_request(f"{path}: {size} bytes announced, but {sha256} has {found}")
        blob = self.repo.git.create_blob(Pointer(sha256, found).text())
        self.operations.append(("add", path, blob))

    def delete_file(self, path: str) -> None:
        """Delete a file."""
        self.operations.append(("delete", check_path(path), None))

    def delete_folder(self, path: str) -> None:
        """Delete a folder with all that it holds; ``/`` empties the repo."""
        whole = path.strip("/") in ("", ".")
        self.operations.append(
            ("delete folder", "" if whole else check_path(path.rstrip("/")), None)
        )

    def commit(
        self, revision: str, user: str, message: str, parent: str | None = None
    ) -> Committed:
        """Apply the operations to a branch, under the repo's lock.

        Args:
            revision: The branch.
            user: Who commits.
            message: Summary and, after an empty line, description.
            parent: The commit the branch must be at; another one is refused with 412.

        Returns:
            The branch's commit; ``changed`` is False where every file was already so.
        """
        repo = self.repo
        with repo.hub.lock(repo.lock_name):
            if not repo.exists():
                raise repo_not_found(repo.id, anonymous=False)
            ref = branch_ref(revision)
            head = repo.ref(ref)
            if head is None:
                raise revision_not_found(repo.id, revision)
            if parent and not _same(str(head.id), parent):
                raise Refusal(412, f"A commit has happened since: {revision} is at {head.id}")
            tree = self._apply(head)
            if tree == head.tree.id:
                return Committed(str(head.id), changed=False)
            clear_stale_lock(repo, ref)
            author = signature(user)
            oid = repo.git.create_commit(ref, author, author, message, tree, [head.id])
        return Committed(str(oid), changed=True)

    def _apply(self, head: pygit2.Commit) -> pygit2.Oid:
        """Write the tree that the operations make of ``head``'s."""
        index = pygit2.Index()
        index.read_tree(head.tree)
        names = _Names([entry.path for entry in index])
        for action, path, blob in self.operations:
            if action == "add":
                names.add(path)
                index.add(pygit2.IndexEntry(path, blob, FileMode.BLOB))
                continue
            gone = names.below(path) if action == "delete folder" else names.files & {path}
            if not gone and path:
                missing = entry_not_found(path, str(head.id))
                missing.message = f"A {action[7:] or 'file'} with this name doesn't exist: {path}"
                raise missing
            for name in gone:
                names.remove(name)
                index.remove(name)
        return index.write_tree(self.repo.git)


class _Names:
    """The files of a tree and the folders that they make."""

    def __init__(self, files: list[str]) -> None:
        self.files: set[str] = set(files)
        self._folders: Counter[str] = Counter(above for path in files for above in _above(path))

    def below(self, folder: str) -> set[str]:
        """Name the files in a folder and its folders; all where it is empty."""
        return {name for name in self.files if not folder or name.startswith(folder + "/")}

    def add(self, path: str) -> None:
        """Add a file, refusing it where a folder is, or below another file."""
        if path in self.files:
            return
        if self._folders[path] > 0:
            raise bad_request(f"{path}: there is a folder of this name; delete it first")
        for above in _above(path):
            if above in self.files:
                raise bad_request(f"{path}: {above} is a file, not a folder; delete it first")
        self.files.add(path)
        self._folders.update(_above(path))

    def remove(self, path: str) -> None:
        """Remove a file."""
        self.files.discard(path)
        self._folders.subtract(_above(path))


def _same(commit: str, named: str) -> bool:
    return len(named) >= 7 and commit.startswith(named)


def _above(path: str) -> list[str]:
    """Name the folders that a file lies in.

    >>> _above("a/b/c.txt")
    ['a', 'a/b']
    """
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def branch_ref(revision: str) -> str:
    """Give the full ref name of a branch, or of a pull request's ref."""
    own = revision.startswith(("refs/heads/", "refs/pr/"))
    return revision if own else f"refs/heads/{revision}"


def clear_stale_lock(repo: Repo, ref: str) -> None:
    """Remove git's own lock file of a ref, which a killed server may have left.

    Only called under the repo's lock, so no living server holds it.
    """
    with contextlib.suppress(FileNotFoundError):
        (repo.path / f"{ref}.lock").unlink()
