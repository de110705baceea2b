"""The fitted state between a dataset's columns and a model's batch, pushed with the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError, nearest
from hfpipe.inputs.kinds import Kind, kind_class
from hfpipe.inputs.kinds.text import TextInput
from hfpipe.inputs.reading import check_columns
from hfpipe.inputs.targets import PROBLEM_TYPES, LabelSpec

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset

__all__ = ["ARRAYS_NAME", "FILE_NAME", "Processor", "TextInput"]

FILE_NAME = "processor.json"
ARRAYS_NAME = "processor.safetensors"
FORMAT = 2
"""Of processor.json. The first had no number, and text inputs only."""


@dataclass(frozen=True)
class Processor:
    """What turns rows into model inputs and label ids.

    Attributes:
        inputs: Input name → its fitted state.
        label: The column to predict; None for a model that was not trained by hfpipe and whose
            caller named none.
        labels: The label of each class, in the order of the model's logits.
        task: A key of ``targets.PROBLEM_TYPES``.
        log1p: Whether a regression predicts ``log(1 + y)``.
    """

    inputs: Mapping[str, Kind]
    label: str | None
    labels: list[str] = field(default_factory=list)
    task: str = "classification"
    log1p: bool = False

    @property
    def target(self) -> LabelSpec:
        """The label with all that is known of it."""
        return LabelSpec(self.label, self.task, self.labels, self.log1p)

    def schema(self) -> dict[str, dict[str, Any]]:
        """What a model must know of each input to be built, ready for its JSON config."""
        return {name: each.schema() for name, each in self.inputs.items()}

    def to_json(self) -> bytes:
        """The state as JSON, for ``processor.json``: all of it but for the arrays."""
        state = {
            "format": FORMAT,
            "inputs": {name: each.state() for name, each in self.inputs.items()},
            "label": self.label,
            "labels": self.labels,
            "task": self.task,
            "log1p": self.log1p,
        }
        return (json.dumps(state, indent=2, ensure_ascii=False) + "\n").encode()

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the state, named ``input.field``, for ``processor.safetensors``."""
        return {
            f"{name}.{field_name}": array
            for name, each in self.inputs.items()
            for field_name, array in each.arrays().items()
        }

    def files(self) -> dict[str, bytes]:
        """The files to push beside a model: the arrays' only where there are some."""
        from safetensors.numpy import save

        arrays = self.arrays()
        return {FILE_NAME: self.to_json(), **({ARRAYS_NAME: save(arrays)} if arrays else {})}

    def save(self, folder: Path) -> None:
        """Write ``files`` to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files().items():
            (folder / name).write_bytes(content)

    @classmethod
    def load(cls, folder: Path) -> Processor:
        """Read back what ``save`` wrote.

        Raises:
            UserError: The files are not there, or not what ``save`` wrote.
        """
        arrays = folder / ARRAYS_NAME
        try:
            state = (folder / FILE_NAME).read_bytes()
            return cls.from_files(state, arrays.read_bytes() if arrays.exists() else None)
        except OSError as error:
            raise UserError(f"{folder / FILE_NAME}: {error.strerror or error}") from error
        except UserError as error:
            raise UserError(f"{folder}: {error}") from error

    @classmethod
    def from_files(cls, state: bytes, arrays: bytes | None = None) -> Processor:
        """Read back what ``files`` gave.

        Raises:
            UserError: It is not what ``files`` gave.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            return cls.from_dict(json.loads(state), load(arrays) if arrays else {})
        except (ValueError, SafetensorError) as error:
            raise UserError(f"{FILE_NAME} or {ARRAYS_NAME} cannot be read: {error}") from error

    @classmethod
    def from_dict(
        cls, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None
    ) -> Processor:
        """Read back what ``to_json`` and ``arrays`` gave, of any version of hfpipe until now.

        Raises:
            UserError: It is damaged, or of a later version.

        >>> processor = Processor({"text": TextInput(["body"], 128)}, "topic", ["a", "b"])
        >>> Processor.from_dict(json.loads(processor.to_json())) == processor
        True
        """
        if not isinstance(state, Mapping) or not isinstance(state.get("inputs"), Mapping):
            raise UserError(f"{FILE_NAME} is not one that hfpipe wrote: it has no inputs")
        if state.get("format", 1) not in (1, FORMAT):
            raise UserError(f"{FILE_NAME} was written by a later hfpipe: upgrade yours")
        task = state.get("task", "classification")
        if task not in PROBLEM_TYPES:
            raise UserError(f"{FILE_NAME}: no task '{task}'{nearest(str(task), PROBLEM_TYPES)}")
        inputs = {
            name: _restored(name, each, arrays or {}) for name, each in state["inputs"].items()
        }
        labels = state.get("labels", [])
        if not isinstance(labels, list):
            raise UserError(f"{FILE_NAME}: labels are no list: it is damaged")
        return cls(inputs, state.get("label"), labels, task, bool(state.get("log1p", False)))

    @property
    def columns(self) -> list[str]:
        """Every column that an input is made of."""
        return list(dict.fromkeys(name for each in self.inputs.values() for name in each.columns))

    def shown(self, dataset: Dataset) -> list[dict[str, Any]]:
        """What the model is shown of each row: column to value.

        Vectors and images are left out: they tell a reader nothing, and would fill the memory.
        """
        kept = [each for each in self.inputs.values() if each.readable]
        columns = list(dict.fromkeys(name for each in kept for name in each.columns))
        values = [dataset[column][:] for column in columns]  # a whole column: much faster
        if not columns:
            return [{} for _ in range(len(dataset))]
        return [dict(zip(columns, each, strict=True)) for each in zip(*values, strict=True)]

    def check_columns(self, dataset: Dataset, place: str, need_label: bool = True) -> None:
        """Make sure that ``dataset`` has every column that is needed.

        Raises:
            UserError: A column is missing; the nearest names are told.
        """
        wanted = self.columns + ([self.label] if need_label and self.label else [])
        check_columns(wanted, dataset, place)


def _restored(name: str, state: Any, arrays: Mapping[str, np.ndarray]) -> Kind:
    """One input of a saved processor."""
    if not isinstance(state, Mapping) or not isinstance(state.get("columns"), list):
        raise UserError(f"{FILE_NAME}: input '{name}' has no columns: it is damaged")
    kind = kind_class(str(state.get("kind", "text")))
    wanted = {each: f"{name}.{each}" for each in kind.array_fields}
    lost = [path for path in wanted.values() if path not in arrays]
    if lost:
        raise UserError(f"{ARRAYS_NAME} is missing, or has no '{lost[0]}': push it with the model")
    return kind.from_state(state, {each: arrays[path] for each, path in wanted.items()})
