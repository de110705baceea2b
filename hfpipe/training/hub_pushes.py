"""``training.hub_strategy``: checkpoints on the Hub while the model still learns."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from transformers.trainer_callback import TrainerCallback

from hfpipe.errors import HfpipeError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.publish import folder_files, publish
from hfpipe.models.adapters import fold_in, has_adapters
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
        stage: Whose checkpoints they are; empty where a run has no stages.
    """

    def __init__(
        self, pushing: Pushing, strategy: str, say: Callable[[str], None], stage: str = ""
    ) -> None:
        self.pushing, self.strategy, self.say, self.stage = pushing, strategy, say, stage

    def on_save(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        """Push the checkpoint that was just saved."""
        if not state.is_world_process_zero:
            return
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if not checkpoint.is_dir():  # already taken away again by save_total_limit
            return
        stage = f"stage '{self.stage}', " if self.stage else ""
        message = f"Training: {stage}step {state.global_step}, epoch {state.epoch:.2f}"
        try:
            with TemporaryDirectory() as scratch:
                self._save_tools(Path(scratch))
                weights = self._weights(model, args, checkpoint, Path(scratch))
                files = {**weights, **folder_files(Path(scratch)), **self._whole(checkpoint)}
                to = self.pushing
                publish(to.endpoint, to.repo_id, "model", files, message, private=to.private)
        except HfpipeError as error:
            self.say(f"the checkpoint of step {state.global_step} was not pushed: {error}")

    def _weights(
        self, model: Any, args: Any, checkpoint: Path, scratch: Path
    ) -> dict[str, Path | bytes]:
        """The files of a model that loads: of a stock one with adapters, what it is without them.

        A wrapper's config says which adapters it has; a stock config cannot.
        """
        if not has_adapters(model) or hasattr(model, "add_lora"):
            return {path.name: path for name in WEIGHTS for path in checkpoint.glob(name)}
        if args.fsdp or args.deepspeed:
            self.say(
                "while adapters are on, a model that is cut up over devices is not pushed: "
                "hub_strategy pushes its weights again once they are folded in"
            )
            return {}
        copied = _copy(model)
        fold_in(copied)
        copied.save_pretrained(scratch)
        return {}

    def _whole(self, checkpoint: Path) -> dict[str, Path | bytes]:
        """A whole checkpoint, by a name that no other stage's has."""
        if self.strategy not in WHOLE:
            return {}
        name = f"checkpoint-{self.stage}-{checkpoint.name.rpartition('-')[2]}"
        folder = WHOLE[self.strategy].format(name=name if self.stage else checkpoint.name)
        return {f"{folder}/{path}": each for path, each in folder_files(checkpoint).items()}

    def _save_tools(self, folder: Path) -> None:
        for name, tool in self.pushing.tools.items():
            tool.save_pretrained(folder if self.pushing.flat else folder / TOOLS / name)


def _copy(model: Any) -> Any:
    """A copy in the memory of the CPU: an accelerator may have no room for two."""
    from torch import nn

    copies: dict[int, Any] = {
        id(each): nn.Parameter(each.detach().to("cpu", copy=True), each.requires_grad)
        for each in model.parameters()
    }
    copies |= {id(each): each.detach().to("cpu", copy=True) for each in model.buffers()}
    return copy.deepcopy(model, copies)
