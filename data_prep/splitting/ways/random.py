"""All rows are shuffled and cut at the shares."""

from __future__ import annotations

import numpy as np

from data_prep.splitting.checks import refuse_large_units
from data_prep.splitting.placing import Rows, place
from data_prep.splitting.request import Assignment, SplitRequest


def split(request: SplitRequest) -> Assignment:
    """Divide the rows by the shares, whatever their class.

    Raises:
        UserError: A unit is larger than a split.
    """
    rows = Rows.of(request, by_class=False)
    settled, sizes = request.settled(), np.asarray(request.sizes, dtype=float)
    refuse_large_units(rows, settled, sizes, request)
    return Assignment(place(rows, sizes, settled).astype(np.int8))
