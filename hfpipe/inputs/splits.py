"""The splits of a dataset repo at one revision."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError, nearest
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.repos import find, hub_errors, read_json
from hfpipe.inputs.shards import is_sharded, unpacked

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


@dataclass(frozen=True)
class Source:
    """A dataset repo at one commit.

    Attributes:
        repo_id: ``namespace/name``.
        revision: The commit.
        splits: Its rows, by split.
        prepared: Its ``hfpipe/prepare.json``; empty if hfpipe did not make it.
    """

    repo_id: str
    revision: str
    splits: DatasetDict
    prepared: dict[str, Any]

    @property
    def place(self) -> str:
        """How a message calls it."""
        return _place(self.repo_id)

    @property
    def owner(self) -> str | None:
        """The column whose values the split kept together; None without one."""
        return (self.prepared.get("options") or {}).get("group_by")

    def has_owner(self, rows: Dataset) -> bool:
        """Whether ``rows`` have the column that says whose each is."""
        return self.owner is not None and self.owner in rows.column_names

    def split(self, name: str) -> Dataset:
        """One split by name.

        Raises:
            UserError: There is no such split, or it is empty.
        """
        if name not in self.splits:
            raise UserError(f"{self.place} has no split '{name}'{nearest(name, list(self.splits))}")
        if not len(self.splits[name]):
            raise UserError(f"{self.place}: split '{name}' has no rows")
        return self.splits[name]


def open_dataset(
    endpoint: Endpoint,
    name: str,
    revision: str | None = None,
    *,
    check: Callable[[dict[str, Any], str], None] | None = None,
) -> Source:
    """Load a dataset repo.

    Args:
        endpoint: The Hub.
        name: ``NAMESPACE/NAME[@REVISION]``; the namespace may be left out where it is one's own.
        revision: Branch, tag or commit, where ``name`` carries none.
        check: Told the ``hfpipe/prepare.json`` and how to call the dataset, before it is loaded.

    Raises:
        UserError: No such repo or revision, no access, or no data that ``datasets`` can read.
    """
    # Resolved first: for a repo that it cannot reach, load_dataset would silently answer from
    # its cache; this call fails.
    repo_id, commit = find(endpoint, name, "dataset", revision)
    prepared = read_json(endpoint, repo_id, "dataset", "hfpipe/prepare.json", commit)
    if check is not None:
        check(prepared or {}, _place(repo_id))
    return Source(repo_id, commit, _load(endpoint, repo_id, commit), prepared or {})


def _place(repo_id: str) -> str:
    return f"dataset repo '{repo_id}'"


def _load(endpoint: Endpoint, repo_id: str, revision: str) -> DatasetDict:
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

    with hub_errors(endpoint, repo_id, "dataset", revision):
        try:
            with _silent():
                splits = load_dataset(repo_id, revision=revision, token=endpoint.token or False)
        except (DatasetGenerationError, DatasetNotFoundError, ValueError) as error:
            raise UserError(f"{_place(repo_id)} cannot be loaded: {_why(error)}") from error
    for name, rows in splits.items():
        if is_sharded(rows):
            splits[name] = unpacked(rows)
    return splits


@contextmanager
def _silent() -> Iterator[None]:
    """``datasets`` logs a file that it cannot read, schema and all, and then raises."""
    logger = logging.getLogger("datasets")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _why(error: Exception) -> str:
    """What ``datasets`` found wrong, in a line."""
    from datasets.table import CastError

    cause = error.__cause__ or error
    if isinstance(cause, CastError):
        return f"all files of all splits must have the same columns, and {cause.details()}"[:300]
    return " ".join(str(cause).split())[:200]


def row_ids(dataset: Dataset) -> list[str]:
    """The rows' stable ids; their positions where hfpipe did not make the dataset."""
    if "row_id" in dataset.column_names:
        return [str(value) for value in dataset["row_id"][:]]
    return [str(position) for position in range(len(dataset))]
