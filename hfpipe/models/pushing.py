"""Push a model: weights, tokenizer and all that belongs to them, in one commit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.publish import Published, folder_files, publish

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MODEL_FILES = (
    "*.safetensors",
    "*.bin",
    "*.index.json",
    "*.model",
    "vocab.*",
    "merges.txt",
    "*token*.json",
)
"""What an earlier model may have left in its repo, and a loader would take for this one's."""


def push_model(
    endpoint: Endpoint,
    repo_id: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    story: Mapping[str, Any],
    extra: Mapping[str, bytes],
    *,
    private: bool = True,
) -> Published:
    """Save a model and push it; files of an earlier model leave in the same commit.

    Args:
        endpoint: The Hub.
        repo_id: ``namespace/name``.
        model: Saved as safetensors.
        tokenizer: Saved beside it.
        story: Becomes ``hfpipe/run.json``.
        extra: Further files: path in the repo to content.
        private: Whether a repo that this call makes is private.

    Raises:
        UserError: See ``hfpipe.hub.repos.hub_errors``.
        RunError: The Hub failed; the repo is as it was.
    """
    run = json.dumps(story, indent=2, ensure_ascii=False) + "\n"
    with TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        files: dict[str, Path | bytes] = {**folder_files(Path(scratch)), **extra}
        files["hfpipe/run.json"] = run.encode()
        message = f"Fine-tune {story['base_model']['repo_id']} on {story['dataset']['repo_id']}"
        return publish(
            endpoint, repo_id, "model", files, message, private=private, delete=MODEL_FILES
        )
