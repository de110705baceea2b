"""Push a model: weights, tokenizer and all that belongs to them, in one commit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.publish import Published, folder_files, publish
from hfpipe.hub.repos import STORY

MODEL_FILES = (
    "*.safetensors",
    "*.bin",
    "*.index.json",
    "*.model",
    "vocab.*",
    "merges.txt",
    "*token*.json",
    "tools/*",
    "adapter_*",
    "tabular.*",
    "preprocessor_config.json",
    "modeling_hfpipe.py",
    "config.json",
    "processor.safetensors",
)
"""What an earlier model may have left in its repo, and a loader would take for this one's."""
RESULTS = (".eval_results/*", "hfpipe/evaluation/*")
"""What ``hfpipe evaluate --push`` said of an earlier model; the Hub would show it of this one."""
CHECKPOINTS = ("last-checkpoint/*", "checkpoint-*/*")
"""Where ``training.hub_strategy`` puts whole checkpoints."""


def push_model(
    endpoint: Endpoint,
    repo_id: str,
    save: Callable[[Path], None],
    story: Mapping[str, Any],
    extra: Mapping[str, bytes],
    *,
    private: bool = True,
) -> Published:
    """Save a model and push it; files and results of an earlier model leave in the same commit.

    Args:
        endpoint: The Hub.
        repo_id: ``namespace/name``.
        save: Writes model and tools into a folder.
        story: Becomes ``hfpipe/run.json``.
        extra: Further files: path in the repo to content.
        private: Whether a repo that this call makes is private.

    Raises:
        UserError: See ``hfpipe.hub.repos.hub_errors``.
        RunError: The Hub failed; the repo is as it was.
    """
    run = json.dumps(story, indent=2, ensure_ascii=False) + "\n"
    with TemporaryDirectory() as scratch:
        save(Path(scratch))
        files: dict[str, Path | bytes] = {**folder_files(Path(scratch)), **extra}
        files[STORY] = run.encode()
        origins = ", ".join(each["repo_id"] for each in story["origins"].values())
        message = f"Fine-tune {origins or story['recipe']} on {story['dataset']['repo_id']}"
        return publish(
            endpoint,
            repo_id,
            "model",
            files,
            message,
            private=private,
            delete=(*MODEL_FILES, *RESULTS),
            keep=CHECKPOINTS,
        )
