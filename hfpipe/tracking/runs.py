"""A run on Weights & Biases: online with a key, offline without one, or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError
from hfpipe.hub.provenance import redacted
from hfpipe.tracking.config import flat

if TYPE_CHECKING:
    from wandb import Run

PROJECT = "hfpipe"
TAG_CHARACTERS = 64
"""W&B refuses longer ones."""
TENSORBOARD = "TENSORBOARD_LOGGING_DIR"
"""Where transformers tells TensorBoard's events to go."""


@contextmanager
def tracking(
    folder: Path,
    *,
    name: str,
    group: str,
    config: Mapping[str, Any],
    enabled: bool = True,
    key: str | None = None,
    run_id: str | None = None,
    job_type: str = "finetune",
    tags: Sequence[str] = (),
) -> Iterator[Run | None]:
    """One W&B run for the length of the block; the Trainer's own callback logs into it.

    With a key (``key``, ``WANDB_API_KEY`` or ``wandb login``) the run goes online; without one
    it is kept below ``folder`` and ``wandb sync`` sends it later. ``WANDB_NAME``,
    ``WANDB_RUN_GROUP``, ``WANDB_JOB_TYPE`` and ``WANDB_TAGS`` are stronger than what is given
    here, and a run that a sweep started keeps the id that the sweep knows it by.

    Within the block TensorBoard's events go to ``folder/tensorboard``, unless
    ``TENSORBOARD_LOGGING_DIR`` says otherwise.

    Args:
        folder: Where the run's files go.
        name: The run's name.
        group: Runs of one recipe, or of one suite, stand together.
        config: The recipe as composed; it is logged flat, under the names of overrides, without
            what is secret.
        enabled: False: no W&B run.
        key: W&B API key. Never logged.
        run_id: Of the run; where W&B has one of this id, it goes on.
        job_type: What the run does: ``finetune`` or ``evaluate``.
        tags: To find it by.

    Yields:
        The run; None if not ``enabled``.

    Raises:
        UserError: The key is refused or W&B cannot be reached.
    """
    with _events_below(folder):
        if not enabled:
            yield None
            return
        # Read here, as W&B reads them but once in the life of a process.
        said = os.environ.get
        all_tags = said("WANDB_TAGS", "").split(",") if said("WANDB_TAGS") else tags
        own = {
            "name": said("WANDB_NAME") or name,
            "group": said("WANDB_RUN_GROUP") or group,
            "job_type": said("WANDB_JOB_TYPE") or job_type,
            "tags": list(dict.fromkeys(tag[:TAG_CHARACTERS] for tag in all_tags if tag)),
        }
        run = _started(folder, own, flat(config), key, run_id)
        failed = True
        try:
            yield run
            failed = False
        finally:
            run.finish(exit_code=int(failed))


def _started(
    folder: Path, own: dict[str, Any], config: dict[str, Any], key: str | None, run_id: str | None
) -> Run:
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    if key:
        # By environment: wandb.login(key=...) would write it to ~/.netrc.
        os.environ["WANDB_API_KEY"] = key
    known = wandb.login(prompt=False, verify=False)
    mode: Any = os.environ.get("WANDB_MODE") or ("online" if known else "offline")
    of_sweep = os.environ.get("WANDB_RUN_ID")  # its agent waits for this one
    try:
        with _without_tokens():
            return wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                **own,
                config=config,
                # Absolute: a W&B service that a parent process started has another working folder.
                dir=str(folder.resolve()),
                mode=mode,
                id=of_sweep or run_id,
                resume="allow" if run_id and not of_sweep else None,
                settings=wandb.Settings(silent=True, console="off"),
            )
    except wandb.Error as error:
        raise UserError(
            f"W&B: {' '.join(str(error).split())[:200]}; check WANDB_API_KEY, or use --no-wandb"
        ) from error


@contextmanager
def _without_tokens() -> Iterator[None]:
    """W&B keeps the command line in the run's files; it is shown one without tokens."""
    whole = sys.argv
    sys.argv = redacted(whole)
    try:
        yield
    finally:
        sys.argv = whole


@contextmanager
def _events_below(folder: Path) -> Iterator[None]:
    if os.environ.get(TENSORBOARD):
        yield
        return
    os.environ[TENSORBOARD] = str(events_folder(folder))
    try:
        yield
    finally:
        os.environ.pop(TENSORBOARD, None)


def events_folder(folder: Path) -> Path:
    """Where TensorBoard's events of a run go."""
    return Path(os.environ.get(TENSORBOARD) or folder.resolve() / "tensorboard")
