"""Which split each row goes to. Splits depend on row ids and the seed, not on the input order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.lots import draw_order
from hfpipe.errors import UserError, nearest

SPLITS = ("train", "validation", "test")
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


@dataclass(frozen=True)
class SplitRequest:
    """What a way of splitting may look at: the kept rows, the shares and the seed."""

    row_ids: Sequence[str]
    labels: Sequence[str]
    sizes: Sequence[float]
    seed: int
    given: Sequence[str | None] | None = None


def split_rows(way: str, request: SplitRequest) -> np.ndarray:
    """Name the split of every row.

    Args:
        way: A key of ``SPLITTERS``.
        request: The rows.

    Returns:
        ``"train"``, ``"validation"`` or ``"test"`` for each row.

    Raises:
        UserError: A class is too small, a split would be empty, a class has no train row, or a
            given split name is not known.
    """
    names = SPLITTERS[way](request)
    for split in SPLITS:
        if not np.any(names == split):
            raise UserError(
                f"split '{split}' would be empty: {len(names)} rows with --sizes "
                f"{','.join(f'{size:g}' for size in request.sizes)}; give more rows or other sizes"
            )
    labels = np.array(request.labels, dtype=object)
    unseen = sorted(set(labels) - set(labels[names == "train"]))
    if unseen:
        raise UserError(
            f"class '{unseen[0]}' has no train row: use --split stratified, or leave it out with "
            f"--drop-labels '{unseen[0]}'"
        )
    return names


def split_randomly(request: SplitRequest) -> np.ndarray:
    """Shuffle all rows and cut at the shares."""
    order = draw_order(request.row_ids, request.seed, "split")
    cuts = np.rint(np.cumsum(request.sizes[:-1]) * len(order)).astype(int)
    names = np.empty(len(order), dtype=object)
    for split, part in zip(SPLITS, np.split(order, cuts), strict=True):
        names[part] = split
    return names


def split_by_class(request: SplitRequest) -> np.ndarray:
    """Give every class the same shares, and every split at least one row of each class.

    Raises:
        UserError: A class has fewer rows than there are splits.
    """
    return _stratified(request, SPLITS)


def _stratified(request: SplitRequest, splits: Sequence[str]) -> np.ndarray:
    labels = request.labels
    _refuse_small_classes(Counter(labels), len(splits))
    members: dict[str, list[int]] = {}
    for position in draw_order(request.row_ids, request.seed, "split").tolist():
        members.setdefault(labels[position], []).append(position)
    names = np.empty(len(labels), dtype=object)
    owed = np.zeros(len(splits))  # what rounding has kept from each split so far
    for label in sorted(members):
        exact = len(members[label]) * np.asarray(request.sizes)
        counts = _apportion(exact, owed)
        owed += exact - counts
        start = 0
        for split, count in zip(splits, counts.tolist(), strict=True):
            names[members[label][start : start + count]] = split
            start += count
    return names


def _apportion(exact: np.ndarray, owed: np.ndarray) -> np.ndarray:
    """Whole numbers near ``exact`` with the same sum, at least 1 each."""
    counts = np.floor(exact + 1e-9).astype(int)
    missing = round(float(exact.sum())) - int(counts.sum())
    fractions = np.round(exact - counts, 9)
    # What is whole already is left alone: no count is further than one row from its share.
    claims = np.where(fractions > 0, np.round(fractions + owed, 9), -np.inf)
    counts[np.argsort(-claims, kind="stable")[:missing]] += 1
    while counts.min() < 1:
        counts[counts.argmax()] -= 1
        counts[counts.argmin()] += 1
    return counts


def _refuse_small_classes(counts: Counter[str], needed: int) -> None:
    small = sorted(label for label in counts if counts[label] < needed)
    if small:
        more = f" (and {len(small) - 1} more such classes)" if len(small) > 1 else ""
        rows = "1 row" if counts[small[0]] == 1 else f"{counts[small[0]]} rows"
        raise UserError(
            f"class '{small[0]}' has {rows}{more}: too few for a stratified split, which needs "
            f"{needed} a class; leave small classes out with --min-count {needed} or "
            f"--drop-labels '{small[0]}'"
        )


def split_as_given(request: SplitRequest) -> np.ndarray:
    """Take the splits that a column names.

    Where it names no validation row, validation is drawn from train by class, so that train
    and validation are to each other as the shares say.

    Raises:
        UserError: A row names no split, or one that is not known.
    """
    given = request.given or [None] * len(request.labels)
    names = np.empty(len(given), dtype=object)
    for position, name in enumerate(given):
        split = GIVEN_NAMES.get((name or "").strip().lower())
        if split is None:
            times = sum(each == name for each in given)
            raise UserError(
                f"--split-column: {times} rows say '{name or ''}'{nearest(name or '', SPLITS)}"
            )
        names[position] = split
    if "validation" in names or "train" not in names:
        return names
    train = np.flatnonzero(names == "train")
    shares = np.array(request.sizes[:2]) / sum(request.sizes[:2])
    names[train] = _stratified(
        SplitRequest(
            row_ids=[request.row_ids[i] for i in train.tolist()],
            labels=[request.labels[i] for i in train.tolist()],
            sizes=shares.tolist(),
            seed=request.seed,
        ),
        SPLITS[:2],
    )
    return names


SPLITTERS: dict[str, Callable[[SplitRequest], np.ndarray]] = {
    "stratified": split_by_class,
    "random": split_randomly,
    "given": split_as_given,
}
