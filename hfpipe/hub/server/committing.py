"""Writing to repos: what to upload how, and the commit itself."""

from __future__ import annotations

import base64
import binascii
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pygit2
from pygit2.enums import AttrCheck
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hfpipe.hub.server.access import base_url, param, writable
from hfpipe.hub.server.drafts import MAX_REGULAR, Draft, branch_ref
from hfpipe.hub.server.errors import Refusal, bad_request, revision_not_found
from hfpipe.hub.server.names import check_path
from hfpipe.hub.server.repository import Repo
from hfpipe.hub.server.wire import answer, flag, parse_object, text_of, with_json

# A regular file in base64 and the JSON around it.
_MAX_LINE = MAX_REGULAR * 4 // 3 + 64 * 1024


def preupload(request: Request, payload: dict[str, Any]) -> Response:
    """``POST R/preupload/{rev}``: which files go to git, which to large file storage."""
    repo, _ = writable(request)
    _no_pull_requests(request)
    commit = _branch_head(repo, param(request, "revision"))
    files = payload.get("files")
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        raise bad_request("'files' must be a list of objects")
    ignored = _Ignored(repo, commit, payload.get("gitIgnore"))
    try:
        found = [_upload_mode(repo, commit, file, ignored) for file in files]
    finally:
        ignored.close()
    return answer({"files": found})


def _branch_head(repo: Repo, revision: str) -> pygit2.Commit:
    """Give the head of a branch that is to be written to."""
    head = repo.ref(branch_ref(revision))
    if head is None:
        raise revision_not_found(repo.id, revision)
    return head


def _no_pull_requests(request: Request) -> None:
    if flag(request, "create_pr"):
        raise Refusal(501, "This hub does not serve pull requests; commit to a branch")


def _upload_mode(
    repo: Repo, commit: pygit2.Commit, file: dict[str, Any], ignored: _Ignored
) -> dict[str, Any]:
    """Say how one file is to be uploaded and what the repo has under its name now."""
    path = check_path(text_of(file, "path"))
    try:
        sample = base64.b64decode(text_of(file, "sample", ""), validate=True)
    except binascii.Error:
        raise bad_request(f"{path}: the sample is not base64") from None
    size = file.get("size", 0)
    large = is_large(repo, commit, path, size if isinstance(size, int) else 0, sample)
    try:
        entry = repo.entry(commit, path)
        oid = None if entry.is_folder else entry.etag
    except Refusal:
        oid = None
    mode = "lfs" if large else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": ignored.has(path), "oid": oid}


def is_large(repo: Repo, commit: pygit2.Commit, path: str, size: int, sample: bytes) -> bool:
    """Say whether a file belongs into large file storage.

    It does where ``.gitattributes`` says so, where it is big, and where it is not text.
    """
    if size == 0 and not sample:
        return False
    flags = AttrCheck.INCLUDE_COMMIT | AttrCheck.NO_SYSTEM
    by_name = repo.git.get_attr(path, "filter", flags, commit=commit.id) == "lfs"
    return by_name or size > MAX_REGULAR or _is_binary(sample)


def _is_binary(sample: bytes) -> bool:
    """Say whether the beginning of a file is something else than UTF-8 text.

    >>> _is_binary("naïve".encode()), _is_binary(bytes([137, 80, 78, 71, 0]))
    (False, True)
    """
    if b"\0" in sample:
        return True
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        # The sample may end in the middle of a character.
        return len(sample) - error.start > 3 or "unexpected end" not in error.reason
    return False


class _Ignored:
    """What a ``.gitignore`` at the top of the repo keeps out of a commit."""

    def __init__(self, repo: Repo, commit: pygit2.Commit, sent: object) -> None:
        rules = sent.encode() if isinstance(sent, str) else repo.read_path(commit, ".gitignore")
        self._git: pygit2.Repository | None = None
        if rules:
            # Git reads such rules from a work tree only, so it is given one.
            self._folder = repo.hub.objects.temporary()
            self._git = pygit2.init_repository(str(self._folder))
            (self._folder / ".gitignore").write_bytes(rules)

    def has(self, path: str) -> bool:
        """Say whether the rules name ``path``."""
        return self._git is not None and path != ".gitignore" and self._git.path_is_ignored(path)

    def close(self) -> None:
        """Remove the work tree."""
        if self._git is not None:
            self._git = None
            shutil.rmtree(self._folder, ignore_errors=True)


async def commit(request: Request) -> Response:
    """``POST R/commit/{rev}``: lines of JSON, a header and one operation each."""
    repo, user = await run_in_threadpool(writable, request)
    _no_pull_requests(request)
    draft, header = Draft(repo), None
    async for number, line in _lines(request):
        item = _parse_line(number, line)
        if item["key"] == "header":
            header = item["value"]
        else:
            await run_in_threadpool(_operate, draft, number, item["key"], item["value"])
    if header is None:
        raise bad_request("The commit has no 'header' line")
    revision = param(request, "revision")
    message = _message(header)
    parent = header.get("parentCommit")
    done = await run_in_threadpool(draft.commit, revision, user, message, parent)
    url = f"{base_url(request)}/{repo.url_path}/commit/{done.oid}"
    body = {"success": True, "commitOid": done.oid, "commitUrl": url, "hookOutput": ""}
    return answer({**body, "pullRequestUrl": None})


async def _lines(request: Request) -> AsyncIterator[tuple[int, bytes]]:
    """Yield the numbered lines of a body as they arrive, so that one is held at a time."""
    rest, number = bytearray(), 0
    async for data in request.stream():
        rest += data
        *whole, last = rest.split(b"\n") if b"\n" in data else [rest]
        rest = bytearray(last)
        for line in whole:
            number += 1
            if line.strip():
                yield number, bytes(line)
        if len(rest) > _MAX_LINE:
            raise Refusal(413, f"Line {number + 1} of the commit is too long")
    if rest.strip():
        yield number + 1, bytes(rest)


def _parse_line(number: int, line: bytes) -> dict[str, Any]:
    """Read one line of a commit."""
    try:
        item = parse_object(line)
    except Refusal as refusal:
        raise bad_request(f"Line {number} of the commit: {refusal.message}") from None
    if not isinstance(item.get("key"), str) or not isinstance(item.get("value"), dict):
        raise bad_request(f"Line {number} of the commit needs a 'key' and a 'value' object")
    return item


def _operate(draft: Draft, number: int, key: str, value: dict[str, Any]) -> None:
    """Add one line's operation to the draft."""
    path = text_of(value, "path")
    if key == "file":
        draft.add_file(path, _content(path, value))
    elif key == "lfsFile":
        size = value.get("size")
        if value.get("algo", "sha256") != "sha256" or not isinstance(size, int | None):
            raise bad_request(f"{path}: a large file needs 'algo' sha256 and a whole 'size'")
        draft.add_large(path, text_of(value, "oid"), size)
    elif key == "deletedFile":
        draft.delete_file(path)
    elif key == "deletedFolder":
        draft.delete_folder(path)
    else:
        raise bad_request(f"Line {number} of the commit: there is no operation {key!r}")


def _content(path: str, value: dict[str, Any]) -> bytes:
    text = text_of(value, "content")
    if value.get("encoding", "utf-8") != "base64":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise bad_request(f"{path}: the content is not base64") from None


def _message(header: dict[str, Any]) -> str:
    summary = text_of(header, "summary", "").strip()
    if not summary:
        raise bad_request("The commit's header has no 'summary'")
    description = text_of(header, "description", "").strip()
    message = f"{summary}\n\n{description}" if description else summary
    return message.replace("\0", "")  # git takes the rest for missing


_REPO = "/api/{kind}/{namespace}/{name}"

ROUTES = [
    Route(f"{_REPO}/preupload/{{revision}}", with_json(preupload), methods=["POST"]),
    Route(f"{_REPO}/commit/{{revision}}", commit, methods=["POST"]),
]
