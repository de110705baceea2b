"""Learn from the newest whole checkpoint on; stop at a signal, after another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from hfpipe.processes import barrier, is_main, on_main

if TYPE_CHECKING:
    from hfpipe.training.interruption import Interruption
    from hfpipe.training.trainer import HfpipeTrainer


def train(trainer: HfpipeTrainer, folder: Path) -> None:
    """Learn from the newest whole checkpoint on, or from the start where there is none.

    Raises:
        Interrupted: A signal ended it, after a checkpoint.
    """
    from transformers import TrainerState

    from hfpipe.training.checkpoints import newest, remove_broken
    from hfpipe.training.interruption import Interrupted, Interruption

    if is_main():
        remove_broken(folder)
    checkpoint = on_main(lambda: newest(folder))
    if checkpoint is not None:
        _move_along(checkpoint)
        state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        stopped = state.stateful_callbacks.get("EarlyStopping", {}).get("attributes", {})
        if state.global_step >= state.max_steps or stopped.get("stopped"):
            trainer.state = state
            trainer._load_callback_state()
            trainer._load_from_checkpoint(str(checkpoint))
            if trainer.args.load_best_model_at_end and state.best_model_checkpoint:
                trainer._load_best_model()
            # Said after the last checkpoint, and maybe not heard by anyone.
            trainer.watch.on_train_end(trainer.args, state, trainer.control)
            return
        # It was made when the stage began: once more would cost one of the patience.
        trainer.args.eval_on_start = False
    interruption = Interruption()
    trainer.add_callback(interruption)
    with interruption.listening():
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if interruption.number is not None:
        raise Interrupted(_where(trainer, newest(folder), interruption), interruption.number)


def _where(trainer: HfpipeTrainer, kept: Path | None, interruption: Interruption) -> str:
    """Where a run was ended, and from where it can go on."""
    from hfpipe.training.interruption import NAMES

    step, number = trainer.state.global_step, interruption.number
    name = NAMES.get(number, str(number))  # type: ignore[call-overload]
    if kept is not None and kept.name == f"checkpoint-{step}":
        saved = (
            f"which is saved in {kept.parent}: the same command with --resume goes on from there"
        )
    elif kept is not None:
        saved = f"and --resume goes on from {kept.name}, the last that was saved whole"
    else:
        saved = "and nothing that --resume could go on from was saved: the stage begins again"
    return f"{trainer.watch.place}ended by {name} at step {step}, {saved}"


def _move_along(checkpoint: Path) -> None:
    """Let a checkpoint know where it lies: its run folder may have been moved."""
    from hfpipe.files import write_text

    path = checkpoint / "trainer_state.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    best = state.get("best_model_checkpoint")
    here = str(checkpoint.resolve().parent / Path(best).name) if best else None
    if best != here and is_main():
        write_text(path, json.dumps(state | {"best_model_checkpoint": here}, indent=2))
    barrier()
