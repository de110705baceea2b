"""Nested state (of an optimizer, a schedule, random generators) as JSON beside safetensors."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable
from functools import singledispatchmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hfpipe.errors import RunError, UserError
from hfpipe.files import write_text

# What JSON has no word for is an object with one key, the name of what it stands for.
_BUILDERS: dict[str, Callable[[Any], Any]] = {
    "$float": float,
    "$tuple": tuple,
    "$dict": dict,
    "$counter": lambda pairs: Counter(dict(pairs)),
}


class Packer:
    """Turns nested state into what JSON can say, and puts its tensors aside.

    >>> packer = Packer()
    >>> packer.packed({0: (0.9, float("inf")), "seen": [True, None]}, "")
    {'$dict': [[0, {'$tuple': [0.9, {'$float': 'inf'}]}], ['seen', [True, None]]]}
    >>> packer.packed({"state": {0: {"step": torch.tensor(3.0)}}}, "")
    {'state': {'$dict': [[0, {'step': {'$tensor': 'state.0.step'}}]]}}
    >>> packer.tensors
    {'state.0.step': tensor(3.)}

    Attributes:
        tensors: What was put aside, on the CPU, by its place in the state.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self._addresses: set[int] = set()

    @singledispatchmethod
    def packed(self, value: Any, place: str) -> Any:
        """Give ``value`` as JSON can say it; ``place`` is where it stands, for names and errors."""
        raise UserError(
            f"a checkpoint cannot hold {place or 'this state'}, a {type(value).__name__}, without"
            " pickle; choose another optimizer or schedule, or save_strategy: 'no'"
        )

    @packed.register(type(None))
    @packed.register(str)
    @packed.register(int)
    def _(self, value: Any, _place: str) -> Any:
        return value

    @packed.register
    def _(self, value: float, _place: str) -> Any:
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}

    @packed.register
    def _(self, value: np.generic, place: str) -> Any:
        return self.packed(value.item(), place)

    @packed.register
    def _(self, value: list, place: str) -> Any:
        return [self.packed(each, _below(place, index)) for index, each in enumerate(value)]

    @packed.register
    def _(self, value: tuple, place: str) -> Any:
        return {"$tuple": self.packed(list(value), place)}

    @packed.register
    def _(self, value: dict, place: str) -> Any:
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: self.packed(each, _below(place, key)) for key, each in value.items()}
        return {"$dict": self._pairs(value, place)}

    @packed.register
    def _(self, value: Counter, place: str) -> Any:
        return {"$counter": self._pairs(value, place)}

    @packed.register
    def _(self, value: torch.Tensor, place: str) -> Any:
        return {"$tensor": self._put_aside(value, place)}

    @packed.register
    def _(self, value: np.ndarray, place: str) -> Any:
        return {"$array": self._put_aside(torch.from_numpy(value), place)}

    def _pairs(self, value: dict[Any, Any], place: str) -> list[list[Any]]:
        return [
            [self.packed(key, place), self.packed(each, _below(place, key))]
            for key, each in value.items()
        ]

    def _put_aside(self, tensor: torch.Tensor, place: str) -> str:
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or tensor.layout != torch.strided:
            raise UserError(
                f"a checkpoint cannot hold {place}, a {type(tensor).__name__} of layout"
                f" {tensor.layout}; choose an optimizer with plain tensors, or save_strategy: 'no'"
            )
        kept = tensor.detach().cpu().contiguous()
        # Two names for one memory are refused by safetensors; a copy has the same numbers.
        if kept.untyped_storage().data_ptr() in self._addresses:
            kept = kept.clone()
        self._addresses.add(kept.untyped_storage().data_ptr())
        while place in self.tensors:  # the keys 0 and "0" of one state
            place += "'"
        self.tensors[place] = kept
        return place


def save_state(folder: str | Path, name: str, state: Any, **more: Any) -> None:
    """Write a state to ``NAME.json`` and, where it has tensors, ``NAME.safetensors``.

    Args:
        folder: Made as needed.
        name: Of the files.
        state: Of numbers, strings, lists, tuples, dicts, tensors and arrays. Its tensors are
            named by their place in it: ``0.exp_avg``.
        **more: What is kept beside it, in the same files.

    Raises:
        RunError: The files cannot be written.
        UserError: Something in the state can only be pickled.
    """
    folder = Path(folder)
    packer = Packer()
    packed = {"state": packer.packed(state, "")}
    packed |= {key: packer.packed(value, key) for key, value in more.items()}
    text = json.dumps({"tensors": len(packer.tensors), **packed}, allow_nan=False)
    path = folder / f"{name}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if packer.tensors:
            _write_tensors(path, packer.tensors)
        else:
            path.unlink(missing_ok=True)
        write_text(folder / f"{name}.json", text + "\n")
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"{folder / name}: could not be written ({error}); is the disk full?"
        ) from error


def load_state(folder: str | Path, name: str) -> dict[str, Any]:
    """Read what ``save_state`` wrote, bit for bit, tensors on the CPU.

    Args:
        folder: Of the files.
        name: Of the files.

    Returns:
        What was saved, under ``state`` and the names of what was kept beside it.

    Raises:
        ValueError: A file is missing or damaged; the message says which and how.
    """
    path = Path(folder) / f"{name}.json"
    if flaw := flaw_of_state(folder, name):
        raise ValueError(flaw)
    tensors = _tensors(path.with_suffix(".safetensors"))
    builders = _BUILDERS | {
        "$tensor": tensors.__getitem__,
        "$array": lambda key: tensors[key].numpy(),
    }

    def built(each: dict[str, Any]) -> Any:
        tag = next(iter(each), "")
        return builders[tag](each[tag]) if tag in builders else each

    try:
        loaded: dict[str, Any] = json.loads(path.read_bytes(), object_hook=built)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name} does not fit its tensors ({error})") from None
    return loaded


def flaw_of_state(folder: str | Path, name: str) -> str:
    """Say what keeps ``load_state`` from reading; empty where nothing does."""
    path = Path(folder) / f"{name}.json"
    if flaw := flaw_of_file(path):
        return flaw
    said = json.loads(path.read_bytes())
    expected = said.get("tensors") if isinstance(said, dict) else None
    if not isinstance(expected, int):
        return f"{path.name} is not a state of hfpipe's"
    tensors = path.with_suffix(".safetensors")
    if expected == 0:
        return ""
    if flaw := flaw_of_file(tensors):
        return flaw
    with safe_open(tensors, "pt") as file:
        found = len(file.keys())
    return "" if found == expected else f"{tensors.name} has {found} tensors of {expected}"


def flaw_of_file(path: Path) -> str:
    """Say whether a JSON or safetensors file is missing, cut off or damaged; empty where it is not.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.json").write_text('{"b": ')
    >>> flaw_of_file(folder / "a.json"), flaw_of_file(folder / "c.safetensors")
    ('a.json is cut off or damaged', 'c.safetensors is missing')
    """
    if not path.is_file():
        return f"{path.name} is missing"
    try:
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        else:
            # Opening reads the header, and compares the size it gives with that of the file.
            with safe_open(path, "pt"):
                pass
    except (OSError, ValueError, RuntimeError, SafetensorError):
        return f"{path.name} is cut off or damaged"
    return ""


def _below(place: str, key: object) -> str:
    return f"{place}.{key}" if place else str(key)


def _write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        return {}
    with safe_open(path, "pt") as file:
        # Copies: memory of its own, aligned as any other, however long the file lives.
        return {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
