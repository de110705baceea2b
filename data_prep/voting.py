"""Which label a group of rows gets: the one that most of its rows have."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from data_prep.corpus import LabelCodes, mapped_labels
from data_prep.options import PrepareOptions


def settled_labels(
    parts: Iterable[tuple[int, pa.Array]], options: PrepareOptions
) -> tuple[np.ndarray, list[str]]:
    """The label of each row, as it is called after ``--map-labels``.

    Args:
        parts: Labels as text, with the place of the file that they come from; file by file.
        options: Says how labels are renamed, and whether they are numbers.

    Returns:
        For each row a place among the names, -1 where it has no label; and the names.

    Raises:
        UserError: ``--map-labels`` names a label that there is not.

    >>> options = PrepareOptions(map_labels={"a": "x", "*": "y"})
    >>> codes, names = settled_labels([(0, pa.array(["a", "b", " ", None]))], options)
    >>> codes.tolist(), names
    ([0, 1, -1, -1], ['x', 'y'])
    """
    settling, last = LabelCodes(), 0
    for file, labels in parts:
        if file != last:
            settling.end_file()
            last = file
        settling.add(labels)
    settling.end_file()
    codes, names = settling.settled()
    blank = np.array([*(not name.strip() for name in names), True], dtype=bool)
    codes = np.where(blank[codes], -1, codes)
    mapping = options.map_labels
    if options.task == "regression":  # 2.50 is 2.5
        mapping = {name: _number(name) for name in names if name.strip()}
    return mapped_labels(codes, names, mapping) if mapping else (codes, names)


def _number(label: str) -> str:
    try:
        return repr(float(label))
    except ValueError:
        return label


def judged(groups: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """Why each row goes into no group; empty where it goes into one.

    Args:
        groups: The group of each row; -1 where it has none.
        labels: The label of each row; -1 where it has none. None where there are no labels.

    >>> judged(np.array([0, 0, 0, -1, 0]), np.array([1, 1, 2, 1, -1])).tolist()
    ['', '', 'other_label', 'empty_key', 'empty_label']
    """
    reasons = np.full(len(groups), "", dtype=object)
    reasons[groups < 0] = "empty_key"
    if labels is None:
        return reasons
    reasons[(labels < 0) & (reasons == "")] = "empty_label"
    kept = np.flatnonzero(reasons == "")
    reasons[kept[~majority(groups[kept], labels[kept].astype(np.int64))]] = "other_label"
    return reasons


def majority(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mark the rows whose label more rows of their group have than any other label.

    Args:
        groups: The group of each row, 0 or more.
        labels: Its label, 0 or more.

    Returns:
        (rows,) bool; no row of a group with a tie is marked.

    >>> majority(np.array([0, 0, 0, 1, 1, 2]), np.array([1, 0, 1, 0, 1, 0])).tolist()
    [True, False, True, False, False, True]
    """
    if not len(groups):
        return np.zeros(0, dtype=bool)
    classes = int(labels.max()) + 1
    found, counts = np.unique(groups * classes + labels, return_counts=True)
    owner, label = np.divmod(found, classes)
    most = np.zeros(int(groups.max()) + 1, dtype=np.int64)
    np.maximum.at(most, owner, counts)
    best = counts == most[owner]
    won = np.full(len(most), -1, dtype=np.int64)
    won[owner[best]] = label[best]
    won[np.bincount(owner[best], minlength=len(most)) > 1] = -1
    return np.asarray(labels == won[groups])
