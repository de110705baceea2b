"""An image: decoded under a limit, in RGB, through the base model's own image processor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from hfpipe.errors import UserError, nearest
from hfpipe.inputs.kinds._base import Encoded, Kind, lacking, one_column
from hfpipe.inputs.kinds._pictures import decoded, fault, read_bytes
from hfpipe.inputs.reading import Rows, batches
from hfpipe.recipe import Input

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from PIL import Image

    Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def _horizontal_flip(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Mirrored left to right, every other time."""
    from PIL import ImageOps

    return ImageOps.mirror(image) if draw.random() < 0.5 else image


#: What ``augment`` may name.
CHANGES: dict[str, Change] = {"horizontal_flip": _horizontal_flip}


@dataclass(frozen=True)
class ImageInput(Kind):
    """A column of images: bytes, a struct of ``bytes`` and ``path``, or a path.

    Decoded as transformers' pipelines do: turned as its EXIF data says, then made RGB. That
    happens batch by batch, in the collator; before training only the frame of each file is looked
    at.

    Attributes:
        columns: The one column.
        optional: Whether rows may have none: zeros stand in for it, and ``present`` says so.
        augment: Changes that are made at random while training.
    """

    options: ClassVar[tuple[str, ...]] = ("optional", "augment")
    tool: ClassVar[str] = "image processor"
    readable: ClassVar[bool] = False
    batch_rows: ClassVar[int] = 100

    optional: bool = False
    augment: list[str] = field(default_factory=list)
    kind: str = "image"

    @property
    def raw_column(self) -> str:
        """The images go to the collator as they are: tensors would take much more room."""
        return self.columns[0]

    @classmethod
    def fit(cls, train: Dataset, spec: Input, name: str, place: str) -> Self:
        """Check the options; the base model's image processor was fitted long ago.

        Raises:
            UserError: Several columns, an augmentation that there is not, or no image at all.
        """
        for change in spec.augment:
            if change not in CHANGES:
                raise UserError(
                    f"data.inputs.{name}.augment: no '{change}'{nearest(change, CHANGES)}"
                )
        column = one_column(spec, name)
        for rows in batches(train, [column], place, cls.batch_rows):
            values = rows.column(column)
            if values.null_count < len(values):
                return cls([column], spec.optional, list(spec.augment))
        raise UserError(f"{place}: column '{column}' has no image in train: leave it out")

    def encode(self, rows: Rows, tool: Any = None) -> Encoded:
        """``present``; the images themselves are only looked at.

        Raises:
            UserError: One is no image, cut off, or too large to be decoded, or is missing where
                that was not allowed; its row is named.
        """
        column = self.columns[0]
        values = rows.column(column)
        if not _may_hold_images(values.type):
            raise UserError(f"{rows.place}: column '{column}' holds {values.type}, not images")
        present = np.zeros(len(rows), bool)
        for position, value in enumerate(values):
            content = read_bytes(value.as_py())
            present[position] = content is not None
            wrong = fault(content) if content is not None else ""
            if wrong:
                raise rows.error(position, f"'{column}' is {wrong}")
        if not self.optional and not present.all():
            raise rows.error(present.argmin(), lacking(self.columns))
        return Encoded({"present": pa.array(present)}, present)

    def collate(
        self,
        features: Sequence[Mapping[str, Any]],
        tool: Any = None,
        seeds: Sequence[int] | None = None,
    ) -> dict[str, torch.Tensor]:
        """``pixel_values`` ``(batch, 3, height, width)`` float32 and ``present`` ``(batch,)``.

        Raises:
            UserError: An image cannot be decoded; its row is named.
        """
        import torch

        images = [
            self._image(each, None if seeds is None else np.random.default_rng(seeds[at]))
            for at, each in enumerate(features)
        ]
        made = tool(images=images, return_tensors="pt")
        present = torch.tensor([each["present"] for each in features])
        pixels = made["pixel_values"].to(torch.float32)
        return {"pixel_values": pixels * present.view(-1, 1, 1, 1), "present": present}

    def _image(self, row: Mapping[str, Any], draw: np.random.Generator | None) -> Image.Image:
        from PIL import Image

        content = read_bytes(row["raw"]) if row["present"] else None
        if content is None:
            return Image.new("RGB", (32, 32))
        try:
            image = decoded(content)
        except ValueError as error:
            raise UserError(f"row '{row['row_id']}': '{self.columns[0]}' is {error}") from error
        if draw is not None:
            for change in self.augment:
                image = CHANGES[change](image, draw)
        return image

    def schema(self) -> dict[str, Any]:
        """Its kind alone: the tower knows the rest."""
        return {"kind": "image"}


def _may_hold_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return {"bytes", "path"}.issuperset({each.name for each in kind})
    return (
        pa.types.is_null(kind)
        or any(test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary))
        or any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string))
    )
