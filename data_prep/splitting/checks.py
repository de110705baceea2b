"""What cannot be split as asked: one line that names the class or the group, and a way out."""

from __future__ import annotations

import numpy as np

from data_prep.splitting.placing import Rows
from data_prep.splitting.request import NOWHERE, SPLITS, TRAIN, SplitRequest
from hfpipe.errors import UserError


def check_split(request: SplitRequest, splits: np.ndarray, way: str) -> None:
    """Refuse an outcome with an empty split, or with a class that training would not see.

    Raises:
        UserError: So it is.
    """
    for code, split in enumerate(SPLITS):
        if not np.any(splits == code):
            raise UserError(f"split '{split}' would be empty: {_why_empty(request, way)}")
    kinds = len(request.label_names)
    seen, later = (
        np.bincount(request.labels[marks & (request.labels >= 0)], minlength=kinds)
        for marks in (splits == TRAIN, splits > TRAIN)
    )
    # A class all of whose rows were dropped is in no split, so that nothing can go wrong.
    unseen = np.flatnonzero((seen == 0) & (later > 0)).tolist()
    if unseen:
        name = min(request.label_names[code] for code in unseen)
        raise UserError(
            f"class '{name}' has no train row: use --split {_class_keeping(request, way)}, or "
            f"leave it out with --drop-labels '{name}'"
        )


def _why_empty(request: SplitRequest, way: str) -> str:
    if way == "given":
        return f"{request.given_from} gives no row to it"
    gap = ", less those in --gap" if request.gap and way == "time" else ""
    return (
        f"{request.rows} rows with --sizes {request.shown_sizes}{gap}; give more rows or other "
        f"sizes{' or a smaller gap' if gap else ''}"
    )


def _class_keeping(request: SplitRequest, way: str) -> str:
    return "stratified_group" if request.group_name or "group" in way else "stratified"


def refuse_small_classes(
    rows: Rows, needed: int, request: SplitRequest, what: str, way_out: str
) -> None:
    """Refuse classes that have fewer rows, or fewer units, than there are splits.

    Args:
        rows: The rows.
        needed: How many splits there are.
        request: What the rows come from.
        what: What the rows are too few for, for the message.
        way_out: What to do about it, for the message.

    Raises:
        UserError: The first such class by name, and how many there are.
    """
    if not rows.by_class:
        return
    counts = np.bincount(rows.classes)
    units = _units_a_class(rows)
    small = [i for i, name in enumerate(rows.class_names) if name and units[i] < needed]
    if not small:
        return
    first, name = small[0], rows.class_names[small[0]]
    more = f" (and {len(small) - 1} more such classes)" if len(small) > 1 else ""
    said = "1 row" if counts[first] == 1 else f"{counts[first]} rows"
    if counts[first] < needed:
        raise UserError(
            f"class '{name}' has {said}{more}: too few for a stratified split, which needs "
            f"{needed} a class; leave small classes out with --min-count {needed} or "
            f"--drop-labels '{name}'"
        )
    raise UserError(
        f"class '{name}' has {said} in {units[first]} {_units_noun(request, units[first])}{more}: "
        f"too few for {what}, which needs {needed} a class; {way_out}, or leave the class out with "
        f"--drop-labels '{name}'"
    )


def refuse_no_groups(request: SplitRequest, way: str) -> None:
    """Refuse to split by groups that are not named.

    Raises:
        UserError: There are none.
    """
    if request.units is None:
        raise UserError(f"--split {way} needs the column that names the groups: --group-by COL")


def refuse_large_units(
    rows: Rows, settled: np.ndarray, sizes: np.ndarray, request: SplitRequest
) -> None:
    """Refuse a unit that is larger than the largest split may be, and too few units to go round.

    Raises:
        UserError: The largest one, or how many there are.
    """
    count = int(rows.units.max()) + 1
    if count == len(rows.units):
        return
    if count < len(sizes):
        raise UserError(
            f"{_where_units(request)}: {count} {_units_noun(request, count)} cannot fill "
            f"{len(sizes)} splits; {_way_out(request)}"
        )
    held = np.zeros(count, dtype=bool)
    held[rows.units[settled != NOWHERE]] = True
    unit_rows = np.where(held, 0, np.bincount(rows.units))
    largest = int(unit_rows.argmax())
    room = int(np.ceil(len(rows.units) * sizes.max() - 1e-9))
    if unit_rows[largest] > room:
        where = int(np.flatnonzero(rows.units == largest)[0])
        raise UserError(
            f"{_where_units(request)}: {_called(request, where)} has {unit_rows[largest]} of "
            f"{len(rows.units)} rows, more than the largest split takes ({room} at --sizes "
            f"{request.shown_sizes}); {_way_out(request)}"
        )


def _units_a_class(rows: Rows) -> np.ndarray:
    width = len(rows.class_names)
    several = np.bincount(rows.units)[rows.units] > 1
    cells = np.unique(rows.units[several] * width + rows.classes[several])
    alone = np.bincount(rows.classes[~several], minlength=width)
    return alone + np.bincount(cells % width, minlength=width)


def _units_noun(request: SplitRequest, count: int) -> str:
    noun = "group" if request.group_name else "cluster of near-duplicates"
    return noun if count == 1 else noun.replace("group", "groups").replace("cluster", "clusters")


def _where_units(request: SplitRequest) -> str:
    return f"--group-by {request.group_name}" if request.group_name else "near-duplicates"


def _called(request: SplitRequest, position: int) -> str:
    if request.group_name and request.group_of is not None:
        return f"group '{request.group_of(position)}'"
    return f"the largest {_units_noun(request, 1)}"


def _way_out(request: SplitRequest) -> str:
    if request.group_name:
        return "group by a finer column, or give other --sizes"
    return "leave out --no-clean so that they are dropped, or let them part with --no-clusters"
