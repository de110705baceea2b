"""Users and their repos: who am I, create, delete, settings, lists."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hfpipe.hub.server.access import (
    base_url,
    caller,
    check_owner,
    hub_of,
    kind_of,
    readable,
    signed_in,
    visible,
    writable,
)
from hfpipe.hub.server.cards import check_card
from hfpipe.hub.server.describing import describe
from hfpipe.hub.server.errors import Refusal, bad_request
from hfpipe.hub.server.names import check_kind, check_name, check_namespace
from hfpipe.hub.server.repository import Repo
from hfpipe.hub.server.wire import answer, flag, number, page, text_of, with_json

_PAGE = 100


def whoami(request: Request) -> Response:
    """``GET /api/whoami-v2``."""
    user = signed_in(request)
    access = {"displayName": "hub token", "role": "write"}
    about = {"type": "user", "id": user, "name": user, "fullname": user, "isPro": False}
    auth = {"type": "access_token", "accessToken": access}
    return answer({**about, "emailVerified": False, "orgs": [], "auth": auth})


def create(request: Request, payload: dict[str, Any]) -> Response:
    """``POST /api/repos/create``."""
    user = signed_in(request)
    kind = check_kind(text_of(payload, "type", "model"))
    name = check_name(text_of(payload, "name"), "repo name")
    namespace = check_namespace(text_of(payload, "organization", user))
    check_owner(user, namespace)
    about: dict[str, Any] = {"private": _private(payload)}
    if kind == "spaces":
        about["sdk"] = text_of(payload, "sdk")
    try:
        repo = hub_of(request).create(kind, namespace, name, about)
    except Refusal as refusal:
        if refusal.status == 409:
            existing = Repo(hub_of(request), kind, namespace, name)
            refusal.body["url"] = f"{base_url(request)}/{existing.url_path}"
        raise
    return answer({"url": f"{base_url(request)}/{repo.url_path}", "name": repo.id, "id": repo.id})


def _private(payload: dict[str, Any]) -> bool:
    """Read the visibility, in its present and in its older spelling."""
    visibility = payload.get("visibility")
    if visibility not in (None, "public", "private"):
        raise bad_request(f"'visibility' is public or private, not {visibility!r}")
    return visibility == "private" if visibility else bool(payload.get("private"))


def delete(request: Request, payload: dict[str, Any]) -> Response:
    """``DELETE /api/repos/delete``."""
    user = signed_in(request)
    kind = check_kind(text_of(payload, "type", "model"))
    namespace = text_of(payload, "organization", user)
    repo = visible(hub_of(request), kind, f"{namespace}/{text_of(payload, 'name')}", user)
    check_owner(user, repo.namespace)
    hub_of(request).delete(repo)
    return answer({})


def settings(request: Request, payload: dict[str, Any]) -> Response:
    """``PUT R/settings``: public or private."""
    repo, _ = writable(request)
    if "visibility" in payload or "private" in payload:
        repo.change(private=_private(payload))
    return answer({"private": repo.private})


def auth_check(request: Request) -> Response:
    """``GET R/auth-check``: fine for whoever may see the repo; ``/write`` for its owner."""
    if request.path_params.get("access") == "write":
        writable(request)
    else:
        readable(request)
    return answer({})


def list_repos(request: Request) -> Response:
    """``GET /api/T``: the repos a caller may see, the latest changed first."""
    user, query = caller(request), request.query_params
    author, search = query.get("author"), query.get("search", "").lower()
    wanted = {text.lower() for text in query.getlist("filter")}
    found = []
    for repo in hub_of(request).repos(kind_of(request)):
        if (author and repo.namespace != author) or search not in repo.id.lower():
            continue
        if repo.private and repo.namespace != user:
            continue
        about = describe(repo, repo.commit_at("main"), siblings=flag(request, "full"))
        if wanted <= {tag.lower() for tag in about["tags"]}:
            found.append(about)
    key = "createdAt" if query.get("sort") == "createdAt" else "lastModified"
    found.sort(key=lambda about: str(about[key]), reverse=True)
    size = number(request, "limit", _PAGE, 1000)
    shown, headers = page(request, found, size)
    return answer(list(shown), headers)


def validate_yaml(request: Request, payload: dict[str, Any]) -> Response:
    """``POST /api/validate-yaml``: the header of a README.md."""
    caller(request)
    errors, warnings = check_card(text_of(payload, "content"))
    body = {
        "errors": [{"message": line} for line in errors],
        "warnings": [{"message": line} for line in warnings],
    }
    if errors:
        raise Refusal(400, "Invalid metadata in README.md: " + errors[0], body=body)
    return answer(body)


ROUTES = [
    Route("/api/whoami-v2", whoami),
    Route("/api/repos/create", with_json(create), methods=["POST"]),
    Route("/api/repos/delete", with_json(delete), methods=["DELETE"]),
    Route("/api/validate-yaml", with_json(validate_yaml), methods=["POST"]),
    Route("/api/{kind}", list_repos),
    Route("/api/{kind}/{namespace}/{name}/settings", with_json(settings), methods=["PUT"]),
    Route("/api/{kind}/{namespace}/{name}/auth-check", auth_check),
    Route("/api/{kind}/{namespace}/{name}/auth-check/{access}", auth_check),
]
