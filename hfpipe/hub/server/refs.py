"""Branches and tags: made and deleted."""

from __future__ import annotations

from typing import Any

import pygit2
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hfpipe.hub.server.access import param, writable
from hfpipe.hub.server.drafts import clear_stale_lock
from hfpipe.hub.server.errors import Refusal, bad_request, revision_not_found
from hfpipe.hub.server.repository import Repo
from hfpipe.hub.server.wire import answer, text_of, with_json


def create_branch(request: Request, payload: dict[str, Any]) -> Response:
    """``POST R/branch/{name}``, from ``startingPoint`` or else from main."""
    repo, _ = writable(request)
    commit = repo.commit_at(text_of(payload, "startingPoint", "main"))
    return _create(repo, f"refs/heads/{param(request, 'ref')}", commit)


def create_tag(request: Request, payload: dict[str, Any]) -> Response:
    """``POST R/tag/{rev}``: the address names the revision, the body the tag."""
    repo, _ = writable(request)
    commit = repo.commit_at(param(request, "ref"))
    return _create(repo, f"refs/tags/{text_of(payload, 'tag')}", commit)


def delete_branch(request: Request) -> Response:
    """``DELETE R/branch/{name}``; main stays."""
    repo, _ = writable(request)
    if param(request, "ref") == "main":
        raise Refusal(403, "The branch main cannot be deleted")
    return _delete(repo, f"refs/heads/{param(request, 'ref')}")


def delete_tag(request: Request) -> Response:
    """``DELETE R/tag/{name}``."""
    repo, _ = writable(request)
    return _delete(repo, f"refs/tags/{param(request, 'ref')}")


def _create(repo: Repo, ref: str, commit: pygit2.Commit) -> Response:
    if not pygit2.reference_is_valid_name(ref):
        raise bad_request(f"{ref!r} cannot be the name of a branch or tag")
    with repo.hub.lock(repo.lock_name):
        if repo.ref(ref) is not None:
            raise Refusal(409, f"Reference already exists: {ref}")
        clear_stale_lock(repo, ref)
        try:
            repo.git.references.create(ref, commit.id)
        except (pygit2.GitError, OSError, ValueError):
            raise Refusal(409, f"{ref} collides with the name of another ref") from None
    return answer({})


def _delete(repo: Repo, ref: str) -> Response:
    with repo.hub.lock(repo.lock_name):
        if repo.ref(ref) is None:
            raise revision_not_found(repo.id, ref)
        clear_stale_lock(repo, ref)
        repo.git.references.delete(ref)
    return answer({})


_REPO = "/api/{kind}/{namespace}/{name}"

ROUTES = [
    Route(f"{_REPO}/branch/{{ref:path}}", with_json(create_branch), methods=["POST"]),
    Route(f"{_REPO}/branch/{{ref:path}}", delete_branch, methods=["DELETE"]),
    Route(f"{_REPO}/tag/{{ref:path}}", with_json(create_tag), methods=["POST"]),
    Route(f"{_REPO}/tag/{{ref:path}}", delete_tag, methods=["DELETE"]),
]
