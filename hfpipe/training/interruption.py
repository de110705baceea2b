"""SIGTERM and Ctrl-C while a model learns: finish the step, save, leave with one line."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers.trainer_callback import TrainerCallback

from hfpipe.errors import RunError
from hfpipe.processes import count

NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}


class Interrupted(RunError):
    """Learning was ended by a signal, and can go on later.

    Args:
        message: What was saved, and how to go on.
        number: The signal: the exit code is 128 more, as shells have it.
    """

    def __init__(self, message: object, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class Interruption(TrainerCallback):
    """Saves a checkpoint and stops once a signal has come.

    At the last step of an epoch, or of all, it waits for what belongs to the epoch's end: a run
    that goes on from there starts the next epoch, and nobody would evaluate this one.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.within_epoch = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take both signals for the length of the block; a second one is what it was before.

        Not so where a run has several processes: what started them hands every signal on to them,
        also one that they have had themselves, and would break off the saving. It kills them if
        they take too long.
        """
        before: dict[int, Any] = {}
        number: int

        def heard(number: int, frame: object) -> None:
            self.number = number
            if count() == 1:
                signal.signal(number, before[number])

        try:
            for number in NAMES:
                before[number] = signal.signal(number, heard)
        except ValueError:  # only the main thread may listen
            pass
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def heard_anywhere(self) -> bool:
        """Whether any process of the run heard a signal: all must stop at the same step."""
        import torch.distributed as dist

        if not (dist.is_available() and dist.is_initialized()):
            return self.number is not None
        import torch

        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        heard = torch.tensor(self.number or 0, device=device)
        dist.all_reduce(heard, op=dist.ReduceOp.MAX)
        self.number = int(heard) or None
        return self.number is not None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop after this step, unless the epoch ends with it."""
        loader = kwargs.get("train_dataloader")
        steps = len(loader) if loader is not None else 0
        ends = state.global_step >= state.max_steps or (steps and state.global_step % steps == 0)
        if self.heard_anywhere() and not ends:
            self.within_epoch = True
            control.should_save = control.should_training_stop = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop once the epoch has been evaluated; one that was broken off is not."""
        if self.within_epoch:
            control.should_log = control.should_evaluate = control.should_save = False
        elif self.heard_anywhere():
            control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep what was just saved: at the end, a limit of 1 would leave the best one alone."""
        if self.number is not None and args.save_total_limit == 1:
            args.save_total_limit = None
