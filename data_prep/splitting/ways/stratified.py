"""Every class gets the same shares, and every split at least one row of each class."""

from __future__ import annotations

import numpy as np

from data_prep.splitting.checks import refuse_large_units, refuse_small_classes
from data_prep.splitting.placing import Rows, place
from data_prep.splitting.request import Assignment, SplitRequest


def split(request: SplitRequest) -> Assignment:
    """Divide every class by the shares.

    Raises:
        UserError: A class has fewer rows (or units) than there are splits, or a unit is larger
            than a split.
    """
    return split_by_class(request, "--split stratified", "use --split random")


def split_by_class(request: SplitRequest, way: str, way_out: str) -> Assignment:
    """Divide every class by the shares; ``way`` and ``way_out`` are for messages."""
    rows = Rows.of(request, by_class=True)
    settled, sizes = request.settled(), np.asarray(request.sizes, dtype=float)
    refuse_large_units(rows, settled, sizes, request)
    refuse_small_classes(rows, len(sizes), request, way, way_out)
    return Assignment(place(rows, sizes, settled).astype(np.int8))
