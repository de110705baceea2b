"""Text: one or several columns, tokenised by the base model's tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from hfpipe.errors import UserError
from hfpipe.inputs.kinds._base import Encoded, Kind, lacking
from hfpipe.inputs.reading import Rows, batches
from hfpipe.recipe import Input

if TYPE_CHECKING:
    import torch
    from datasets import Dataset


@dataclass(frozen=True)
class TextInput(Kind):
    """A text made of one or several columns.

    Attributes:
        columns: Joined by a space, in this order; a missing value counts as empty.
        max_length: Longer texts are cut to so many tokens.
        optional: Whether rows may have no text, or only a blank one.
    """

    options: ClassVar[tuple[str, ...]] = ("max_length", "optional")
    tool: ClassVar[str] = "tokenizer"
    has_tokens: ClassVar[bool] = True

    max_length: int = 512
    kind: str = "text"
    optional: bool = False

    @classmethod
    def fit(cls, train: Dataset, spec: Input, name: str, place: str) -> Self:
        """Check the columns, and that some row has a text; there is nothing to learn."""
        found = cls(list(spec.columns), spec.max_length, optional=spec.optional)
        for rows in batches(train, spec.columns, place):
            for column in spec.columns:
                kind = rows.column(column).type
                if pa.types.is_nested(kind) or pa.types.is_binary(kind):
                    raise UserError(f"{place}: column '{column}' holds {kind}, not text")
            texts = found.texts({each: rows.column(each).to_pylist() for each in spec.columns})
            if any(text.strip() for text in texts):
                return found
        named = ", ".join(f"'{column}'" for column in spec.columns)
        raise UserError(f"{place}: no row of train has a text in {named}: leave this input out")

    def texts(self, rows: Mapping[str, Sequence[Any]]) -> list[str]:
        """The texts of a batch of rows, given by column.

        >>> TextInput(["title", "body"]).texts({"title": ["a", None], "body": ["b", "c"]})
        ['a b', 'c']
        """
        columns = [rows[column] for column in self.columns]
        return [
            " ".join(str(value) for value in values if value is not None)
            for values in zip(*columns, strict=True)
        ]

    def encode(self, rows: Rows, tool: Any = None) -> Encoded:
        """``input_ids``, a list of tokens a row, and ``present``.

        Raises:
            UserError: A row has no text, and that was not allowed.
        """
        texts = self.texts({column: rows.column(column).to_pylist() for column in self.columns})
        present = np.array([bool(text.strip()) for text in texts], bool)
        if not self.optional and not present.all():
            raise rows.error(present.argmin(), lacking(self.columns))
        found = tool(texts, truncation=True, max_length=self.max_length)["input_ids"]
        return Encoded(
            {"input_ids": pa.array(found, pa.list_(pa.int32())), "present": pa.array(present)},
            present,
            np.array([len(ids) for ids in found], np.int64),
        )

    def collate(
        self,
        features: Sequence[Mapping[str, Any]],
        tool: Any = None,
        seeds: Sequence[int] | None = None,
    ) -> dict[str, torch.Tensor]:
        """``input_ids``, ``attention_mask`` ``(batch, tokens)`` and ``present`` ``(batch,)``."""
        import torch

        longest = max(1, *(len(each["input_ids"]) for each in features))
        ids = torch.full((len(features), longest), tool.pad_token_id or 0, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, each in enumerate(features):
            count = len(each["input_ids"])
            place = slice(longest - count, None) if tool.padding_side == "left" else slice(count)
            ids[row, place] = torch.tensor(each["input_ids"], dtype=torch.long)
            mask[row, place] = 1
        present = torch.tensor([each["present"] for each in features])
        return {"input_ids": ids, "attention_mask": mask, "present": present}

    def schema(self) -> dict[str, Any]:
        """Its kind alone: the tower knows the rest.

        >>> TextInput(["body"]).schema()
        {'kind': 'text'}
        """
        return {"kind": "text"}
