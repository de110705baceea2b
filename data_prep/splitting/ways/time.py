"""By time: no train row is later than a validation row, and none of those later than a test row."""

from __future__ import annotations

import numpy as np

from data_prep.splitting.placing import numbered_units
from data_prep.splitting.request import NOWHERE, TEST, TRAIN, VALIDATION, Assignment, SplitRequest
from hfpipe.errors import UserError


def split(request: SplitRequest) -> Assignment:
    """Cut the rows in order of time at the shares; rows of one time stay together.

    Rows within the gap after the last train (or validation) row are dropped, and so are rows of a
    later split whose unit is in an earlier one.

    Raises:
        UserError: A row has no time, or there are too few times.
    """
    times = _checked_times(request)
    order = np.argsort(times, kind="stable")
    # Where a new time begins: only there can be cut.
    starts = 1 + np.flatnonzero(np.diff(times[order]) > 0)
    cuts = _cuts(starts, request, order)
    splits = np.full(request.rows, TEST, dtype=np.int8)
    splits[order[: cuts[1]]] = VALIDATION
    splits[order[: cuts[0]]] = TRAIN
    return _drop_what_leaks(request, times, splits)


def _checked_times(request: SplitRequest) -> np.ndarray:
    times = request.times
    if times is None:
        raise UserError("--split time needs the column that says when: --time-column COL")
    whole = np.issubdtype(times.dtype, np.integer)
    missing = times == np.iinfo(np.int64).min if whole else ~np.isfinite(times)
    count = int(missing.sum())
    if count:
        said = "1 row has" if count == 1 else f"{count} rows have"
        raise UserError(
            f"--time-column: {said} no time (of {len(times)}): mend them, leave them out of the "
            "input, or split another way"
        )
    return times


def _cuts(starts: np.ndarray, request: SplitRequest, order: np.ndarray) -> list[int]:
    """Where validation and test begin: as near to the shares as times and settled rows let."""
    if len(starts) < 2:
        raise UserError(
            f"--time-column: {len(starts) + 1} different times among {request.rows} rows are too "
            "few for three splits; give a finer time, or split another way"
        )
    aims = np.rint(np.cumsum(request.sizes[:2]) * request.rows)
    settled = request.settled()[order]
    first = _nearest(starts[:-1], aims[0], *_bounds(settled, TRAIN))
    return [first, _nearest(starts[starts > first], aims[1], *_bounds(settled, VALIDATION))]


def _bounds(settled: np.ndarray, split: int) -> tuple[int, int]:
    """Where the border after a split must lie, that settled rows stay on their side of it."""
    before = np.flatnonzero((settled != NOWHERE) & (settled <= split))
    after = np.flatnonzero(settled > split)
    return (
        int(before[-1]) + 1 if len(before) else 0,
        int(after[0]) if len(after) else len(settled),
    )


def _nearest(starts: np.ndarray, aim: float, low: int, high: int) -> int:
    able = starts[(starts >= low) & (starts <= high)]
    if not len(able):
        raise UserError(
            "--split time: the rows of the earlier version are not divided by time; prepare all "
            "rows anew, without --incremental"
        )
    return int(able[np.abs(able - aim).argmin()])


def _drop_what_leaks(request: SplitRequest, times: np.ndarray, splits: np.ndarray) -> Assignment:
    """Leave out gaps, and units that straddle a border; settled rows stay."""
    units = numbered_units(request.order, request.units)
    settled = request.settled()
    free = settled == NOWHERE
    near = _before_settled(times, splits, settled, request.gap)
    straddling = free & _parted_from_settled(units, splits, settled)
    near &= ~straddling
    held = np.zeros(int(units.max()) + 1, dtype=bool)
    kept = (splits == TRAIN) & ~near & ~straddling
    for split in (VALIDATION, TEST):
        held[units[kept]] = True
        last = times[kept].max() if kept.any() else None
        members = (splits == split) & free & ~near & ~straddling
        if request.gap and last is not None:
            near |= members & (times - last <= request.gap)
        straddling |= members & ~near & held[units]
        kept |= (splits == split) & ~near & ~straddling
    splits[near | straddling] = NOWHERE
    found = {"time_gap": np.flatnonzero(near), "straddles_time": np.flatnonzero(straddling)}
    return Assignment(splits, {reason: rows for reason, rows in found.items() if len(rows)})


def _before_settled(
    times: np.ndarray, splits: np.ndarray, settled: np.ndarray, gap: float
) -> np.ndarray:
    """New rows within the gap before settled rows of a later split, which cannot be dropped."""
    near = np.zeros(len(times), dtype=bool)
    for split in (TRAIN, VALIDATION):
        later = settled > split
        if gap and later.any():
            near |= (splits == split) & (settled == NOWHERE) & (times[later].min() - times <= gap)
    return near


def _parted_from_settled(units: np.ndarray, splits: np.ndarray, settled: np.ndarray) -> np.ndarray:
    """Rows whose unit has settled rows, and not in their split."""
    fixed = settled != NOWHERE
    homes = np.full(int(units.max()) + 1, TEST + 1, dtype=np.int16)
    np.minimum.at(homes, units[fixed], settled[fixed])
    return (homes[units] <= TEST) & (homes[units] != splits)
