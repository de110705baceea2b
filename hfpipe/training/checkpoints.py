"""Checkpoints without pickle, and which of them a run can go on from.

The stock Trainer pickles optimizer, schedule, generators, gradient scaler and its arguments. Here
each is JSON, its tensors safetensors, and each file takes its name when it is whole. A checkpoint
is whole when its last file, ``trainer_state.json``, is there and so is all that was before it.
"""

from __future__ import annotations

import json
import logging
import random
import re
import shutil
from pathlib import Path
from typing import Any, Never

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import Trainer
from transformers.trainer import TRAINER_STATE_NAME, TRAINING_ARGS_NAME
from transformers.utils import (
    ADAPTER_SAFE_WEIGHTS_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    is_sagemaker_mp_enabled,
    is_torch_xla_available,
)

from hfpipe.errors import UserError
from hfpipe.files import write_text
from hfpipe.training.shards import cut_state, gathered, put_weights, weights_of
from hfpipe.training.states import flaw_of_file, flaw_of_state, load_state, save_state

logger = logging.getLogger(__name__)

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_OPTIMIZER, _SCHEDULE, _SCALER, _RNG = "optimizer", "scheduler", "scaler", "rng_state"
_WEIGHTS = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME, ADAPTER_SAFE_WEIGHTS_NAME)


class SafeCheckpoints(Trainer):
    """Mixin before a Trainer: its checkpoints hold no pickle and come back bit for bit.

    What FSDP has cut up is gathered, so that its checkpoints are like all others. FSDP's first
    version, DeepSpeed, XLA and SageMaker shard their state in formats of their own: there the stock
    Trainer does what it does, and only the arguments are JSON.

    >>> from transformers import Seq2SeqTrainer
    >>> class T(SafeCheckpoints, Seq2SeqTrainer): ...
    >>> [each.__name__ for each in T.__mro__][:4]
    ['T', 'SafeCheckpoints', 'Seq2SeqTrainer', 'Trainer']
    """

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As stock; what is cut up is gathered."""
        if self._is_cut():
            self._save(output_dir, state_dict=weights_of(self.model))
        else:
            super().save_model(output_dir, _internal_call)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        folder = Path(output_dir if output_dir is not None else self.args.output_dir)
        if self.args.should_save and _CHECKPOINT.fullmatch(folder.name):
            # One of an earlier run would vouch for files that are about to be replaced.
            (folder / TRAINER_STATE_NAME).unlink(missing_ok=True)
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            (folder / TRAINING_ARGS_NAME).unlink(missing_ok=True)
            said = {k: v for k, v in self.args.to_dict().items() if not k.endswith("_token")}
            text = json.dumps(said, indent=2, sort_keys=True, default=str)
            write_text(folder / "training_args.json", text + "\n")

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self._is_sharded():
            super()._save_optimizer_and_scheduler(output_dir)
            return
        state = self.optimizer.state_dict()
        state = gathered(state) if self._is_cut() else state
        if self.args.should_save:
            groups, parameters = state["param_groups"], self._parameters()
            more = {"param_groups": groups, "parameters": parameters}
            save_state(output_dir, _OPTIMIZER, state["state"], **more)
            save_state(output_dir, _SCHEDULE, self.lr_scheduler.state_dict())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or self._is_sharded():
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        saved = _loaded(checkpoint, _OPTIMIZER)
        self._check_parameters(checkpoint, saved.pop("parameters", []))
        schedule = _loaded(checkpoint, _SCHEDULE)["state"]
        try:
            self.optimizer.load_state_dict(cut_state(saved, self.optimizer))
            self.lr_scheduler.load_state_dict(schedule)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            what = f"its optimizer or schedule is not that of this run ({error})"
            _refuse(checkpoint, what, error)

    def _save_scaler(self, output_dir: str) -> None:
        if self._is_sharded():
            super()._save_scaler(output_dir)
        elif self.args.should_save:
            # Written where there is none too: so its absence always means a damaged checkpoint.
            scaler = self._scaler()
            save_state(output_dir, _SCALER, scaler.state_dict() if scaler else None)

    def _load_scaler(self, checkpoint: str | None) -> None:
        if checkpoint is None or self._is_sharded():
            super()._load_scaler(checkpoint)
            return
        state, scaler = _loaded(checkpoint, _SCALER)["state"], self._scaler()
        if (state is None) != (scaler is None):
            had = "no gradient scaler" if state is None else "a gradient scaler"
            _refuse(checkpoint, f"it was written with {had}, so in another precision than this run")
        if scaler is not None:
            scaler.load_state_dict(state)

    def _save_rng_state(self, output_dir: str) -> None:
        if self._is_sharded():
            super()._save_rng_state(output_dir)
            return
        state = {
            "python": random.getstate(),
            "numpy": np.random.get_state(),
            "cpu": torch.random.get_rng_state(),
        }
        if torch.cuda.is_available():
            state["cuda"] = torch.cuda.random.get_rng_state_all()
        world = self.args.world_size
        save_state(output_dir, _rng_name(self.args.process_index, world), state, world_size=world)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None or self._is_sharded():
            super()._load_rng_state(checkpoint)
            return
        name = _rng_name(self.args.process_index, self.args.world_size)
        state = _loaded(checkpoint, name)["state"]
        random.setstate(state["python"])
        np.random.set_state(state["numpy"])
        torch.random.set_rng_state(state["cpu"])
        devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if len(state.get("cuda", ())) == devices:
            torch.cuda.random.set_rng_state_all(state.get("cuda", ()))
        else:
            logger.warning(
                "%s: written on %d GPUs, this machine has %d; random draws on them will differ",
                checkpoint,
                len(state.get("cuda", ())),
                devices,
            )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if not self._is_sharded() and (flaw := flaw_of(Path(resume_from_checkpoint))):
            _refuse(resume_from_checkpoint, flaw)
        try:
            if self._is_cut():
                put_weights(model or self.model, resume_from_checkpoint)
            else:
                super()._load_from_checkpoint(resume_from_checkpoint, model)
        except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
            _refuse(resume_from_checkpoint, f"its weights do not fit this model ({error})", error)

    def _load_best_model(self) -> None:
        if self._is_cut():
            put_weights(self.model, str(self.state.best_model_checkpoint))
        else:
            super()._load_best_model()

    def _is_cut(self) -> bool:
        """Whether FSDP, in its second version, has the model."""
        return bool(self.is_fsdp_enabled and self.accelerator.is_fsdp2)

    def _is_sharded(self) -> bool:
        return bool(
            self.is_deepspeed_enabled
            or (self.is_fsdp_enabled and not self._is_cut())
            or is_torch_xla_available()
            or is_sagemaker_mp_enabled()
        )

    def _scaler(self) -> Any:
        return getattr(self.accelerator, "scaler", None)

    def _parameters(self) -> list[list[Any]]:
        """Name and shape of each parameter, in the optimizer's order."""
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        groups = self.optimizer.param_groups
        return [[names.get(id(p), ""), list(p.shape)] for group in groups for p in group["params"]]

    def _check_parameters(self, checkpoint: str, saved: list[list[Any]]) -> None:
        # torch compares how many parameters a group has, but neither which nor how large.
        now = self._parameters()
        if len(saved) != len(now):
            what = f"its optimizer has {len(saved)} parameters, this run trains {len(now)}"
            _refuse(checkpoint, what)
        for before, after in zip(saved, now, strict=True):
            if before != after:
                what = f"its optimizer has {before[0]} {before[1]}"
                _refuse(checkpoint, f"{what} where this run trains {after[0]} {after[1]}")


def newest(folder: Path) -> Path | None:
    """Find the newest checkpoint that a run can go on from.

    Args:
        folder: Where the ``checkpoint-N`` folders are; need not exist.

    Returns:
        The whole one with the highest N, or ``None``. Checkpoints without the optimizer
        (``save_only_model``) and sharded ones of FSDP or DeepSpeed are passed over.
    """
    return next((each for each in _checkpoints(folder) if not flaw_of(each)), None)


def remove_broken(folder: Path) -> list[Path]:
    """Delete what a kill left: broken checkpoints that are newer than the newest whole one.

    What is whole as far as it goes stays, even if no run can go on from it: checkpoints without
    the optimizer, and those that were written by the stock Trainer.

    Args:
        folder: Where the ``checkpoint-N`` folders are; need not exist.

    Returns:
        The folders that are gone, newest first.
    """
    removed = []
    for each in _checkpoints(folder):
        if not flaw_of(each):
            break
        if _is_broken(each):
            shutil.rmtree(each, ignore_errors=True)
            removed += [each] if not each.exists() else []
    return removed


def flaw_of(checkpoint: Path) -> str:
    """Say what keeps a run from going on from a checkpoint; empty where nothing does."""
    if not checkpoint.is_dir():
        return "there is no such folder"
    try:
        return _flaw_of_all(checkpoint)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        # A run that is alive rotates its checkpoints; what is JSON need not say what it should.
        return f"its files went away or are damaged ({type(error).__name__}: {error})"


def _flaw_of_all(checkpoint: Path) -> str:
    if flaw := _flaw_of_files(checkpoint):
        return flaw
    for name in (_OPTIMIZER, _SCHEDULE, _SCALER):
        if flaw := flaw_of_state(checkpoint, name):
            return flaw
    first = min(checkpoint.glob(f"{_RNG}*.json"), default=checkpoint / f"{_RNG}.json")
    if flaw := flaw_of_state(checkpoint, first.stem):
        return flaw
    world = json.loads(first.read_bytes()).get("world_size", 1)
    flaws = (flaw_of_state(checkpoint, _rng_name(rank, world)) for rank in range(world))
    return next(filter(None, flaws), "")


def _checkpoints(folder: Path) -> list[Path]:
    """The ``checkpoint-N`` folders, highest N first."""
    found = Path(folder).iterdir() if Path(folder).is_dir() else iter(())
    steps = {each: _CHECKPOINT.fullmatch(each.name) for each in found if each.is_dir()}
    numbered = [(int(match[1]), each) for each, match in steps.items() if match]
    return [each for _, each in sorted(numbered, reverse=True)]


def _is_broken(checkpoint: Path) -> bool:
    try:
        flaw = _flaw_of_files(checkpoint, weights=False)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError):
        return True
    return bool(flaw) or any(
        (checkpoint / f"{name}.json").exists() for name in (_OPTIMIZER, _SCHEDULE, _SCALER)
    )


def _flaw_of_files(checkpoint: Path, weights: bool = True) -> str:
    """What is wrong with the files that any checkpoint has, whatever it can be used for."""
    files = [checkpoint / TRAINER_STATE_NAME]
    files += [*checkpoint.glob("*.json"), *checkpoint.glob("*.safetensors")]
    index = checkpoint / SAFE_WEIGHTS_INDEX_NAME
    if weights and not any((checkpoint / name).exists() for name in _WEIGHTS):
        return f"{SAFE_WEIGHTS_NAME} is missing"
    if flaw := next(filter(None, map(flaw_of_file, files)), ""):
        return flaw
    state = json.loads(files[0].read_bytes())
    if not isinstance(state, dict) or not isinstance(state.get("global_step"), int):
        return f"{TRAINER_STATE_NAME} is cut off or damaged"
    shards = json.loads(index.read_bytes())["weight_map"].values() if index.exists() else ()
    return next(filter(None, (flaw_of_file(checkpoint / each) for each in set(shards))), "")


def _rng_name(rank: int, world: int) -> str:
    return _RNG if world <= 1 else f"{_RNG}_{rank}"


def _loaded(checkpoint: str, name: str) -> dict[str, Any]:
    try:
        return load_state(checkpoint, name)
    except ValueError as error:
        _refuse(checkpoint, str(error), error)


def _refuse(checkpoint: str, what: str, cause: BaseException | None = None) -> Never:
    fix = "remove it, or start without --resume"
    raise UserError(f"{checkpoint}: cannot go on from here: {what}; {fix}") from cause
