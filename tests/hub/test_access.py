"""Users, tokens, private repos, and repos made, listed and deleted."""

from __future__ import annotations

from functools import partial

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError


def status_of(caught: pytest.ExceptionInfo[HfHubHTTPError]) -> int:
    """Give the HTTP status behind a client's error."""
    return caught.value.response.status_code


def test_whoami(server) -> None:
    assert server.api().whoami()["name"] == "local"
    about = server.api(server.ada_token).whoami()
    assert (about["name"], about["orgs"]) == ("ada", [])
    assert about["auth"]["accessToken"]["role"] == "write"


def test_wrong_token_is_named_as_such(server, repo: str) -> None:
    wrong = server.api("hf_wrong")
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        wrong.whoami()
    with pytest.raises(HfHubHTTPError, match="Invalid credentials in Authorization") as caught:
        wrong.model_info(repo)
    assert not isinstance(caught.value, RepositoryNotFoundError)
    assert status_of(caught) == 401


def test_private_repo_exists_for_its_owner_only(server, api: HfApi, repo: str) -> None:
    api.upload_file(path_or_fileobj=b"s", path_in_repo="secret.txt", repo_id=repo)
    assert api.repo_exists(repo)
    for token, status in ((server.ada_token, 404), (False, 401)):
        other = server.api(token)
        calls = [other.model_info, other.list_repo_files, other.auth_check, other.list_repo_refs]
        for call in (*calls, partial(other.hf_hub_download, filename="secret.txt")):
            with pytest.raises(RepositoryNotFoundError) as caught:
                call(repo)
            assert status_of(caught) == status
        assert repo not in [info.id for info in other.list_models(author="local")]
        # What is missing looks the same, so nobody can tell which private names exist.
        with pytest.raises(RepositoryNotFoundError) as caught:
            other.model_info("local/nothing-here")
        assert status_of(caught) == status
    api.update_repo_settings(repo, private=False)
    assert server.api(False).list_repo_files(repo) == [".gitattributes", "secret.txt"]


def test_only_the_owner_writes(server, api: HfApi, repo: str) -> None:
    api.update_repo_settings(repo, visibility="public")
    ada = server.api(server.ada_token)
    with pytest.raises(HfHubHTTPError, match="may not write to the namespace 'local'") as caught:
        ada.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo)
    assert status_of(caught) == 403
    with pytest.raises(HfHubHTTPError) as caught:
        server.api(False).upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo)
    assert status_of(caught) == 401
    with pytest.raises(HfHubHTTPError, match="403"):
        ada.delete_repo(repo)
    with pytest.raises(HfHubHTTPError, match="may not write to the namespace 'local'") as caught:
        ada.create_repo("local/taken-over")
    assert status_of(caught) == 403


def test_create_repo_twice(server, api: HfApi, repo: str) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_repo(repo)
    assert status_of(caught) == 409
    again = api.create_repo(repo, exist_ok=True)
    assert (again.repo_id, str(again)) == (repo, f"{server.url}/{repo}")
    dataset = api.create_repo(repo, repo_type="dataset")
    assert (dataset.repo_id, dataset.repo_type) == (repo, "dataset")


def test_deleted_repo_is_gone_and_its_name_free(api: HfApi, repo: str) -> None:
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo)
    api.delete_repo(repo)
    assert not api.repo_exists(repo)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(repo)
    api.delete_repo(repo, missing_ok=True)
    api.create_repo(repo)
    assert api.list_repo_files(repo) == [".gitattributes"]


def test_list_by_author_search_and_limit(server) -> None:
    ada = server.api(server.ada_token)
    for name in ("topics-one", "topics-two", "other"):
        ada.create_repo(f"ada/{name}")
    assert {info.id for info in ada.list_models(author="ada")} == {
        "ada/topics-one", "ada/topics-two", "ada/other",
    }  # fmt: skip
    found = server.api(False).list_models(search="TOPICS")
    assert {info.id for info in found} == {"ada/topics-one", "ada/topics-two"}
    assert len(list(ada.list_models(author="ada", limit=2))) == 2
    assert list(ada.list_datasets(author="ada")) == []


@pytest.mark.parametrize(
    "name", ["local/..", "local/a--b", "local/.hidden", "local/a.git", "api/x"]
)
def test_bad_repo_name(server, name: str) -> None:
    import httpx2

    namespace, _, short = name.partition("/")
    answer = httpx2.post(
        f"{server.url}/api/repos/create",
        json={"name": short, "organization": namespace},
        headers={"Authorization": f"Bearer {server.token}"},
    )
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_tokens_are_not_stored(server) -> None:
    server.api().create_repo("local/for-tokens")
    for path in server.directory.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert server.token.encode() not in content
            assert server.ada_token.encode() not in content
    assert (server.directory / "users.json").stat().st_mode & 0o077 == 0
    assert (server.directory / "hub.json").stat().st_mode & 0o077 == 0
