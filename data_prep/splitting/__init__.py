"""Which split each row goes to. Splits depend on row ids and the seed, not on the input order."""

from __future__ import annotations

import numpy as np

from data_prep.splitting.checks import check_split
from data_prep.splitting.files import given_names, read_splits_file
from data_prep.splitting.folds import assign_folds
from data_prep.splitting.request import SPLITS, Assignment, SplitRequest
from data_prep.splitting.ways import ways

SPLITTERS = ways()

__all__ = [
    "SPLITS",
    "SPLITTERS",
    "Assignment",
    "SplitRequest",
    "assign_folds",
    "given_names",
    "read_splits_file",
    "split_rows",
]


def split_rows(way: str, request: SplitRequest) -> Assignment:
    """Give every row a split, or a reason why it is in none.

    Args:
        way: A key of ``SPLITTERS``.
        request: The rows.

    Returns:
        The split of each row, and the rows that were dropped by reason.

    Raises:
        UserError: A class or the number of rows is too small, a group too large, a split would be
            empty, a class has no train row, or a given split name is not known.
    """
    nothing = Assignment(np.empty(0, dtype=np.int8))
    assignment = SPLITTERS[way](request) if request.rows else nothing
    check_split(request, assignment.splits, way)
    return assignment
