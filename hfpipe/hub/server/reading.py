"""Reading repos: their description, trees, paths, refs, history and files."""

from __future__ import annotations

import mimetypes
from typing import Any
from urllib.parse import quote

import pygit2
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hfpipe.hub.server.access import param, readable
from hfpipe.hub.server.describing import describe
from hfpipe.hub.server.errors import Refusal, entry_not_found
from hfpipe.hub.server.names import KINDS
from hfpipe.hub.server.repository import Entry, Repo, iso
from hfpipe.hub.server.wire import answer, content, flag, number, page, with_form

_PAGE = 1000
_EXPANDED_PAGE = 50


def info(request: Request) -> Response:
    """``GET R`` and ``R/revision/{rev}``."""
    repo = readable(request)
    commit = _commit(request, repo)
    return answer(describe(repo, commit, blobs=flag(request, "blobs")))


def _commit(request: Request, repo: Repo) -> pygit2.Commit:
    named = "revision" in request.path_params
    return repo.commit_at(param(request, "revision") if named else "main")


def tree(request: Request) -> Response:
    """``GET R/tree/{rev}[/path]``."""
    repo = readable(request)
    commit = _commit(request, repo)
    path = param(request, "path").strip("/") if "path" in request.path_params else ""
    entries = list(repo.entries(commit, path, flag(request, "recursive")))
    expand = flag(request, "expand")
    largest = _EXPANDED_PAGE if expand else _PAGE
    # The next page is asked for by commit, so that a push in between mixes nothing.
    fixed = f"/api/{repo.kind}/{repo.id}/tree/{commit.id}"
    fixed += f"/{quote(path, safe='')}" if path else ""
    shown, headers = page(request, entries, number(request, "limit", largest, largest), fixed)
    return answer(_wire(repo, commit, list(shown), expand), headers)


def paths_info(request: Request, fields: dict[str, list[str]]) -> Response:
    """``POST R/paths-info/{rev}``; a path that is missing is left out."""
    repo = readable(request)
    commit = _commit(request, repo)
    found = []
    for path in fields.get("paths", []):
        try:
            found.append(repo.entry(commit, str(path).strip("/")))
        except Refusal:
            continue
    expand = str(fields.get("expand", [""])[0]).lower() in ("true", "1")
    return answer(_wire(repo, commit, found, expand))


def _wire(
    repo: Repo, commit: pygit2.Commit, entries: list[Entry], expand: bool
) -> list[dict[str, Any]]:
    """Write entries as answers, with their last commits where they are wanted."""
    if not expand:
        return [entry.wire() for entry in entries]
    last = _last_commits(commit, {entry.path: entry.oid for entry in entries})
    return [{**entry.wire(), "lastCommit": last[entry.path]} for entry in entries]


def _last_commits(head: pygit2.Commit, oids: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Find, for each path, the latest commit that gave it the content it has."""
    found: dict[str, dict[str, Any]] = {}
    commit, left = head, dict(oids)
    while left:
        parent = commit.parents[0] if commit.parents else None
        for path, oid in list(left.items()):
            if parent is None or _oid(parent, path) != oid:
                title = commit.message.partition("\n")[0]
                date = iso(commit.commit_time)
                found[path] = {"id": str(commit.id), "title": title, "date": date}
                del left[path]
        if parent is None:
            break
        commit = parent
    return found


def _oid(commit: pygit2.Commit, path: str) -> str | None:
    try:
        return str(commit.tree[path].id)
    except KeyError:
        return None


def refs(request: Request) -> Response:
    """``GET R/refs``."""
    repo = readable(request)
    body: dict[str, Any] = {
        "branches": _refs(repo, "refs/heads/"),
        "converts": [],
        "tags": _refs(repo, "refs/tags/"),
    }
    if flag(request, "include_prs"):
        body["pullRequests"] = _refs(repo, "refs/pr/", keep=True)
    return answer(body)


def _refs(repo: Repo, prefix: str, keep: bool = False) -> list[dict[str, str]]:
    return [
        {
            "name": ref if keep else ref.removeprefix(prefix),
            "ref": ref,
            "targetCommit": str(commit.id),
        }
        for ref, commit in repo.refs(prefix)
    ]


def commits(request: Request) -> Response:
    """``GET R/commits/{rev}``, the latest first."""
    repo = readable(request)
    head = _commit(request, repo)
    history = list(repo.git.walk(head.id, pygit2.enums.SortMode.TOPOLOGICAL))
    fixed = f"/api/{repo.kind}/{repo.id}/commits/{head.id}"
    shown, headers = page(request, history, number(request, "limit", _PAGE, _PAGE), fixed)
    headers["X-Total-Count"] = str(len(history))
    return answer([_commit_info(commit) for commit in shown], headers)


def _commit_info(commit: pygit2.Commit) -> dict[str, Any]:
    title, _, message = commit.message.partition("\n")
    about = {"id": str(commit.id), "title": title, "message": message.strip()}
    authors = [{"user": commit.author.name}]
    formatted = {"title": title, "message": message.strip()}
    return {**about, "date": iso(commit.commit_time), "authors": authors, "formatted": formatted}


def resolve(request: Request) -> Response:
    """``GET|HEAD /…/resolve/{rev}/{path}``: a file itself."""
    repo = readable(request)
    commit = _commit(request, repo)
    path = param(request, "path")
    entry = repo.entry(commit, path)
    if entry.is_folder:
        raise entry_not_found(path, str(commit.id))
    headers = _file_headers(request, commit, entry)
    if entry.pointer is None:
        data = b"" if request.method == "HEAD" else repo.read(entry)
        return content(request, entry.size, lambda a, b: iter([data[a:b]]), headers)
    sha256 = entry.pointer.sha256
    if repo.hub.objects.size(sha256) != entry.size:
        raise Refusal(500, f"{path}: its large file {sha256} is missing from the hub directory")
    return content(request, entry.size, lambda a, b: repo.hub.objects.read(sha256, a, b), headers)


def _file_headers(request: Request, commit: pygit2.Commit, entry: Entry) -> dict[str, str]:
    """Describe a file; whatever it holds, a browser must not run it."""
    name = entry.path.rpartition("/")[2]
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    is_text = guessed.startswith("text/") or guessed in ("application/json", "image/svg+xml")
    image = guessed.startswith("image/") and not is_text
    kind = "text/plain; charset=utf-8" if is_text else guessed if image else None
    headers = {
        "X-Repo-Commit": str(commit.id),
        "ETag": f'"{entry.etag}"',
        "Content-Type": kind or "application/octet-stream",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Access-Control-Expose-Headers": "X-Repo-Commit, ETag, X-Linked-Etag, X-Linked-Size",
    }
    if entry.pointer:
        headers |= {"X-Linked-Etag": f'"{entry.etag}"', "X-Linked-Size": str(entry.size)}
    return headers


_REPO = "/api/{kind}/{namespace}/{name}"
_FILE = "/{namespace}/{name}/resolve/{revision}/{path:path}"

ROUTES = [
    Route(f"{_REPO}/revision/{{revision}}", info),
    Route(f"{_REPO}/tree/{{revision}}", tree),
    Route(f"{_REPO}/tree/{{revision}}/{{path:path}}", tree),
    Route(f"{_REPO}/paths-info/{{revision}}", with_form(paths_info), methods=["POST"]),
    Route(f"{_REPO}/refs", refs),
    Route(f"{_REPO}/commits/{{revision}}", commits),
    Route(_REPO, info),
    *[Route(f"/{kind}{_FILE}", resolve) for kind in KINDS[1:]],
    Route(_FILE, resolve),
]
