"""Whole groups, at random, so that every split has its share of the rows."""

from __future__ import annotations

from data_prep.splitting.checks import refuse_no_groups
from data_prep.splitting.request import Assignment, SplitRequest
from data_prep.splitting.ways import random


def split(request: SplitRequest) -> Assignment:
    """Divide the groups so that the rows have the shares, whatever their class.

    Raises:
        UserError: There are fewer groups than splits, or a group is larger than a split.
    """
    refuse_no_groups(request, "group")
    return random.split(request)
