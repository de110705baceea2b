"""What cannot be split as asked: one line that names the class or the group, and a way out."""

from __future__ import annotations

import numpy as np

from data_prep.splitting.placing import Rows
from data_prep.splitting.request import NOWHERE, SPLITS, SplitRequest
from hfpipe.errors import UserError


def check_split(request: SplitRequest, splits: np.ndarray, way: str) -> None:
    """Refuse an outcome with an empty split, or with a class that training would not see.

    Raises:
        UserError: So it is.
    """
    for code, split in enumerate(SPLITS):
        if not np.any(splits == code):
            raise UserError(f"split '{split}' would be empty: {_why_empty(request, way, split)}")
    labelled = request.labels >= 0
    unseen = np.setdiff1d(request.labels[labelled], request.labels[labelled & (splits == 0)])
    if len(unseen):
        # A class all of whose rows were dropped is in no split, so that nothing can go wrong.
        there = np.intersect1d(unseen, request.labels[labelled & (splits > 0)])
        unseen_names = sorted(request.label_names[code] for code in there.tolist())
        if unseen_names:
            raise UserError(
                f"class '{unseen_names[0]}' has no train row: use --split "
                f"{_class_keeping(request, way)}, or leave it out with --drop-labels "
                f"'{unseen_names[0]}'"
            )


def _why_empty(request: SplitRequest, way: str, split: str) -> str:
    if way == "given":
        return f"{request.given_from} gives no row to it"
    rows = f"{request.rows} rows with --sizes {request.shown_sizes}"
    if way == "time" and request.gap:
        return f"{rows}, less those in --gap; give more rows, other sizes or a smaller gap"
    return f"{rows}; give more rows or other sizes"


def _class_keeping(request: SplitRequest, way: str) -> str:
    return "stratified_group" if request.group_name or "group" in way else "stratified"


def refuse_small_classes(rows: Rows, needed: int, request: SplitRequest, way: str) -> None:
    """Refuse classes that have fewer rows, or fewer units, than there are splits.

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
    other = "--split group" if request.group_name else "--split random"
    raise UserError(
        f"class '{name}' has {said} in {units[first]} {_units_noun(request, units[first])}{more}: "
        f"too few for {way}, which needs {needed} a class; use {other}, or leave the class out "
        f"with --drop-labels '{name}'"
    )


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
    cells = np.unique(rows.units * width + rows.classes)
    return np.bincount(cells % width, minlength=width)


def _units_noun(request: SplitRequest, count: int) -> str:
    noun = "group" if request.group_name else "cluster of near-duplicates"
    return noun if count == 1 else noun.replace("group", "groups").replace("cluster", "clusters")


def _where_units(request: SplitRequest) -> str:
    return f"--group-by {request.group_name}" if request.group_name else "near-duplicates"


def _called(request: SplitRequest, position: int) -> str:
    if request.group_name and request.group_of is not None:
        return f"group '{request.group_of(position)}' (with what is joined to it)"
    return f"the largest {_units_noun(request, 1)}"


def _way_out(request: SplitRequest) -> str:
    if request.group_name:
        return "group by a finer column, or give other --sizes"
    return "leave them out (no --no-clean), raise --threshold, or let them part with --no-clusters"
