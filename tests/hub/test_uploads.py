"""Commits: regular files, Git LFS in one piece and in parts, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import BadRequestError, EntryNotFoundError, HfHubHTTPError


def send(
    server: Any, method: str, path: str, body: bytes = b"", token: str | None = None
) -> tuple[int, dict[str, Any]]:
    """Send a request exactly as it is written here."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    headers = {"Authorization": f"Bearer {token or server.token}"}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text or b"{}")


def commit(server: Any, repo: str, *lines: object) -> tuple[int, dict[str, Any]]:
    """Send a commit of these lines behind a header."""
    header = {"key": "header", "value": {"summary": "By hand"}}
    items = [line if isinstance(line, str) else json.dumps(line) for line in (header, *lines)]
    return send(server, "POST", f"/api/models/{repo}/commit/main", "\n".join(items).encode())


def file(path: str, content: bytes = b"x") -> dict[str, object]:
    """Write the line that adds a regular file."""
    text = base64.b64encode(content).decode()
    return {"key": "file", "value": {"path": path, "content": text, "encoding": "base64"}}


def test_adds_changes_copies_and_deletions_in_one_commit(api: HfApi, repo: str) -> None:
    first = {"a.txt": b"a", "b.txt": b"b", "old/c.txt": b"c", "old/d/e.txt": b"e", "w.bin": b"\0\1"}
    api.create_commit(
        repo, [CommitOperationAdd(*item) for item in first.items()], commit_message="1"
    )
    api.create_commit(
        repo,
        [
            CommitOperationAdd("a.txt", b"a, changed"),
            CommitOperationDelete("b.txt"),
            CommitOperationDelete("old/"),
            CommitOperationCopy("w.bin", "copy/w.bin"),
            CommitOperationAdd("née with space.txt", b"ok"),
        ],
        commit_message="2",
        commit_description="Why it was done",
    )
    assert api.list_repo_files(repo) == [
        ".gitattributes", "a.txt", "copy/w.bin", "née with space.txt", "w.bin",
    ]  # fmt: skip
    assert Path(api.hf_hub_download(repo, "copy/w.bin")).read_bytes() == b"\0\1"
    assert Path(api.hf_hub_download(repo, "née with space.txt")).read_bytes() == b"ok"
    assert Path(api.hf_hub_download(repo, "a.txt")).read_bytes() == b"a, changed"
    commits = api.list_repo_commits(repo)
    assert [(item.title, item.message) for item in commits] == [
        ("2", "Why it was done"), ("1", ""), ("initial commit", ""),
    ]  # fmt: skip


def test_unchanged_upload_makes_no_commit(server, api: HfApi, repo: str, tmp_path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(bytes(range(256)) * 10)
    first = api.upload_folder(repo_id=repo, folder_path=tmp_path)
    again = api.upload_folder(repo_id=repo, folder_path=tmp_path)
    assert again.oid == first.oid
    assert commit(server, repo, file("config.json", b"{}"))[1]["commitOid"] == first.oid
    assert len(api.list_repo_commits(repo)) == 2


def test_gitattributes_and_gitignore_of_the_repo_are_obeyed(
    api: HfApi, repo: str, tmp_path
) -> None:
    rules = b"*.special filter=lfs diff=lfs merge=lfs -text\n"
    api.upload_file(path_or_fileobj=rules, path_in_repo=".gitattributes", repo_id=repo)
    (tmp_path / ".gitignore").write_text("*.log\nbuild/\n")
    (tmp_path / "build").mkdir()
    for name in ("a.special", "a.txt", "b.log", "build/x.txt"):
        (tmp_path / name).write_text("text")
    api.upload_folder(repo_id=repo, folder_path=tmp_path)
    infos = api.list_repo_tree(repo, recursive=True)
    assert {info.path: info.lfs is not None for info in infos} == {
        ".gitattributes": False, ".gitignore": False, "a.special": True, "a.txt": False,
    }  # fmt: skip


@pytest.mark.parametrize("size", [300_000, 40_000_001], ids=["one piece", "parts"])
def test_lfs_upload_without_xet(api: HfApi, repo: str, size: int, server) -> None:
    # The client sends open files by Git LFS; the larger one has three parts.
    data = np.random.default_rng(size).bytes(size)
    api.upload_file(path_or_fileobj=io.BytesIO(data), path_in_repo="data.bin", repo_id=repo)
    info = api.get_paths_info(repo, "data.bin")[0]
    assert (info.size, info.lfs.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert Path(api.hf_hub_download(repo, "data.bin")).read_bytes() == data
    assert not list((server.directory / "tmp").iterdir())


def test_lfs_content_of_another_hash_or_size_is_refused(server, repo: str) -> None:
    data = b"what was announced"
    oid = hashlib.sha256(data).hexdigest()
    item = {"oid": oid, "size": len(data)}
    body = json.dumps({"operation": "upload", "transfers": ["basic"], "objects": [item]}).encode()
    _, batch = send(server, "POST", f"/{repo}.git/info/lfs/objects/batch", body)
    address = batch["objects"][0]["actions"]["upload"]["href"].removeprefix(server.url)
    status, answer = send(server, "PUT", address, b"something different")
    assert (status, answer["error"]) == (400, "More than the announced 18 bytes arrived")
    status, answer = send(server, "PUT", address, b"something, 18 long")
    assert status == 400
    assert f"not the announced {oid}" in answer["error"]
    forged = address.replace(oid, "0" * 64)
    assert send(server, "PUT", forged, data)[0] == 403
    assert send(server, "PUT", address, data)[0] == 200
    assert send(server, "POST", "/api/lfs/verify", json.dumps(item).encode())[0] == 200


def test_commit_of_a_large_file_that_was_not_uploaded_is_refused(server, api, repo: str) -> None:
    head = api.model_info(repo).sha
    value = {"path": "w.bin", "algo": "sha256", "oid": "ab" * 32, "size": 10}
    status, answer = commit(server, repo, file("a.txt"), {"key": "lfsFile", "value": value})
    assert (status, answer["error"]) == (400, f"w.bin: the large file {'ab' * 32} was not uploaded")
    assert api.model_info(repo).sha == head


def test_pointer_text_is_refused_as_a_regular_file(server, repo: str) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 10\n"
    status, answer = commit(server, repo, file("w.txt", pointer.encode()))
    assert status == 400
    assert "Git LFS pointer" in answer["error"]


@pytest.mark.parametrize(
    "path",
    ["../up.txt", "a/../../up.txt", "/etc/x", ".git/config", "a/.GIT/hooks/x", "a//b", "./a", "",
     "a\\..\\b", "a\0b", ".git./x", "git~1/x", "a" * 1025],
)  # fmt: skip
def test_paths_that_leave_the_repo_are_refused(server, api: HfApi, repo: str, path: str) -> None:
    for line in (file(path), {"key": "deletedFile", "value": {"path": path}}):
        status, answer = commit(server, repo, line)
        assert status == 400
        assert answer["error"].startswith("Invalid path")
    body = json.dumps({"files": [{"path": path, "size": 1, "sample": ""}]}).encode()
    assert send(server, "POST", f"/api/models/{repo}/preupload/main", body)[0] == 400
    assert len(api.list_repo_commits(repo)) == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"key": "file", '], "Line 2 of the commit: The body is not JSON"),
        (["[1]"], "Line 2 of the commit: The body is not a JSON object"),
        (['{"key": "file"}'], "Line 2 of the commit needs a 'key' and a 'value' object"),
        ([{"key": "jump", "value": {"path": "a"}}], "Line 2 of the commit: there is no operation"),
        ([{"key": "file", "value": {"path": "a", "content": "%", "encoding": "base64"}}], "a: the"),
        ([{"key": "file", "value": {"path": 3}}], "'path' must be a text"),
        ([file("a"), file("a/b")], "a/b: a is a file, not a folder"),
        ([file("a/b"), file("a")], "a: there is a folder of this name"),
    ],
)
def test_damaged_commit_is_refused_by_line(server, repo: str, lines: list, message: str) -> None:
    status, answer = commit(server, repo, *lines)
    assert status == 400
    assert answer["error"].startswith(message)


def test_commit_needs_a_header_with_a_summary(server, repo: str) -> None:
    path = f"/api/models/{repo}/commit/main"
    assert send(server, "POST", path, json.dumps(file("a")).encode())[0] == 400
    assert send(server, "POST", path, b'{"key": "header", "value": {}}')[0] == 400


def test_commit_on_an_outdated_parent_is_refused(api: HfApi, repo: str) -> None:
    old = api.model_info(repo).sha
    operations = [CommitOperationAdd("a.txt", b"1")]
    new = api.create_commit(repo, operations, commit_message="1", parent_commit=old)
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as caught:
        api.create_commit(
            repo, [CommitOperationAdd("b.txt", b"2")], commit_message="2", parent_commit=old
        )
    assert caught.value.response.status_code == 412
    assert api.model_info(repo).sha == new.oid


def test_deleting_what_is_not_there_is_refused(api: HfApi, repo: str) -> None:
    with pytest.raises(EntryNotFoundError, match="A file with this name doesn't exist"):
        api.delete_file("nope.txt", repo_id=repo)


def test_commit_to_a_branch_and_a_tag_of_it(api: HfApi, repo: str) -> None:
    api.create_branch(repo, branch="try/one")
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=repo, revision="try/one")
    api.create_tag(repo, tag="v1", revision="try/one")
    assert api.list_repo_files(repo) == [".gitattributes"]
    assert api.list_repo_files(repo, revision="v1") == [".gitattributes", "a"]
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_branch(repo, branch="try/one")
    with pytest.raises(HfHubHTTPError, match="404"):
        api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=repo, revision="v1")
    api.delete_tag(repo, tag="v1")
    api.delete_branch(repo, branch="try/one")
    assert [branch.name for branch in api.list_repo_refs(repo).branches] == ["main"]


def test_broken_card_is_refused_before_anything_is_uploaded(api: HfApi, repo: str) -> None:
    card = b"---\ntags: [a\n---\nText"
    with pytest.raises((ValueError, BadRequestError), match="Invalid metadata in README.md"):
        api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=repo)
    assert api.list_repo_files(repo) == [".gitattributes"]
