"""Small pictures of what a model saw of a few rows, for its report."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hfpipe.inputs.kinds._pictures import decoded, read_bytes
from hfpipe.inputs.kinds.image import ImageInput
from hfpipe.inputs.reading import arrow_view, rows_of
from hfpipe.inputs.splits import row_ids as ids_of

if TYPE_CHECKING:
    from datasets import Dataset

    from hfpipe.inputs.processor import Processor

SIDE = 128
QUALITY = 80


def thumbnails(
    processor: Processor, dataset: Dataset, row_ids: Sequence[str], side: int = SIDE
) -> dict[str, bytes]:
    """Row id to a small JPEG of the row's first image; rows without one are left out.

    The pictures are turned as their EXIF data says and carry nothing but pixels: no place, no
    camera, no comment. Only the rows asked for are read.

    Args:
        processor: Says which columns are images.
        dataset: The rows.
        row_ids: Those to show, as ``hfpipe.reports.rows.error_ids`` names them.
        side: Pixels that neither width nor height exceeds.
    """
    columns = [
        each.raw_column for each in processor.inputs.values() if isinstance(each, ImageInput)
    ]
    found: dict[str, bytes] = {}
    if not columns or not row_ids:
        return found
    places = {row_id: at for at, row_id in enumerate(ids_of(dataset))}
    wanted = [row_id for row_id in dict.fromkeys(row_ids) if row_id in places]
    chosen = dataset.select([places[row_id] for row_id in wanted])
    for row_id, contents in zip(wanted, _contents(chosen, columns), strict=True):
        small = next(filter(None, (_small(content, side) for content in contents)), None)
        if small is not None:
            found[row_id] = small
    return found


def _contents(dataset: Dataset, columns: Sequence[str]) -> Iterator[list[bytes | None]]:
    """The bytes of every image column, row by row, one row in memory at a time."""
    view = arrow_view(dataset, columns)
    for at in range(len(dataset)):
        row = rows_of(view[at : at + 1], dataset, at, "rows")
        yield [read_bytes(row.column(column)[0].as_py()) for column in columns]


def _small(content: bytes | None, side: int) -> bytes | None:
    """A thumbnail; None where there is no image that can be decoded."""
    if not content:
        return None
    try:
        image = decoded(content)
    except ValueError:
        return None
    image.thumbnail((side, side))
    image.info.clear()  # Pillow would write the comment of the original again
    target = io.BytesIO()
    image.save(target, "JPEG", quality=QUALITY, optimize=True)
    return target.getvalue()
