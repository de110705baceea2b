"""Folds for cross-validation: each row is held out once."""

from __future__ import annotations

import numpy as np

from data_prep.splitting.placing import Rows, place
from data_prep.splitting.request import NOWHERE, SplitRequest
from hfpipe.errors import UserError


def assign_folds(request: SplitRequest, in_folds: np.ndarray, folds: int) -> np.ndarray:
    """Divide rows into folds of equal size, by class where there are classes.

    Args:
        request: The rows.
        in_folds: The rows that get a fold, (rows,) bool.
        folds: How many folds there shall be, 2 or more.

    Returns:
        The fold of each row, (rows,) int16; -1 for rows outside. Rows of a unit are in one fold.

    Raises:
        UserError: There are fewer rows or units than folds, or all rows of a class are in one fold.
    """
    if folds < 2:
        raise UserError(f"--folds {folds}: two or more")
    found = np.full(request.rows, NOWHERE, dtype=np.int16)
    rows = Rows.of(request, by_class=True, marks=in_folds)
    units = len(np.unique(rows.units))
    if units < folds:
        what = "rows" if units == len(rows.units) else "units (groups, clusters of near-duplicates)"
        raise UserError(f"--folds {folds}: there are {units} {what}, fewer than folds; give fewer")
    settled = np.full(len(rows.units), NOWHERE, dtype=np.int16)
    parts = place(rows, np.full(folds, 1 / folds), settled, least=0)
    _check_classes(rows, parts, folds)
    found[in_folds] = parts
    return found


def _check_classes(rows: Rows, parts: np.ndarray, folds: int) -> None:
    """A class with all rows in one fold would be unknown to the model that is tested on it."""
    cells = np.unique(rows.classes * folds + parts)
    spread = np.bincount(cells // folds)
    for name, count in zip(rows.class_names, spread.tolist(), strict=True):
        if name and count < 2:
            raise UserError(
                f"class '{name}' has all its rows in one fold (one row, or one group): leave it "
                f"out with --drop-labels '{name}', or give no --folds"
            )
