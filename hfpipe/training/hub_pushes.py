"""``training.hub_strategy``: checkpoints on the Hub while the model still learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from transformers.trainer_callback import TrainerCallback

from hfpipe.errors import HfpipeError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.publish import folder_files, publish
from hfpipe.models.families._base import TOOLS

WEIGHTS = ("model*.safetensors", "model.safetensors.index.json", "config.json", "*.py")
"""What of a checkpoint folder is the model."""
WHOLE = {"checkpoint": "last-checkpoint", "all_checkpoints": "{name}"}
"""Strategy to where in the repo the whole checkpoint goes, so that a run can go on from it."""


@dataclass(frozen=True)
class Pushing:
    """Where a run's checkpoints may go.

    Attributes:
        endpoint: The Hub.
        repo_id: The model repo.
        private: Whether a new repo is private.
        tools: Input name → tokenizer or image processor, pushed beside the weights.
        flat: Whether the one tool lies beside the weights, as stock models have it.
    """

    endpoint: Endpoint
    repo_id: str
    private: bool = True
    tools: Mapping[str, Any] = field(default_factory=dict)
    flat: bool = True


class HubPushes(TrainerCallback):
    """Pushes what the Trainer has saved, as ``hub_strategy`` says, in one commit each time.

    Args:
        pushing: Where to.
        strategy: ``every_save``: the weights; ``checkpoint``: also the whole checkpoint, as
            ``last-checkpoint``; ``all_checkpoints``: every one under its own name.
        say: Told of a push that failed: training goes on.
    """

    def __init__(self, pushing: Pushing, strategy: str, say: Callable[[str], None]) -> None:
        self.pushing, self.strategy, self.say = pushing, strategy, say

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Push the checkpoint that was just saved."""
        if not state.is_world_process_zero:
            return
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if not checkpoint.is_dir():  # already taken away again by save_total_limit
            return
        message = f"Training: step {state.global_step}, epoch {state.epoch:.2f}"
        try:
            with TemporaryDirectory() as scratch:
                self._save_tools(Path(scratch))
                files = {**folder_files(Path(scratch)), **self._files(checkpoint)}
                to = self.pushing
                publish(to.endpoint, to.repo_id, "model", files, message, private=to.private)
        except HfpipeError as error:
            self.say(f"the checkpoint of step {state.global_step} was not pushed: {error}")

    def _files(self, checkpoint: Path) -> dict[str, Path | bytes]:
        files: dict[str, Path | bytes] = {
            path.name: path for pattern in WEIGHTS for path in checkpoint.glob(pattern)
        }
        if self.strategy in WHOLE:
            folder = WHOLE[self.strategy].format(name=checkpoint.name)
            inside = folder_files(checkpoint).items()
            files |= {f"{folder}/{name}": each for name, each in inside}
        return files

    def _save_tools(self, folder: Path) -> None:
        for name, tool in self.pushing.tools.items():
            tool.save_pretrained(folder if self.pushing.flat else folder / TOOLS / name)
