"""Whose a checkpoint is: it says so itself, since a Hub keeps it without the run's journal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers.trainer_callback import ExportableState, TrainerCallback

from hfpipe.errors import UserError
from hfpipe.training.journal import Journal

STATE = "trainer_state.json"


class Signed(TrainerCallback, ExportableState):
    """Writes into each checkpoint what makes its run this one.

    Args:
        identity: See ``Journal``.
    """

    def __init__(self, identity: Mapping[str, Any]) -> None:
        self.identity = identity

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"args": {"identity": dict(self.identity)}, "attributes": {}}


def check_brought(folder: Path, identity: Mapping[str, Any]) -> bool:
    """Make sure that checkpoints without a journal are of this very run.

    Args:
        folder: Of the run's checkpoints, those of its stages below it.
        identity: Of this run.

    Returns:
        Whether there are any.

    Raises:
        UserError: One is of another run, or does not say of which.
    """
    brought = sorted(each for each in folder.rglob("checkpoint-*") if each.is_dir())
    for checkpoint in brought:
        state = _state(checkpoint)
        if state is None:  # broken, so that nobody goes on from there
            continue
        told = state.get("stateful_callbacks", {}).get(Signed.__name__)
        if told is None:
            raise UserError(
                f"--resume: {checkpoint} does not say which run it is of, and there is no journal "
                f"beside it: remove it, or start anew without --resume"
            )
        Journal(folder, told["args"]["identity"]).check(identity)
    return bool(brought)


def _state(checkpoint: Path) -> dict[str, Any] | None:
    """The Trainer's state; None where none can be read."""
    try:
        found = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
