"""Whole groups, so that every split has its share of the rows and of each class."""

from __future__ import annotations

from data_prep.splitting.checks import refuse_no_groups
from data_prep.splitting.request import Assignment, SplitRequest
from data_prep.splitting.ways.stratified import split_by_class


def split(request: SplitRequest) -> Assignment:
    """Divide the groups so that the shares of every class are as near as possible to those asked.

    Raises:
        UserError: A class is in fewer groups than there are splits, or a group is larger than a
            split.
    """
    refuse_no_groups(request, "stratified_group")
    return split_by_class(request, "--split stratified_group", "use --split group")
