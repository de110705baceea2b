"""Several classes or labels as yes-or-no questions: each of them against all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Row = Mapping[str, Any]


@dataclass(frozen=True)
class OneVsRest:
    """What was said of rows, label by label.

    Attributes:
        labels: Those that are asked about.
        truth: (rows, labels) whether a row has the label.
        scores: (rows, labels) its probability.
    """

    labels: list[str]
    truth: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float64]

    def only(self, labels: Sequence[str]) -> OneVsRest:
        """The same of some of the labels."""
        kept = [self.labels.index(label) for label in labels]
        return OneVsRest(list(labels), self.truth[:, kept], self.scores[:, kept])


def one_vs_rest(rows: Sequence[Row], labels: Sequence[str]) -> OneVsRest:
    """Read rows of several classes, or of several labels.

    Args:
        rows: Of ``predictions.jsonl``, those that have a label.
        labels: Those to ask about; a row without a score for one gives it 0.

    >>> found = one_vs_rest([{"truth": "b", "labels": ["b", "a"], "scores": [0.9, 0.1]}], ["a"])
    >>> found.truth.tolist(), found.scores.tolist()
    ([[False]], [[0.1]])
    """
    place = {label: at for at, label in enumerate(labels)}
    truth = np.zeros((len(rows), len(labels)), dtype=np.bool_)
    said: list[list[float]] = []
    for at, row in enumerate(rows):
        truth[at, [place[label] for label in _true(row) if label in place]] = True
        given = dict(zip(row["labels"], row["scores"], strict=True))
        said.append([given.get(label, 0.0) for label in labels])
    return OneVsRest(list(labels), truth, np.array(said, np.float64).reshape(truth.shape))


def told_apart(rows: Sequence[Row], labels: Sequence[str]) -> list[str]:
    """The labels that some rows have and others lack, the one of most rows first.

    >>> told_apart(
    ...     [{"truth": ["b"]}, {"truth": ["a", "b"]}, {"truth": ["a", "b"]}], ["c", "a", "b"]
    ... )
    ['a']
    """
    held = Counter(label for row in rows for label in _true(row))
    there = [label for label in labels if 0 < held[label] < len(rows)]
    return sorted(there, key=lambda label: -held[label])


def _true(row: Row) -> set[str]:
    return set(row["truth"]) if isinstance(row["truth"], list) else {row["truth"]}
