"""The long description of a repo: what model_info and dataset_info are made of."""

from __future__ import annotations

import json
from typing import Any

import pygit2

from hfpipe.hub.server.cards import plain, read_card, tags_of
from hfpipe.hub.server.repository import Entry, Repo, iso

# How the name of a transformers class says what its model is for.
_TASKS = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "ForImageClassification": "image-classification",
}


def describe(
    repo: Repo, commit: pygit2.Commit, siblings: bool = True, blobs: bool = False
) -> dict[str, Any]:
    """Describe a repo at a commit.

    Args:
        repo: The repo.
        commit: What to look at.
        siblings: List the files.
        blobs: Give their sizes and hashes too.
    """
    card = _card(repo, commit)
    about: dict[str, Any] = {
        "_id": str(commit.id)[:24],
        "id": repo.id,
        "author": repo.namespace,
        "sha": str(commit.id),
        "private": repo.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "createdAt": repo.about["created"],
        "lastModified": iso(commit.commit_time),
        "tags": tags_of(card),
        "cardData": card,
    }
    if repo.kind == "models":
        about |= {"modelId": repo.id, **_model(repo, commit, card)}
        extra = (about.get("library_name"), about.get("pipeline_tag"))
        about["tags"] = list(dict.fromkeys([*about["tags"], *filter(None, extra)]))
    elif repo.kind == "spaces":
        about["sdk"] = repo.about.get("sdk")
    if siblings:
        files = (entry for entry in repo.entries(commit, recursive=True) if not entry.is_folder)
        about["siblings"] = [_sibling(entry, blobs) for entry in files]
    return about


def _card(repo: Repo, commit: pygit2.Commit) -> dict[str, Any]:
    """Read the card; a broken one is as good as none here."""
    readme = repo.read_path(commit, "README.md") or b""
    return read_card(readme.decode("utf-8", "replace"))[0]


def _model(repo: Repo, commit: pygit2.Commit, card: dict[str, Any]) -> dict[str, Any]:
    """Say what kind of model it is: by its card, or else by its config."""
    config = _config(repo, commit)
    architectures = config.get("architectures") or []
    named = architectures[0] if isinstance(architectures, list) and architectures else ""
    guess = next((task for end, task in _TASKS.items() if str(named).endswith(end)), None)
    about: dict[str, Any] = {
        "pipeline_tag": card.get("pipeline_tag") or guess,
        "library_name": card.get("library_name") or ("transformers" if config else None),
    }
    if config:
        kept = ("architectures", "model_type", "auto_map")
        about["config"] = {key: plain(config[key]) for key in kept if key in config}
    return {key: value for key, value in about.items() if value is not None}


def _config(repo: Repo, commit: pygit2.Commit) -> dict[str, Any]:
    try:
        loaded = json.loads(repo.read_path(commit, "config.json") or b"{}")
    except (ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _sibling(entry: Entry, blobs: bool) -> dict[str, Any]:
    """Name a file, with its size and hashes where they are wanted."""
    if not blobs:
        return {"rfilename": entry.path}
    about: dict[str, Any] = {"rfilename": entry.path, "size": entry.size, "blobId": entry.oid}
    if entry.pointer:
        pointer = entry.pointer
        size = len(pointer.text())
        about["lfs"] = {"sha256": pointer.sha256, "size": pointer.size, "pointerSize": size}
    return about
