"""Publish files to a repo: all of them in one commit, or none."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.repos import RepoType, api, hub_errors

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class Published:
    """What a publication left on the Hub.

    Attributes:
        repo_id: ``namespace/name``.
        repo_type: ``"model"`` or ``"dataset"``.
        revision: The commit that holds the files.
        url: The repo's page.
        changed: False if the repo held these very files already, so that no commit was made.
    """

    repo_id: str
    repo_type: str
    revision: str
    url: str
    changed: bool


def check_writable(endpoint: Endpoint, repo_id: str, repo_type: RepoType) -> str:
    """Find out, before any long work, whether a later ``publish`` may succeed.

    Args:
        endpoint: The Hub.
        repo_id: ``namespace/name``, or ``name`` for the token's own namespace.
        repo_type: ``"model"`` or ``"dataset"``.

    Returns:
        The repo id with its namespace.

    Raises:
        UserError: No token, a bad token, a foreign namespace, a bad id, or no Hub there.
    """
    if endpoint.token is None:
        raise UserError(
            f"no token for {endpoint.url}: set HF_TOKEN, run 'hf auth login', or use --hub local"
        )
    with hub_errors(endpoint, repo_id, repo_type):
        from huggingface_hub.utils import validate_repo_id

        validate_repo_id(repo_id)
        me = api(endpoint).whoami()
    namespace, _, name = repo_id.rpartition("/")
    namespace = namespace or me["name"]
    mine = [me["name"], *(org["name"] for org in me.get("orgs", []))]
    if namespace not in mine:
        raise UserError(
            f"{repo_type} repo '{repo_id}': the token on {endpoint.url} belongs to '{me['name']}' "
            f"and may not write to '{namespace}'; there is " + ", ".join(f"'{n}'" for n in mine)
        )
    return f"{namespace}/{name}"


def publish(
    endpoint: Endpoint,
    repo_id: str,
    repo_type: RepoType,
    files: Mapping[str, Path | bytes],
    message: str,
    *,
    private: bool = True,
    delete: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> Published:
    """Put files into a repo in one commit, making the repo first if there is none.

    Args:
        endpoint: The Hub.
        repo_id: ``namespace/name``.
        repo_type: ``"model"`` or ``"dataset"``.
        files: Path in the repo → a local file or the content itself.
        message: The commit's message.
        private: Whether a repo that this call makes is private. An existing one stays as it is.
        delete: Paths to remove in the same commit, where the repo has them; ``*`` stands for any
            text.
        keep: Paths that stay all the same.

    Returns:
        The commit, and whether anything changed.

    Raises:
        UserError: See ``hub_errors``.
        RunError: The Hub failed. The repo is as it was; one made by this call is taken back, unless
            somebody else has committed to it since.
    """
    client = api(endpoint)
    # publish() says whether anything changed; the client would print it on every unchanged run.
    logging.getLogger("huggingface_hub.hf_api").setLevel(logging.ERROR)
    with hub_errors(endpoint, repo_id, repo_type):
        made = not client.repo_exists(repo_id, repo_type=repo_type)
        if made:
            client.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True)
        before = None
        try:
            before = client.repo_info(repo_id, repo_type=repo_type).sha
            commit = client.create_commit(
                repo_id,
                repo_type=repo_type,
                operations=_operations(client, repo_id, repo_type, files, delete, keep),
                commit_message=message,
            )
        except BaseException:
            # An empty repo would look like a finished one.
            if made and before in (None, client.repo_info(repo_id, repo_type=repo_type).sha):
                client.delete_repo(repo_id, repo_type=repo_type, missing_ok=True)
            raise
    prefix = "" if repo_type == "model" else "datasets/"
    return Published(
        repo_id=repo_id,
        repo_type=repo_type,
        revision=commit.oid,
        url=f"{endpoint.url}/{prefix}{repo_id}",
        changed=commit.oid != before,
    )


def _operations(
    client: HfApi,
    repo_id: str,
    repo_type: str,
    files: Mapping[str, Path | bytes],
    delete: Sequence[str],
    keep: Sequence[str],
) -> list[Any]:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    operations: list[Any] = [
        CommitOperationAdd(
            path_in_repo=path,
            path_or_fileobj=content if isinstance(content, bytes) else str(content),
        )
        for path, content in sorted(files.items())
    ]
    if delete:
        held = client.list_repo_files(repo_id, repo_type=repo_type)
        found, kept = (
            {path for pattern in patterns for path in fnmatch.filter(held, pattern)}
            for patterns in (delete, keep)
        )
        gone = sorted(found - kept - set(files))
        operations += [CommitOperationDelete(path_in_repo=path) for path in gone]
    return operations


def folder_files(folder: Path) -> dict[str, Path]:
    """Every file below ``folder``, keyed by its path in the repo."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
