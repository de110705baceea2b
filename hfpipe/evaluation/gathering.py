"""Rows that were scored, brought together with all that a record needs of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hfpipe.blocks import Evaluation
from hfpipe.errors import RunError, UserError, nearest
from hfpipe.evaluation.groups import one_a_group
from hfpipe.evaluation.profiles import Scored
from hfpipe.inputs.processor import Processor
from hfpipe.inputs.splits import row_ids

if TYPE_CHECKING:
    from datasets import Dataset


def scored_rows(
    processor: Processor,
    dataset: Dataset,
    truth: np.ndarray,
    scores: np.ndarray,
    extras: Mapping[str, np.ndarray],
    wanted: Evaluation,
    place: str,
    owner: str | None = None,
) -> Scored:
    """Rows with all that the record needs of them.

    Args:
        processor: Says what the model was shown.
        dataset: The rows.
        truth: As ``LabelSpec.encode`` gives it.
        scores: As ``Task.scores`` gives them.
        extras: See ``Scored``.
        wanted: The columns to slice and group by.
        place: What to call the rows in a message.
        owner: The column by which the split kept rows together, where there is one.

    Raises:
        UserError: A column is not there.
        RunError: A score is not finite: no decision may be made of it.
    """
    from hfpipe.evaluation.conditions import automatic_columns

    _check_finite(dataset, scores, place)
    columns = [*wanted.slices, *([wanted.group_by] if wanted.group_by else [])]
    check_slices(columns, dataset, place)
    groups = groups_of(dataset, wanted.group_by, place) if wanted.group_by else []
    owners = owners_of(dataset, owner) if owner else []
    slices = {column: values_of(dataset, column) for column in wanted.slices}
    if wanted.automatic_slices:
        slices |= automatic_columns(processor, dataset, owners or None)
    return Scored(
        row_ids(dataset),
        processor.shown(dataset),
        truth,
        scores,
        slices,
        extras,
        groups,
        owners=owners,
        owner=owner,
    )


def _check_finite(dataset: Dataset, scores: np.ndarray, place: str) -> None:
    broken = np.flatnonzero(
        np.logical_not(np.isfinite(scores).reshape(len(scores), -1).all(axis=1))
    )
    if broken.size:
        raise RunError(
            f"{place}: row '{row_ids(dataset)[broken[0]]}': the model's score is not finite "
            f"({broken.size:,} such rows): it diverged in training, so train it again"
        )


def owners_of(dataset: Dataset, column: str) -> list[str]:
    """Whose each row is; one that is nobody's stands for itself."""
    names = zip(values_of(dataset, column), row_ids(dataset), strict=True)
    return [f"row {row}" if name is None else str(name) for name, row in names]


def groups_of(dataset: Dataset, column: str, place: str) -> list[str]:
    """Whose each row is.

    Raises:
        UserError: There is no such column, or a row is nobody's.
    """
    check_slices([column], dataset, place)
    owners = values_of(dataset, column)
    if None in owners:
        row = row_ids(dataset)[owners.index(None)]
        raise UserError(
            f"{place}: row '{row}': nothing in '{column}' (evaluation.group_by), so it is nobody's "
            "row: leave such rows out"
        )
    return [str(each) for each in owners]


def check_group_slices(columns: list[str], dataset: Dataset, group_by: str, place: str) -> None:
    """Make sure that groups can be sliced by columns.

    Args:
        columns: Columns that are there.
        dataset: The rows.
        group_by: The column that says whose each row is.
        place: What to call the rows in a message.

    Raises:
        UserError: A row is nobody's, or a column has several values within a group.
    """
    groups = groups_of(dataset, group_by, place)
    for column in columns:
        one_a_group(values_of(dataset, column), groups, column, place)


def values_of(dataset: Dataset, column: str) -> list[Any]:
    """A column's values; class labels by their names."""
    names = getattr(dataset.features[column], "names", None)
    if not isinstance(names, list):
        return list(dataset[column][:])
    codes = dataset[column][:]
    return [names[each] if each is not None and each >= 0 else None for each in codes]


def check_slices(columns: list[str], dataset: Dataset, place: str) -> None:
    """Make sure that columns to slice or group by are there.

    Raises:
        UserError: With the nearest name.
    """
    for column in columns:
        if column not in dataset.column_names:
            near = nearest(column, dataset.column_names)
            raise UserError(f"{place} has no column '{column}' (evaluation){near}")
