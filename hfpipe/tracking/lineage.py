"""What a model came from, as W&B's artifacts: references to repos at a commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wandb import Run


@dataclass(frozen=True)
class Repo:
    """A repo at a commit.

    Attributes:
        repo_id: ``NAMESPACE/NAME``, or the path of a local file.
        revision: The commit.
        kind: ``dataset`` or ``model``.
        metadata: What to tell of it.
    """

    repo_id: str
    revision: str | None
    kind: str = "model"
    metadata: Mapping[str, Any] = field(default_factory=dict)


def log_lineage(
    run: Run | None,
    endpoint: str,
    *,
    used: Sequence[Repo],
    made: Repo | None = None,
    files: Sequence[Path] = (),
) -> None:
    """Log what a run used and what it made as artifacts: references, not copies.

    Args:
        run: The W&B run; None logs nothing.
        endpoint: URL of the Hub that has the repos.
        used: The dataset, the base model; of an evaluation, the model.
        made: The pushed model.
        files: Kept in the artifact of what was made, or, if nothing was, in one of the
            evaluation: the report, ``metrics.json``.
    """
