"""Reading a repo: description, trees, paths, history, and files in whole and in part."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from email.message import Message
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

CARD = b"""---
license: mit
pipeline_tag: text-classification
tags: [topics]
datasets: [local/rows]
date: 2026-01-02
---
Hello
"""


def get(server: Any, url: str, method: str = "GET", **headers: str) -> tuple[int, Message, bytes]:
    """Fetch a URL and give status, headers and body, whatever they are."""
    sent = {"Authorization": f"Bearer {server.token}", **headers}
    request = urllib.request.Request(url, method=method, headers=sent)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


@pytest.fixture(scope="module")
def filled(server) -> str:
    """Make a repo with two commits."""
    api = server.api()
    api.create_repo("local/filled", private=True)
    first = {"README.md": CARD, "a/one.txt": b"one", "a/b/two.txt": b"two", "w.bin": bytes(1000)}
    for message, files in (("first", first), ("second", {"a/one.txt": b"one, changed"})):
        operations = [CommitOperationAdd(*item) for item in files.items()]
        api.create_commit("local/filled", operations, commit_message=message)
    return "local/filled"


def test_model_info(api: HfApi, filled: str) -> None:
    info = api.model_info(filled)
    assert (info.id, info.author, info.private) == (filled, "local", True)
    assert info.pipeline_tag == "text-classification"
    assert {"topics", "license:mit", "dataset:local/rows"} <= set(info.tags or [])
    assert info.card_data is not None
    assert info.card_data["date"] == "2026-01-02"
    assert info.sha == api.list_repo_commits(filled)[0].commit_id
    assert [file.rfilename for file in info.siblings or []] == [
        ".gitattributes", "README.md", "a/b/two.txt", "a/one.txt", "w.bin",
    ]  # fmt: skip
    old = api.model_info(filled, revision=api.list_repo_commits(filled)[-1].commit_id)
    assert [file.rfilename for file in old.siblings or []] == [".gitattributes"]


def test_tree_with_last_commits(api: HfApi, filled: str) -> None:
    top = {item.path for item in api.list_repo_tree(filled)}
    assert top == {".gitattributes", "README.md", "a", "w.bin"}
    assert [item.path for item in api.list_repo_tree(filled, "a")] == ["a/b", "a/one.txt"]
    tree = api.list_repo_tree(filled, recursive=True, expand=True)
    titles = {item.path: item.last_commit.title for item in tree}
    assert titles == {
        ".gitattributes": "initial commit", "README.md": "first", "a": "second",
        "a/b": "first", "a/b/two.txt": "first", "a/one.txt": "second", "w.bin": "first",
    }  # fmt: skip


def test_tree_of_many_files_comes_in_pages(api: HfApi, repo: str, server) -> None:
    operations = [CommitOperationAdd(f"f/{i:04}.txt", b"%d" % i) for i in range(1_200)]
    api.create_commit(repo, operations, commit_message="Many")
    paths = [item.path for item in api.list_repo_tree(repo, "f")]
    assert paths == [f"f/{i:04}.txt" for i in range(1_200)]
    _, headers, body = get(server, f"{server.url}/api/models/{repo}/tree/main/f")
    assert body.count(b'"path"') == 1_000
    assert 'rel="next"' in headers["Link"]
    assert len(list(api.list_repo_tree(repo, "f", expand=True))) == 1_200


def test_paths_info_leaves_missing_paths_out(api: HfApi, filled: str) -> None:
    found = api.get_paths_info(filled, ["w.bin", "a", "nope", "../x"], expand=True)
    assert [(item.path, type(item).__name__) for item in found] == [
        ("w.bin", "RepoFile"), ("a", "RepoFolder"),
    ]  # fmt: skip
    assert found[0].lfs.sha256 == hashlib.sha256(bytes(1000)).hexdigest()


@pytest.mark.parametrize(
    ("sent", "status", "content_range", "body"),
    [
        ("bytes=0-9", 206, "bytes 0-9/12", b"one, chang"),
        ("bytes=5-", 206, "bytes 5-11/12", b"changed"),
        ("bytes=-3", 206, "bytes 9-11/12", b"ged"),
        ("bytes=0-", 200, None, b"one, changed"),
        ("bytes=4-999", 206, "bytes 4-11/12", b" changed"),
        ("bytes=12-", 416, "bytes */12", None),
        ("bytes=a-b", 200, None, b"one, changed"),
    ],
)
def test_ranges(
    server, filled: str, sent: str, status: int, content_range: str, body: bytes
) -> None:
    url = hf_hub_url(filled, "a/one.txt", endpoint=server.url)
    found, headers, content = get(server, url, Range=sent)
    assert (found, headers["Content-Range"]) == (status, content_range)
    assert body is None or (content == body and headers["Content-Length"] == str(len(body)))


def test_range_of_a_large_file(server, filled: str) -> None:
    url = hf_hub_url(filled, "w.bin", endpoint=server.url)
    status, headers, body = get(server, url, Range="bytes=990-2000")
    assert (status, headers["Content-Range"], body) == (206, "bytes 990-999/1000", bytes(10))


def test_head_names_commit_and_content(server, api: HfApi, filled: str) -> None:
    sha256 = hashlib.sha256(bytes(1000)).hexdigest()
    status, headers, body = get(server, hf_hub_url(filled, "w.bin", endpoint=server.url), "HEAD")
    assert (status, body) == (200, b"")
    assert headers["X-Repo-Commit"] == api.model_info(filled).sha
    assert headers["ETag"] == headers["X-Linked-Etag"] == f'"{sha256}"'
    assert headers["Content-Length"] == headers["X-Linked-Size"] == "1000"
    _, headers, _ = get(server, hf_hub_url(filled, "a/b/two.txt", endpoint=server.url), "HEAD")
    assert headers["ETag"] == f'"{hashlib.sha1(b"blob 3" + bytes(1) + b"two").hexdigest()}"'
    assert (headers["Content-Length"], headers["X-Linked-Etag"]) == ("3", None)


def test_what_is_missing_has_its_own_error(api: HfApi, filled: str, server) -> None:
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(filled, "nope.txt")
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(filled, "nope"))
    with pytest.raises(RevisionNotFoundError):
        api.model_info(filled, revision="nope")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("local/nope")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("no-namespace")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("no-namespace", revision="main")
    with pytest.raises(RepositoryNotFoundError):
        api.hf_hub_download("no-namespace", "config.json")
    url = hf_hub_url(filled, "nope.txt", endpoint=server.url)
    status, headers, _ = get(server, url)
    assert (status, headers["X-Error-Code"]) == (404, "EntryNotFound")
    assert headers["X-Repo-Commit"] == api.model_info(filled).sha


@pytest.mark.parametrize(
    "path",
    ["..%2F..%2Fhub.json", "../../hub.json", "%2e%2e/%2e%2e/hub.json", "/etc/passwd", "a%00b"],
)
def test_reading_cannot_leave_the_repo(server, filled: str, path: str) -> None:
    status, headers, _ = get(server, f"{server.url}/{filled}/resolve/main/{path}")
    assert (status, headers["X-Error-Code"]) == (404, "EntryNotFound")


@pytest.mark.parametrize(
    "path", ["/api/models/..%2F..%2Fx/y", "/api/models/local/..", "/api/x/a/b"]
)
def test_no_such_repo(server, path: str) -> None:
    assert get(server, server.url + path)[0] == 404


def test_a_browser_runs_nothing_that_a_file_holds(server, api: HfApi, repo: str) -> None:
    page = b"<script>alert(1)</script>"
    api.upload_file(path_or_fileobj=page, path_in_repo="page.html", repo_id=repo)
    _, headers, _ = get(server, hf_hub_url(repo, "page.html", endpoint=server.url))
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_card_that_would_explode_is_as_good_as_none(server, api: HfApi, repo: str) -> None:
    bomb = "---\na: &a [x, x]\n" + "".join(f"k{i}: &k{i} [*a, *a]\n" for i in range(9)) + "---\n"
    operations = [CommitOperationAdd("card.md", bomb.encode())]
    api.create_commit(repo, operations, commit_message="Bomb")
    with pytest.raises(ValueError, match="aliases are not supported"):
        api.upload_file(path_or_fileobj=bomb.encode(), path_in_repo="README.md", repo_id=repo)
