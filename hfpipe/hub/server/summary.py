"""What a hub directory holds, for a person to read."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from hfpipe.hub.server import users
from hfpipe.hub.server.directory import open_hub
from hfpipe.hub.server.repository import Repo, iso


@dataclass(frozen=True)
class RepoSummary:
    """One repo: its type and id, where its main branch is and how much that holds."""

    kind: str
    id: str
    private: bool
    revision: str
    commits: int
    files: int
    size: int
    changed: str


@dataclass(frozen=True)
class HubSummary:
    """A hub directory: users, repos, large files (each stored once), free disk."""

    users: list[str]
    repos: list[RepoSummary]
    objects: int
    objects_size: int
    free: int


def summarize(directory: Path) -> HubSummary:
    """Look through a hub directory; one that is none is a ``UserError``."""
    hub = open_hub(directory)
    count, size = hub.objects.total()
    repos = [_summarize(repo) for repo in hub.all_repos()]
    free = shutil.disk_usage(directory).free
    return HubSummary(users.names(directory / "users.json"), repos, count, size, free)


def _summarize(repo: Repo) -> RepoSummary:
    head = repo.commit_at("main")
    files = [entry for entry in repo.entries(head, recursive=True) if not entry.is_folder]
    return RepoSummary(
        kind=repo.kind.removesuffix("s"),
        id=repo.id,
        private=repo.private,
        revision=str(head.id),
        commits=sum(1 for _ in repo.git.walk(head.id)),
        files=len(files),
        size=sum(entry.size for entry in files),
        changed=iso(head.commit_time)[:16].replace("T", " "),
    )
