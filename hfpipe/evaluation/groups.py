"""Slices of a profile: of groups, by what all rows of a group have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hfpipe.blocks import Evaluation
from hfpipe.errors import UserError
from hfpipe.evaluation.conditions import GROUP, group_sizes
from hfpipe.evaluation.profiles import Scored
from hfpipe.evaluation.slicing import value_name


def group_slices(scored: Scored, wanted: Evaluation) -> dict[str, list[Any]]:
    """Column to one value a group, in the order in which the groups come up first.

    The columns are those that were asked for, and how many rows a group has. What else rows are
    told apart by without being asked, as their length, says nothing of a group.

    Args:
        scored: The rows, and whose each is.
        wanted: The columns, and whether there are slices that nobody asked for.

    Raises:
        UserError: A column has several values within a group.
    """
    found = {
        column: one_a_group(scored.slices[column], scored.groups, column)
        for column in wanted.slices
        if column in scored.slices
    }
    if wanted.automatic_slices:
        sizes = one_a_group(group_sizes(scored.groups), scored.groups, GROUP)
        if len(set(sizes)) > 1:
            found[GROUP] = sizes
    return found


def one_a_group(
    values: Sequence[Any], groups: Sequence[str], column: str, place: str = "rows"
) -> list[Any]:
    """The value of each group, in the order in which the groups come up first.

    Args:
        values: One a row.
        groups: Whose each row is.
        column: Where the values are from.
        place: What to call the rows in a message.

    >>> one_a_group(["en", "de", "en"], ["ada", "bob", "ada"], "lang")
    ['en', 'de']

    Raises:
        UserError: A group has several; a missing one is a value too.
    """
    found: dict[str, Any] = {}
    for value, group in zip(values, groups, strict=True):
        known = value_name(found.setdefault(group, value))
        if value_name(value) != known:
            raise UserError(
                f"{place}: column '{column}' varies within group '{group}' ('{known}' and "
                f"'{value_name(value)}'), and a profile judges whole groups: leave '{column}' out "
                "of --slices (evaluation.slices)"
            )
    return list(found.values())
