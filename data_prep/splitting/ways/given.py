"""The splits that a column or a file names."""

from __future__ import annotations

from collections import Counter

import numpy as np

from data_prep.splitting.checks import refuse_small_classes
from data_prep.splitting.placing import Rows, place
from data_prep.splitting.request import (
    NOWHERE,
    SPLITS,
    TRAIN,
    VALIDATION,
    Assignment,
    SplitRequest,
)
from hfpipe.errors import UserError, nearest

GIVEN_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


def split_code(name: object) -> int:
    """The split that a name means, whatever its case; -1 for none.

    >>> split_code(" Dev"), split_code("tset")
    (1, -1)
    """
    known = GIVEN_NAMES.get(name.strip().lower()) if isinstance(name, str) else None
    return NOWHERE if known is None else SPLITS.index(known)


def split(request: SplitRequest) -> Assignment:
    """Take the splits as given, those of units that they cut too.

    Where they name no validation row, validation is drawn from train by class, so that train and
    validation are to each other as the shares say.

    Raises:
        UserError: A row names no split, or one that is not known.
    """
    splits = _named(request)
    if np.any(splits == VALIDATION) or not np.any(splits == TRAIN):
        return Assignment(splits)
    train = splits == TRAIN
    rows = Rows.of(request, by_class=True, marks=train)
    way_out = "name validation rows too"
    refuse_small_classes(rows, 2, request, "validation drawn from train", way_out)
    sizes = np.array(request.sizes[:2]) / sum(request.sizes[:2])
    splits[train] = place(rows, sizes, request.settled()[train])
    return Assignment(splits)


def _named(request: SplitRequest) -> np.ndarray:
    """The split of each row: where it was before, else the one that it names."""
    settled = request.settled().astype(np.int8)
    given = [None] * request.rows if request.given is None else request.given.tolist()
    names = Counter(given)
    codes = {name: split_code(name) for name in names}
    splits = np.fromiter((codes[name] for name in given), dtype=np.int8, count=len(given))
    splits[settled != NOWHERE] = settled[settled != NOWHERE]
    lost = np.flatnonzero(splits == NOWHERE)
    if len(lost):
        _refuse(Counter(given[at] for at in lost.tolist()), request)
    return splits


def _refuse(lost: Counter[object], request: SplitRequest) -> None:
    unknown = {str(name): rows for name, rows in lost.items() if name is not None}
    named = sorted(name for name in unknown if name.strip())
    if named:  # of several the first by name, so that the input order plays no part
        said = named[0]
        raise UserError(
            f"{request.given_from}: {_rows(unknown[said], 'say', 'says')} '{said}'"
            f"{nearest(said, SPLITS)}"
        )
    raise UserError(
        f"{request.given_from}: {_rows(lost.total(), 'have', 'has')} no split: name train, "
        "validation or test for each"
    )


def _rows(count: int, many: str, one: str) -> str:
    return f"1 row {one}" if count == 1 else f"{count} rows {many}"
