"""What a run used and what it made, as W&B's artifacts: references to repos at a commit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wandb import Artifact, Run


@dataclass(frozen=True)
class Repo:
    """A repo at a commit.

    Attributes:
        repo_id: ``NAMESPACE/NAME``, or the path of a local file.
        revision: The commit, or ``sha256:…`` of a local file.
        kind: ``dataset`` or ``model``.
        metadata: What to tell of it.
    """

    repo_id: str
    revision: str | None = None
    kind: str = "model"
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As W&B allows it.

        >>> Repo("ada/spam filter").name, Repo("ada/spam", kind="dataset").name
        ('model-ada-spam-filter', 'dataset-ada-spam')
        """
        return re.sub(r"[^\w.-]+", "-", f"{self.kind}-{self.repo_id}")[:120]

    def url(self, endpoint: str) -> str:
        """Where a person sees just this commit.

        >>> Repo("ada/spam", "0a1b", "dataset").url("https://hub/")
        'https://hub/datasets/ada/spam/tree/0a1b'
        """
        folder = "datasets/" if self.kind == "dataset" else ""
        return f"{endpoint.rstrip('/')}/{folder}{self.repo_id}/tree/{self.revision or 'main'}"


def log_lineage(
    run: Run | None,
    endpoint: str,
    *,
    used: Sequence[Repo],
    made: Repo | None = None,
    files: Sequence[Path] = (),
) -> None:
    """Log what a run used and what it made as artifacts: references, not copies.

    An offline run tells the same; ``wandb sync`` makes the links.

    Args:
        run: The W&B run; None logs nothing.
        endpoint: URL of the Hub that has the repos.
        used: The dataset, the base model; of an evaluation, the model.
        made: The pushed model.
        files: Kept in the artifact of what was made, or, if nothing was, in an artifact
            ``evaluation-RUN`` of its own: the report, ``metrics.json``.
    """
    if run is None or run.disabled:
        return
    for repo in used:
        _use(run, _reference(repo, endpoint), [_alias(repo)])
    if made is None and not files:
        return
    import wandb

    if made is not None:
        artifact = _reference(made, endpoint)
    else:
        artifact = wandb.Artifact(f"evaluation-{run.id}", "evaluation")
    for path in files:
        # Not copied to W&B's own cache: an offline run is synced from the run folder.
        artifact.add_file(str(path.resolve()), name=path.name, policy="immutable")
    run.log_artifact(artifact, aliases=["latest", *([_alias(made)] if made else [])])


def _reference(repo: Repo, endpoint: str) -> Artifact:
    import wandb

    told = {"repo_id": repo.repo_id, "revision": repo.revision, **repo.metadata}
    if (repo.revision or "").startswith("sha256:"):
        return wandb.Artifact(repo.name, repo.kind, metadata=told)
    told["url"] = repo.url(endpoint)
    artifact = wandb.Artifact(repo.name, repo.kind, metadata=told)
    # Unchecked, or W&B would fetch the page, without the token that it may need.
    artifact.add_reference(told["url"], name="repo", checksum=False)
    return artifact


def _use(run: Run, artifact: Artifact, aliases: list[str]) -> None:
    if not run.offline:
        run.use_artifact(artifact, aliases=aliases)
        return
    # run.use_artifact refuses, as it waits for an answer. This is the record that it would write,
    # which `wandb sync` acts on: the artifact is made, then used.
    run._log_artifact(artifact, aliases=aliases, is_user_created=True, use_after_commit=True)


def _alias(repo: Repo) -> str:
    """The commit, as people write it: W&B allows no slash and no colon in an alias.

    >>> _alias(Repo("a/b", "0123456789abcdef0123")), _alias(Repo("rows.csv", "sha256:0123456789"))
    ('0123456789ab', '0123456789')
    """
    return (repo.revision or "main").rpartition(":")[2][:12].replace("/", "-")
