"""Inputs in a dataset repo of a Hub: ``hf://datasets/NAMESPACE/NAME[@REVISION][/PATH]``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import unquote

from hfpipe.errors import HfpipeError, RunError, UserError, nearest
from hfpipe.rows.sources import Source, kind_of

_ADDRESS = re.compile(r"hf://datasets/([^/@]+/[^/@]+)(?:@([^/]+))?(?:/(.*))?")
# As the Hub itself reads the names of data files: a word of its own in the name of file or folder.
_SPLITS = {
    "train": r"train|training",
    "validation": r"validation|valid|val|dev",
    "test": r"test|testing|eval|evaluation",
}
_OURS = "hfpipe/"


class HubLike(Protocol):
    """A Hub and who we are on it."""

    @property
    def url(self) -> str:
        """Its address."""

    @property
    def token(self) -> str | None:
        """An access token; None for anonymous use."""


@dataclass(frozen=True)
class HubRepo:
    """A dataset repo at one commit.

    Attributes:
        repo_id: ``namespace/name``.
        revision: The commit's hash.
        url: The Hub's address; None for the one of the environment.
        token: An access token; None for that of the environment, False for none.
    """

    repo_id: str
    revision: str
    url: str | None = None
    token: str | bool | None = field(default=None, repr=False)

    def open(self, path: str, mode: str = "rb") -> BinaryIO:
        """Open a file of the repo, fetched into the client's cache.

        Raises:
            UserError: Access is denied.
            RunError: The Hub cannot be reached.
        """
        from huggingface_hub import hf_hub_download

        with hub_errors(self.repo_id, self.url):
            local = hf_hub_download(
                self.repo_id,
                path,
                repo_type="dataset",
                revision=self.revision,
                endpoint=self.url,
                token=self.token,
            )
        return Path(local).open("rb", buffering=0)


def find_in_hub(url: str, endpoint: HubLike | None) -> list[Source]:
    """Find the data files that an address stands for, at the commit that it has now.

    Args:
        url: ``hf://datasets/NAMESPACE/NAME``, then maybe ``@REVISION``, then maybe the path of a
            file, a folder or a glob. Without one: all data files but hidden ones and those in
            ``hfpipe/``.
        endpoint: The Hub; that of the environment if None.

    Returns:
        The files, by path, each with the split that its name says.

    Raises:
        UserError: No such repo, revision or file; no access; files of several kinds.
        RunError: The Hub fails.
    """
    match = _ADDRESS.fullmatch(url)
    if match is None:
        raise UserError(f"{url}: write hf://datasets/NAMESPACE/NAME[@REVISION][/PATH]")
    repo_id, revision, path = match.groups()
    repo, sizes = _repo(repo_id, unquote(revision) if revision else None, endpoint)
    names = _chosen(url, sizes, (path or "").strip("/"))
    return [
        Source(
            f"hf://datasets/{repo_id}@{repo.revision[:8]}/{name}",
            kind_of(name) or "",
            name,
            sizes[name],
            repo,
            identity=f"hf://datasets/{repo_id}@{repo.revision}/{name}",
            split=split_said(name),
            revision=repo.revision,
        )
        for name in names
    ]


def split_said(path: str) -> str | None:
    """The split that the name of a data file says, else that of its folder.

    >>> [
    ...     split_said(name)
    ...     for name in ("data/train-00000-of-00001.parquet", "dev.csv", "test/a.csv")
    ... ]
    ['train', 'validation', 'test']
    >>> split_said("data/contest.csv")
    """
    for part in reversed(path.lower().split("/")):
        for split, words in _SPLITS.items():
            if re.search(rf"(?<![a-z0-9])(?:{words})(?![a-z])", part):
                return split
    return None


def _repo(
    repo_id: str, revision: str | None, endpoint: HubLike | None
) -> tuple[HubRepo, dict[str, int | None]]:
    """The repo at its commit, and the sizes of its files."""
    from huggingface_hub import HfApi

    url = endpoint.url if endpoint else None
    token: str | bool | None = (endpoint.token or False) if endpoint else None
    with hub_errors(repo_id, url, revision):
        info = HfApi(endpoint=url, token=token).dataset_info(
            repo_id, revision=revision, files_metadata=True
        )
    sizes = {each.rfilename: each.size for each in info.siblings or []}
    return HubRepo(repo_id, str(info.sha), url, token), sizes


def _chosen(url: str, sizes: dict[str, int | None], path: str) -> list[str]:
    if path in sizes:
        return [path]
    known = [name for name in sorted(sizes) if kind_of(name) and not _hidden(name, path)]
    if path:
        found = [name for name in known if name.startswith(f"{path}/") or fnmatchcase(name, path)]
        if not found:
            raise UserError(f"{url}: no such file in the repo{nearest(path, sizes)}")
        return found
    kinds = sorted({str(kind_of(name)) for name in known})
    if len(kinds) > 1:
        raise UserError(
            f"{url}: holds files of several kinds ({', '.join(kinds)}), maybe the same rows twice: "
            f"name those to read, as {url}/{known[0]}"
        )
    if not known:
        raise UserError(f"{url}: no data file of a known kind in the repo{nearest(url, sizes)}")
    return known


def _hidden(name: str, path: str) -> bool:
    """Whether a file is not data unless it is named: dot files, and what hfpipe notes."""
    dotted = any(part.startswith(".") for part in name.split("/"))
    return dotted or (name.startswith(_OURS) and not path.startswith(_OURS))


@contextmanager
def hub_errors(repo_id: str, url: str | None, revision: str | None = None) -> Iterator[None]:
    """Turn the client's errors into one clear line each.

    Raises:
        UserError: Wrong repo id, revision or token, no access, or no Hub at that address.
        RunError: The Hub answered, but failed.
    """
    from httpx2 import HTTPError
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    place = f"dataset repo '{repo_id}' on {url or 'the Hub'}"
    try:
        yield
    except HfpipeError:
        raise
    except HFValidationError as error:
        raise UserError(f"'{repo_id}' is not a repo id: write NAMESPACE/NAME") from error
    except HfHubHTTPError as error:
        raise _answered(error, place, revision) from error
    except (HTTPError, OfflineModeIsEnabled, OSError) as error:
        raise UserError(
            f"{place} cannot be reached ({type(error).__name__}): check --hub and the network"
        ) from error


def _answered(error: Any, place: str, revision: str | None) -> HfpipeError:
    from huggingface_hub.errors import RevisionNotFoundError

    status = getattr(error.response, "status_code", 0)
    if isinstance(error, RevisionNotFoundError):
        return UserError(f"{place} has no revision '{revision}': give a branch, tag or commit")
    if status in (401, 403, 404):
        return UserError(
            f"{place} does not exist or is not visible to you: check the name, and HF_TOKEN"
        )
    return RunError(f"{place}: the Hub answered {status}: run the same command again")
