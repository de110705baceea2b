"""What every input kind can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from hfpipe.errors import UserError
from hfpipe.inputs.reading import BATCH_ROWS, Rows
from hfpipe.recipe import Input

if TYPE_CHECKING:
    import torch
    from datasets import Dataset

COMMON = ("kind", "columns")


@dataclass(frozen=True)
class Encoded:
    """What one input of a batch of rows was made to.

    Attributes:
        columns: Feature to one value a row, not padded.
        present: ``(rows,)`` bool: which rows have anything of this input.
        length: ``(rows,)`` int64: tokens or steps, where rows differ in them.
    """

    columns: dict[str, pa.Array]
    present: np.ndarray
    length: np.ndarray | None = None


@dataclass(frozen=True)
class Kind(ABC):
    """An input's fitted state: a frozen dataclass whose ``kind`` is the name of its module.

    Attributes:
        columns: What the input is made of.
    """

    #: The fields of ``recipe.Input`` that this kind takes beside ``kind`` and ``columns``.
    options: ClassVar[tuple[str, ...]] = ()
    #: The fields that are saved as float64 arrays, in safetensors.
    array_fields: ClassVar[tuple[str, ...]] = ()
    #: Whether a person can read the columns' values.
    readable: ClassVar[bool] = True
    #: So many rows are encoded at a time.
    batch_rows: ClassVar[int] = BATCH_ROWS
    #: Whether a row has tokens or steps, for which a batch pays.
    has_tokens: ClassVar[bool] = False
    #: What of the base model it needs, in words; empty for nothing.
    tool: ClassVar[str] = ""

    columns: list[str]

    @property
    def raw_column(self) -> str | None:
        """The column that goes to the collator as it is, as the feature ``raw``; None for none."""
        return None

    @classmethod
    @abstractmethod
    def fit(cls, train: Dataset, spec: Input, name: str, place: str) -> Self:
        """Learn what there is to learn from the train split.

        Args:
            train: The train split, with every column of ``spec``.
            spec: The recipe's block.
            name: The input's name, for messages.
            place: What to call the data in a message.

        Raises:
            UserError: The columns do not hold what the kind needs.
        """

    @abstractmethod
    def encode(self, rows: Rows, tool: Any = None) -> Encoded:
        """Turn rows into features that can be kept on disk; a row does not depend on the others.

        Args:
            rows: A batch.
            tool: The tokenizer or image processor of the base model, where the kind needs one.

        Raises:
            UserError: A row does not hold what train held; it is named.
        """

    @abstractmethod
    def collate(
        self,
        features: Sequence[Mapping[str, Any]],
        tool: Any = None,
        seeds: Sequence[int] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Make the tensors of a batch, padded to what is longest in it.

        Args:
            features: One row's features each, as ``encode`` made them with ``raw`` and ``row_id``.
            tool: As for ``encode``.
            seeds: Of random changes to the rows of training, one a row; None for no changes.
        """

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """What a model must know of this input to be built, ready for its JSON config."""

    def state(self) -> dict[str, Any]:
        """The fitted state but for the arrays, JSON-ready."""
        return {key: value for key, value in asdict(self).items() if key not in self.array_fields}

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the fitted state."""
        return {name: np.array(getattr(self, name), np.float64) for name in self.array_fields}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Read back ``state`` and ``arrays``.

        Raises:
            UserError: Something of them is missing or unknown.
        """
        given = {**state, **{name: arrays[name].tolist() for name in arrays}}
        known = {each.name: each for each in fields(cls)}
        needed = {key for key, each in known.items() if _has_no_default(each)}
        wrong = sorted((set(given) - set(known)) | (needed - set(given)))
        if wrong:
            raise UserError(
                f"the saved state of a {state.get('kind')} input lacks or does not know "
                f"'{wrong[0]}': it is damaged, or of another version of hfpipe"
            )
        return cls(**given)

    def with_columns(self, columns: Sequence[str]) -> Self:
        """The same state for columns of other names, in the same order."""
        from dataclasses import replace

        return replace(self, columns=list(columns))


def _has_no_default(each: Any) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def one_column(spec: Input, name: str) -> str:
    """The column of an input that has just one.

    Raises:
        UserError: It was given none, or several.
    """
    if len(spec.columns) != 1:
        raise UserError(
            f"data.inputs.{name}.columns: a {spec.kind} is made of one column, not "
            f"{len(spec.columns)}: give each its own input"
        )
    return spec.columns[0]


def lacking(columns: Sequence[str]) -> str:
    """What to say of a row that lacks an input which is not optional.

    >>> lacking(["title", "body"])
    "nothing in 'title', 'body': leave such rows out, or train with optional: true for this input"
    """
    named = ", ".join(f"'{column}'" for column in columns)
    return f"nothing in {named}: leave such rows out, or train with optional: true for this input"
