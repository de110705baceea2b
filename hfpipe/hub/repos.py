"""What a Hub holds: resolve a repo and a revision, read a file, in clear words when it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from hfpipe.errors import HfpipeError, RunError, UserError
from hfpipe.hub.endpoint import Endpoint

if TYPE_CHECKING:
    from huggingface_hub import HfApi

RepoType = Literal["model", "dataset"]
STORY = "hfpipe/run.json"
"""In a model repo: how the model was made, and how it decides."""
CURVES = "hfpipe/curves.json"
"""In a model repo: what the Trainer logged; absent where an earlier hfpipe pushed."""


def split_revision(name: str) -> tuple[str, str | None]:
    """Split ``REPO[@REVISION]``.

    >>> split_revision("ada/topics@v1")
    ('ada/topics', 'v1')
    >>> split_revision("ada/topics")
    ('ada/topics', None)
    """
    repo_id, at, revision = name.partition("@")
    return repo_id, (revision if at and revision else None)


def api(endpoint: Endpoint) -> HfApi:
    """The official client, bound to ``endpoint``."""
    from huggingface_hub import HfApi

    return HfApi(
        endpoint=endpoint.url, token=endpoint.token if endpoint.token is not None else False
    )


def resolve(
    endpoint: Endpoint, repo_id: str, repo_type: RepoType, revision: str | None = None
) -> str:
    """Find the commit that a revision of a repo stands for.

    Args:
        endpoint: The Hub.
        repo_id: ``namespace/name``.
        repo_type: ``"model"`` or ``"dataset"``.
        revision: Branch, tag or commit; the default branch if None.

    Returns:
        The commit's full hash.

    Raises:
        UserError: The repo or revision does not exist, may not be seen with this token, or the
            Hub cannot be reached.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    client = api(endpoint)
    with hub_errors(endpoint, repo_id, repo_type, revision):
        try:
            info = client.repo_info(repo_id, repo_type=repo_type, revision=revision)
        except RepositoryNotFoundError:
            other = "dataset" if repo_type == "model" else "model"
            if client.repo_exists(repo_id, repo_type=other):
                raise UserError(
                    f"'{repo_id}' on {endpoint.url} is a {other} repo: a {repo_type} repo is needed"
                ) from None
            raise
    return cast(str, info.sha)


def find(
    endpoint: Endpoint, name: str, repo_type: RepoType, revision: str | None = None
) -> tuple[str, str]:
    """Find a repo by the name that a user writes, and the commit that is meant.

    A name without a namespace is that of a repo of one's own: on the embedded Hub always, elsewhere
    where there is no repo of just that name.

    Args:
        endpoint: The Hub.
        name: ``[NAMESPACE/]NAME[@REVISION]``.
        repo_type: ``"model"`` or ``"dataset"``.
        revision: Branch, tag or commit, where ``name`` carries none.

    Returns:
        The repo id and the commit's full hash.

    Raises:
        UserError: See ``resolve``.
    """
    bare, named = split_revision(name)
    repo_id, wanted = endpoint.repo_id(bare), named or revision
    try:
        return repo_id, resolve(endpoint, repo_id, repo_type, wanted)
    except UserError:
        if "/" in repo_id or not endpoint.token or not repo_id:
            raise
        with hub_errors(endpoint, repo_id, repo_type):
            mine = f"{api(endpoint).whoami()['name']}/{repo_id}"
        try:
            return mine, resolve(endpoint, mine, repo_type, wanted)
        except UserError as error:
            raise UserError(f"neither '{repo_id}' nor '{mine}': {error}") from error


def download(
    endpoint: Endpoint, repo_id: str, repo_type: RepoType, path: str, revision: str
) -> Path | None:
    """Fetch one file into the client's cache; None if the repo has no such file."""
    from huggingface_hub.errors import EntryNotFoundError

    with hub_errors(endpoint, repo_id, repo_type, revision):
        try:
            local = api(endpoint).hf_hub_download(
                repo_id, path, repo_type=repo_type, revision=revision
            )
        except EntryNotFoundError:
            return None
    return Path(local)


def read_json(
    endpoint: Endpoint, repo_id: str, repo_type: RepoType, path: str, revision: str
) -> dict[str, Any] | None:
    """Read a JSON file of a repo; None if the repo has no such file.

    Raises:
        UserError: The file is not JSON.
    """
    local = download(endpoint, repo_id, repo_type, path, revision)
    if local is None:
        return None
    try:
        return cast(dict[str, Any], json.loads(local.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UserError(f"{repo_type} {repo_id}: {path} is not valid JSON ({error})") from error


@contextmanager
def hub_errors(
    endpoint: Endpoint, repo_id: str, repo_type: str = "model", revision: str | None = None
) -> Iterator[None]:
    """Turn the clients' many errors into one clear line each.

    Raises:
        UserError: Wrong repo id, revision or token, no access, or no Hub at that address.
        RunError: The Hub answered, but failed.
    """
    from httpx2 import HTTPError, TransportError
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        yield
    except HfpipeError:
        raise
    except HFValidationError as error:
        raise UserError(
            f"'{repo_id}' is not a repo id: write NAMESPACE/NAME with letters, digits, '-', '_' "
            "and '.'"
        ) from error
    except HfHubHTTPError as error:
        raise _answered(error, endpoint, repo_id, repo_type, revision) from error
    except (TransportError, OfflineModeIsEnabled, ConnectionError) as error:
        raise UserError(
            f"no Hub answers at {endpoint.url} ({_first_line(error)}): check HF_ENDPOINT or --hub "
            "and the network"
        ) from error
    except HTTPError as error:
        raise RunError(
            f"{endpoint.url}: {_first_line(error)}; run the same command again"
        ) from error


def _answered(
    error: Any, endpoint: Endpoint, repo_id: str, repo_type: str, revision: str | None
) -> HfpipeError:
    """The error for an HTTP answer of the Hub, by what the client made of it, then by status."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    place = f"{repo_type} repo '{repo_id}' on {endpoint.url}"
    status = getattr(error.response, "status_code", 0)
    said = str(error.server_message or "")
    if isinstance(error, RevisionNotFoundError):
        return UserError(f"{place} has no revision '{revision}': give a branch, tag or commit")
    if "invalid credentials" in f"{said} {error}".lower() or (status == 401 and endpoint.token):
        return UserError(
            f"the Hub at {endpoint.url} refuses the token: set HF_TOKEN to a valid one, or run "
            "'hf auth login'"
        )
    if isinstance(error, RepositoryNotFoundError):
        who = "this token" if endpoint.token else "anonymous users (set HF_TOKEN to log in)"
        fix = "check the id" if "/" in repo_id else "write NAMESPACE/NAME"
        if endpoint.namespace and repo_type == "model":
            fix += f", or load it with: hfpipe hub import {repo_id} --from FOLDER_OR_PACKAGE"
        return UserError(f"{place} does not exist or is not visible to {who}: {fix}")
    if status in (401, 403):
        return UserError(
            f"{place} is forbidden to this token{f' ({said})' if said else ''}: use a token with "
            "write access to that namespace"
        )
    if 400 <= status < 500:
        return UserError(f"{place}: {said or _first_line(error)}")
    return RunError(f"{place}: the Hub answered {status} ({said or _first_line(error)}); try again")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
