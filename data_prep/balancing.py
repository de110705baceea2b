"""Which classes stay, under which names, and how many rows of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hfpipe.errors import UserError, nearest

#: In a mapping of labels: all labels that it does not name.
OTHERS = "*"


def class_counts(labels: Iterable[str | None]) -> dict[str, int]:
    """Rows a class, sorted by label.

    >>> class_counts(["b", "a", "b"])
    {'a': 1, 'b': 2}
    """
    return dict(sorted(Counter(label for label in labels if label is not None).items()))


def resolve_labels(named: Sequence[str], known: Iterable[str]) -> list[str]:
    """Labels as given, or, where no class is called that, split at their commas.

    Raises:
        UserError: There is no such class.

    >>> resolve_labels(["a,b", "c, d"], ["a", "b", "c, d"])
    ['a', 'b', 'c, d']
    """
    options = sorted(set(known))
    found: list[str] = []
    for name in named:
        parts = [name] if name in options else [part.strip() for part in name.split(",")]
        for part in filter(None, parts):
            if part not in options:
                raise UserError(f"--drop-labels: no row has label '{part}'{nearest(part, options)}")
            found.append(part)
    return list(dict.fromkeys(found))


def label_map(names: Sequence[str], mapping: Mapping[str, str]) -> list[str]:
    """Rename classes; two that get one name become one class.

    Args:
        names: The classes that there are.
        mapping: Old name to new name; the old name ``*`` stands for all others.

    Returns:
        The new name of each class; a class that is not mapped keeps its name.

    Raises:
        UserError: No class has an old name, or a new name is empty.

    >>> label_map(["cat", "dog", "oak"], {"oak": "plant", "*": "animal"})
    ['animal', 'animal', 'plant']
    """
    for old, new in mapping.items():
        if old != OTHERS and old not in names:
            raise UserError(f"map_labels: no row has label '{old}'{nearest(old, names)}")
        if not new.strip():
            raise UserError(
                f"map_labels: '{old}' is mapped to an empty name; to leave the class out, name it "
                "in drop_labels"
            )
    return [mapping.get(name, mapping.get(OTHERS, name)) for name in names]


def rare_rows(codes: np.ndarray, min_count: int) -> np.ndarray:
    """Positions of the rows whose class has fewer than ``min_count`` rows.

    Args:
        codes: The class of each row, (rows,) whole numbers; -1 is none.
        min_count: The fewest rows that a class may have.

    Returns:
        Positions, ascending.

    >>> rare_rows(np.array([0, 1, 0]), 2).tolist()
    [1]
    """
    labelled = codes >= 0
    counts = np.bincount(codes[labelled], minlength=1)
    return np.flatnonzero(labelled & (counts[codes] < min_count))


def rows_over_cap(
    codes: np.ndarray, order: np.ndarray, ratio: float | None = None, cap: int | None = None
) -> np.ndarray:
    """Positions of the rows to take out so that no class is above its cap.

    Args:
        codes: The class of each row, (rows,) whole numbers; -1 is none, and has no cap.
        order: Positions in the order in which rows are kept: ``draw_order(ids, seed, "cap")``.
        ratio: The cap as a multiple, 1 or more, of the rows of the rarest class.
        cap: The cap as a number of rows; where both are given, the lower one holds.

    Returns:
        Positions, ascending.

    >>> codes = np.array([0, 1, 1, 1, 1])
    >>> rows_over_cap(codes, np.array([4, 3, 2, 1, 0]), ratio=2).tolist()
    [1, 2]
    """
    counts = np.bincount(codes[codes >= 0])
    caps = [len(codes)] if cap is None else [cap]
    if ratio is not None and len(counts):
        caps.append(int(ratio * counts[counts > 0].min() + 1e-9))
    drawn = order[codes[order] >= 0]
    by_class = drawn[np.argsort(codes[drawn], kind="stable")]
    # How many rows of its class come before a row in the drawn order.
    before = np.arange(len(by_class)) - (np.cumsum(counts) - counts)[codes[by_class]]
    return np.sort(by_class[before >= min(caps)])
