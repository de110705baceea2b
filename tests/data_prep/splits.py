"""Requests to split, from plain lists; and what every split must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from data_prep.lots import draw_order
from data_prep.splitting import Assignment, SplitRequest

SIZES = st.tuples(st.integers(5, 90), st.integers(5, 40), st.integers(5, 40)).map(
    lambda parts: [part / sum(parts) for part in parts]
)


def request_of(
    labels: Sequence[str | None],
    sizes: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 42,
    ids: Sequence[str] | None = None,
    **more: Any,
) -> SplitRequest:
    """A request for rows with these labels; lists become arrays."""
    ids = [f"row{i:04d}" for i in range(len(labels))] if ids is None else ids
    # Codes in order of appearance: the order of the names must come from the names.
    names = list(dict.fromkeys(label for label in labels if label is not None))
    codes = [-1 if label is None else names.index(label) for label in labels]
    arrays = {
        key: np.asarray(value, dtype=DTYPES.get(key)) if isinstance(value, list) else value
        for key, value in more.items()
    }
    return SplitRequest(
        draw_order(ids, seed, "split"), np.array(codes, dtype=np.int32), names, sizes, **arrays
    )


DTYPES = {"pinned": np.int8, "given": object, "units": np.int64}


def permuted(request: SplitRequest, order: Sequence[int]) -> SplitRequest:
    """The same rows, given in another order, with other codes for the same units and classes."""
    at = np.asarray(order)
    place = np.argsort(at)
    kinds = len(request.label_names)
    flip = np.array([*range(kinds - 1, -1, -1), -1])
    moved = {
        name: None if getattr(request, name) is None else getattr(request, name)[at]
        for name in ("times", "given", "pinned")
    }
    units = None
    if request.units is not None:
        units = (request.units.max() - request.units[at]) * 3 + 1
    return replace(
        request,
        order=place[request.order],
        labels=flip[request.labels[at]].astype(np.int32),
        label_names=list(reversed(request.label_names)),
        units=units,
        **moved,
    )


def check_partition(assignment: Assignment, rows: int) -> None:
    """Every row is in one split, or dropped for one reason."""
    splits = assignment.splits
    assert splits.shape == (rows,)
    assert splits.dtype == np.int8
    assert set(splits.tolist()) <= {-1, 0, 1, 2}
    dropped = [at for positions in assignment.dropped.values() for at in positions.tolist()]
    assert sorted(dropped) == np.flatnonzero(splits == -1).tolist()
    assert set(assignment.dropped) <= {"time_gap", "straddles_time"}


def straddling(units: np.ndarray, splits: np.ndarray) -> list[int]:
    """Units with rows in several splits."""
    homes: dict[int, set[int]] = {}
    for unit, split in zip(units.tolist(), splits.tolist(), strict=True):
        if split >= 0:
            homes.setdefault(unit, set()).add(split)
    return [unit for unit, found in homes.items() if len(found) > 1]


def sizes_of(splits: np.ndarray, count: int = 3) -> list[int]:
    """Rows in each split."""
    found = Counter(splits.tolist())
    return [found[split] for split in range(count)]


@st.composite
def grouped_rows(draw: Any, least: int = 3) -> tuple[list[str], list[int]]:
    """Labels and units: groups of one to nine rows, of up to three classes, in a random order."""
    shapes = draw(
        st.lists(
            st.lists(st.sampled_from("aaabbc"), min_size=1, max_size=9), min_size=least, max_size=40
        )
    )
    rows = [(label, unit) for unit, labels in enumerate(shapes) for label in labels]
    draw(st.randoms(use_true_random=False)).shuffle(rows)
    return [label for label, _ in rows], [unit for _, unit in rows]
