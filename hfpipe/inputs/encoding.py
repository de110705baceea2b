"""A split as features that are kept on disk, row by row in its order, ready for the collator."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from hfpipe.errors import UserError
from hfpipe.inputs.processor import Processor
from hfpipe.inputs.reading import Rows, arrow_view, batches, check_columns, rows_of
from hfpipe.rows.identity import ROW_ID

if TYPE_CHECKING:
    from datasets import Dataset

LABELS, LENGTH = "labels", "length"
RAW = ".raw"
"""How a column ends that is as the user gave it: images, which the collator decodes."""


def encode_rows(
    processor: Processor,
    dataset: Dataset,
    tools: Mapping[str, Any],
    place: str = "data",
    *,
    labels: Sequence[Any] | np.ndarray | None = None,
    quiet: bool = False,
) -> Dataset:
    """Encode a split for every input; memory stays bounded, whatever the split's size.

    Everything but images is worked out once, and kept in a temporary file that goes with the
    process. Images stay as they are, and the collator decodes them.

    Args:
        processor: What was fitted on train.
        dataset: Rows with its columns.
        tools: Input name → tokenizer or image processor of the base model, for the inputs that
            need one.
        place: What to call the rows in a message.
        labels: One a row, as ``LabelSpec.encode`` gives them.
        quiet: No progress bar.

    Returns:
        As many rows, in order: ``row_id``, ``length`` (tokens and steps of all inputs), a column
        ``input.feature`` each, and, if given, ``labels``. Padding and tensors are the
        ``Collator``'s.

    Raises:
        UserError: A column is missing, or a row holds what cannot be used, or nothing at all; it is
            named.
    """
    from datasets import concatenate_datasets

    check_tools(processor, tools)
    check_columns(processor.columns, dataset, place)
    with _no_bars() if quiet else nullcontext():
        features = _mapped(processor, dataset, tools, place)
    raw = {
        f"{name}{RAW}": column
        for name, each in processor.inputs.items()
        if (column := each.raw_column) is not None
    }
    beside = [_undecoded(dataset, column, name) for name, column in raw.items()]
    with _no_bars():
        encoded = concatenate_datasets([features, *beside], axis=1) if beside else features
    if labels is None:
        return encoded
    return encoded.add_column(LABELS, _label_column(np.asarray(labels)))


def unseen_categories(
    processor: Processor, dataset: Dataset, place: str = "data"
) -> dict[str, int]:
    """Column to the rows that have a category which train did not have; 0 too is told.

    Args:
        processor: What was fitted on train.
        dataset: Rows with its columns.
        place: What to call them in a message.
    """
    from hfpipe.inputs.kinds.categorical import CategoricalInput

    found: dict[str, int] = {}
    for each in processor.inputs.values():
        if isinstance(each, CategoricalInput):
            for rows in batches(dataset, each.columns, place):
                for column, count in each.unseen(rows).items():
                    found[column] = found.get(column, 0) + count
    return found


def unseen_notes(unseen: Mapping[str, int], rows: int) -> list[str]:
    """What to tell a user of :func:`unseen_categories`.

    >>> unseen_notes({"colour": 2, "size": 0}, 1000)
    ["'colour': 2 of 1,000 rows have a category that train did not have; it counts as unknown"]
    """
    return [
        f"'{column}': {count:,} of {rows:,} rows have a category that train did not have; it "
        "counts as unknown"
        for column, count in unseen.items()
        if count
    ]


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without progress bars of ``datasets``, whose setting is the process's."""
    from datasets import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    before = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            enable_progress_bars()


def _mapped(
    processor: Processor, dataset: Dataset, tools: Mapping[str, Any], place: str
) -> Dataset:
    """The features of every row, in a temporary Arrow file."""
    from datasets.fingerprint import (
        generate_random_fingerprint,
        get_temporary_cache_files_directory,
    )

    # A new name each time: nothing of an earlier run, with another processor, may be found again.
    name = generate_random_fingerprint()
    view = arrow_view(dataset, processor.columns)

    def encode(table: pa.Table, positions: Sequence[int]) -> pa.Table:
        rows = rows_of(table, dataset, int(positions[0]), place)
        return _encoded(processor, rows, tools)

    mapped = view.map(
        encode,
        batched=True,
        with_indices=True,
        batch_size=min(each.batch_rows for each in processor.inputs.values()),
        remove_columns=view.column_names,
        load_from_cache_file=False,
        cache_file_name=os.path.join(get_temporary_cache_files_directory(), f"{name}.arrow"),
        new_fingerprint=name,
        desc="Encoding",
    )
    return mapped.with_format(None)


def _encoded(processor: Processor, rows: Rows, tools: Mapping[str, Any]) -> pa.Table:
    columns: dict[str, pa.Array] = {ROW_ID: pa.array(rows.ids, pa.string())}
    present = np.zeros(len(rows), bool)
    length = np.zeros(len(rows), np.int64)
    for name, each in processor.inputs.items():
        made = each.encode(rows, tools.get(name))
        columns |= {f"{name}.{feature}": values for feature, values in made.columns.items()}
        present |= made.present
        if made.length is not None:
            length += made.length
    if not present.all() and not _alone(processor):
        raise rows.error(
            present.argmin(),
            f"every input is missing ({', '.join(processor.columns)}): leave such rows out",
        )
    columns[LENGTH] = pa.array(length)
    return pa.table(columns)


def _alone(processor: Processor) -> bool:
    """Whether a stock model's one input may be missing: it is then shown an empty one."""
    kinds = [each.schema()["kind"] for each in processor.inputs.values()]
    return kinds in (["text"], ["image"])


def _undecoded(dataset: Dataset, column: str, name: str) -> Dataset:
    """One column of images as their bytes and paths, under another name."""
    from datasets import Image

    alone = dataset.select_columns([column]).with_format(None)
    if isinstance(alone.features[column], Image):
        alone = alone.cast_column(column, Image(decode=False))
    return alone.rename_columns({column: name})


def _label_column(labels: np.ndarray) -> Any:
    return pa.array(labels) if labels.ndim == 1 else labels.tolist()


def check_tools(processor: Processor, tools: Mapping[str, Any]) -> None:
    """Make sure that every input that needs a tokenizer or image processor has one.

    Raises:
        UserError: One has none.
    """
    for name, each in processor.inputs.items():
        if each.tool and name not in tools:
            raise UserError(f"input '{name}' needs the {each.tool} of a base model")
