"""Loading a folder, or the model in an installed package, into a hub directory."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pygit2

from hfpipe.errors import UserError, nearest
from hfpipe.hub.server.committing import is_large
from hfpipe.hub.server.directory import Hub, open_hub
from hfpipe.hub.server.drafts import Draft
from hfpipe.hub.server.errors import Refusal
from hfpipe.hub.server.names import Kind, check_kind, split_repo_id
from hfpipe.hub.server.repository import Repo

_SKIPPED = {"__pycache__", ".git", ".cache", ".ipynb_checkpoints"}
_DATA = (".parquet", ".csv", ".jsonl", ".json", ".arrow", ".txt")
_SAMPLE = 512


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        repo_id: The repo.
        revision: The commit its main branch is at.
        changed: Whether there was anything new.
        source: The folder that was read.
        files: How many files it has.
        size: Their bytes.
    """

    repo_id: str
    revision: str
    changed: bool
    source: Path
    files: int
    size: int


def import_repo(
    directory: Path,
    repo_id: str,
    source: str | Path,
    repo_type: str = "model",
    private: bool = False,
) -> Imported:
    """Make a repo of a hub directory hold exactly the files of a folder, in one commit.

    A server may be running on the directory. Nothing new makes no new commit.

    Args:
        directory: The hub directory, made where there is none.
        repo_id: The repo, made where there is none; any namespace.
        source: A folder, or the name of an installed package that carries one.
        repo_type: ``model`` or ``dataset`` (or ``space``).
        private: Whether a new repo is private.

    Raises:
        UserError: For a bad id, a missing source, or a directory that is no hub.
    """
    try:
        kind = check_kind(repo_type)
        namespace, name = split_repo_id(repo_id)
    except Refusal as refusal:
        raise UserError(refusal.message) from None
    folder = find_source(source, kind)
    files = dict(_files(folder))
    if not files:
        raise UserError(f"{folder}: there are no files in it to import")
    hub = open_hub(directory, create=True)
    repo = hub.find(kind, namespace, name) or _create(hub, kind, namespace, name, private)
    try:
        done = _draft(repo, files).commit("main", "import", f"Import {repo_id}")
    except Refusal as refusal:
        raise UserError(f"{folder}: {refusal.message}") from None
    size = sum(path.stat().st_size for path in files.values())
    return Imported(repo_id, done.oid, done.changed, folder, len(files), size)


def _create(hub: Hub, kind: Kind, namespace: str, name: str, private: bool) -> Repo:
    """Create the repo, unless another process was faster."""
    try:
        return hub.create(kind, namespace, name, {"private": private})
    except Refusal:
        return Repo(hub, kind, namespace, name)


def _draft(repo: Repo, files: dict[str, Path]) -> Draft:
    """Collect what makes the repo hold these files and no others."""
    head = repo.commit_at("main")
    draft = Draft(repo)
    for entry in list(repo.entries(head, recursive=True)):
        # A repo always says which of its files are large.
        if not entry.is_folder and entry.path not in files and entry.path != ".gitattributes":
            draft.delete_file(entry.path)
    for name, path in sorted(files.items()):
        _add(draft, head, name, path)
    return draft


def _add(draft: Draft, head: pygit2.Commit, name: str, path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        sample = file.read(_SAMPLE)
    if is_large(draft.repo, head, name, size, sample):
        draft.add_large(name, *draft.repo.hub.objects.copy_in(path))
    else:
        draft.add_file(name, path.read_bytes())


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a folder by their names in the repo."""
    for above, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - _SKIPPED)
        for name in sorted(names):
            path = Path(above) / name
            if not name.endswith(".pyc") and path.is_file():
                yield path.relative_to(folder).as_posix(), path


def find_source(source: str | Path, kind: Kind) -> Path:
    """Find the folder that is meant: a path, or the data folder of an installed package.

    Args:
        source: A folder's path, or the name of a package as ``pip`` or ``import`` know it.
        kind: For models, the folder in the package is the one with ``config.json``; for
            datasets, the first one with data files.

    Raises:
        UserError: Where there is neither, or nothing of the kind in the package.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(f"{source}: this is a file; --from takes a folder or a package")
    tops = _package_folders(str(source))
    if not tops:
        installed = {dist.name for dist in importlib.metadata.distributions() if dist.name}
        close = nearest(str(source), installed)
        hint = close if "did you mean" in close else ""
        raise UserError(f"{source}: neither a folder nor an installed package{hint}")
    for top in tops:
        found = _folder_with_content(top, kind)
        if found:
            return found
    wanted = "config.json" if kind == "models" else "data files"
    raise UserError(f"{source}: the package is installed but has no folder with {wanted}")


def _package_folders(name: str) -> list[Path]:
    """Give the folders that an installed package brought, by either of its names."""
    modules = [name.replace("-", "_")]
    try:
        dist = importlib.metadata.distribution(name)
        recorded = (file.parts[0] for file in dist.files or [] if len(file.parts) > 1)
        modules = list(dict.fromkeys([*modules, *(part for part in recorded)]))
    except (importlib.metadata.PackageNotFoundError, ValueError):
        pass
    folders: list[Path] = []
    for module in modules:
        if module.isidentifier():
            folders += _module_folders(module)
    return folders


def _module_folders(module: str) -> list[Path]:
    """Give the folders of a package without importing it."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return []
    return [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []


def _folder_with_content(top: Path, kind: Kind) -> Path | None:
    """Find the topmost folder that holds a model or a dataset."""
    for above, folders, names in os.walk(top):
        folders[:] = sorted(set(folders) - _SKIPPED)
        if kind == "models" and "config.json" in names:
            return Path(above)
        if kind != "models" and any(name.endswith(_DATA) for name in names):
            return Path(above)
    return None
