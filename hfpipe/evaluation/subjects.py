"""What a comparison is given: folders with results, and model repos with or without them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hfpipe.errors import HfpipeError, UserError
from hfpipe.evaluation.stored import METRICS, PREDICTIONS, Stored, read_result
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.repos import STORY, download, find, read_json, split_revision


@dataclass
class Subject:
    """One of the things to compare, before and after its result is found.

    Attributes:
        name: What to call it.
        key: What it is: the same for two ways to write it.
        repo_id: Of a repo.
        revision: Its commit.
        story: Its ``hfpipe/run.json``.
        result: What was scored; None of a repo without usable results.
        why: Of such a repo, what is missing.
    """

    name: str
    key: str
    repo_id: str | None = None
    revision: str | None = None
    story: dict[str, Any] = field(default_factory=dict)
    result: Stored | None = None
    why: str = ""


def find_subject(name: str, endpoint: Endpoint | None) -> Subject:
    """A folder read, or a repo found.

    Args:
        name: The folder, or ``NAMESPACE/NAME[@REVISION]``.
        endpoint: The Hub of the repos.

    Raises:
        UserError: There is neither.
    """
    path = Path(name).expanduser()
    path = path.parent if path.name == METRICS and path.is_file() else path
    if path.is_dir():
        return Subject(name, str(path.resolve()), result=read_result(path, name))
    if is_folder(name) or endpoint is None:
        raise UserError(f"{name}: there is no such folder")
    try:
        repo_id, revision = find(endpoint, name, "model")
    except UserError as error:
        raise UserError(f"{name}: there is no such folder, and {error}") from error
    wanted = split_revision(name)[1]
    shown = f"{repo_id}@{wanted}" if wanted else repo_id
    story = read_json(endpoint, repo_id, "model", STORY, revision) or {}
    return Subject(shown, f"{repo_id}@{revision}", repo_id, revision, story)


def is_folder(name: str) -> bool:
    """Whether a name can only be meant as a path of this machine.

    >>> is_folder("."), is_folder("./runs/a"), is_folder("runs/a/b"), is_folder("ada/topics@v1")
    (True, True, True, False)
    """
    repo_id, _ = split_revision(name)
    return Path(name).exists() or name.startswith((".", "/", "~")) or repo_id.count("/") > 1


def needs_hub(names: Sequence[str], hub: str | None = None) -> bool:
    """Whether a Hub is to be asked: folders alone are compared without a network.

    Args:
        names: What to compare.
        hub: ``--hub``; a Hub that is named, here or by ``HFPIPE_HUB``, can tell recipes.

    >>> needs_hub([".", "ada/topics"]), needs_hub(["."], "local")
    (True, True)
    """
    named = hub or os.environ.get("HFPIPE_HUB")
    return bool(named) or not all(is_folder(name) for name in names)


def take_pushed(subject: Subject, endpoint: Endpoint, split: str | None) -> None:
    """Take the results that were pushed with a model, or say why not."""
    repo_id, revision = str(subject.repo_id), str(subject.revision)
    place = f"hfpipe/evaluation/{split}"
    file = split and download(endpoint, repo_id, "model", f"{place}/{METRICS}", revision)
    if not file:
        of = f"split '{split}'" if split else "a local file"
        subject.why = f"the repo has no results of {of}"
        return
    download(endpoint, repo_id, "model", f"{place}/{PREDICTIONS}", revision)
    found = read_result(file.parent, subject.name)
    scored = found.record.model_revision
    if not _same_model(subject, endpoint, scored):
        subject.why = f"the results in the repo are of its commit {str(scored)[:12]}"
        return
    subject.result = found


def _same_model(subject: Subject, endpoint: Endpoint, scored: str | None) -> bool:
    """Whether the model has been trained anew since it was scored: each run has its own story."""
    if scored is None or not subject.story:
        return scored is not None
    try:
        return read_json(endpoint, str(subject.repo_id), "model", STORY, scored) == subject.story
    except HfpipeError:  # that commit is gone
        return False


def with_recipe(subject: Subject, endpoint: Endpoint | None) -> Stored:
    """The result with the recipe of its folder or repo, where there is one."""
    result = subject.result
    assert result is not None
    record = result.record
    if not (subject.story or result.config) and endpoint and record.model_revision:
        try:
            subject.story = (
                read_json(endpoint, record.model, "model", STORY, record.model_revision) or {}
            )
        except HfpipeError:  # the model of a folder need not be on this Hub
            subject.story = {}
    return replace(result, config=result.config or subject.story.get("config") or {})
