"""Which classes stay, and how many rows of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from data_prep.lots import draw_order
from hfpipe.errors import UserError, nearest


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


def rare_rows(labels: Sequence[str], min_count: int) -> np.ndarray:
    """Positions of the rows whose class has fewer than ``min_count`` rows.

    >>> rare_rows(["a", "b", "a"], 2).tolist()
    [1]
    """
    counts = Counter(labels)
    return np.array([i for i, label in enumerate(labels) if counts[label] < min_count], dtype=int)


def rows_over_cap(
    labels: Sequence[str], row_ids: Sequence[str], ratio: float, seed: int
) -> np.ndarray:
    """Positions of the rows to take out so that no class has more than ``ratio`` times the rarest.

    Args:
        labels: One a row.
        row_ids: One a row.
        ratio: 1 or more.
        seed: Settles which rows of a class stay.

    Returns:
        Positions, ascending.

    >>> labels, ids = ["a", "b", "b", "b", "b"], ["1", "2", "3", "4", "5"]
    >>> len(rows_over_cap(labels, ids, 2, 42))
    2
    """
    counts = Counter(labels)
    cap = int(ratio * min(counts.values()) + 1e-9)
    taken: Counter[str] = Counter()
    over = []
    for position in draw_order(row_ids, seed, "cap").tolist():
        taken[labels[position]] += 1
        if taken[labels[position]] > cap:
            over.append(position)
    return np.array(sorted(over), dtype=int)
