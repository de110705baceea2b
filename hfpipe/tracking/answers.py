"""The rows of ``predictions.jsonl`` as arrays, and which of them are most wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Row = Mapping[str, Any]
Floats = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """What a model said of rows that have a label.

    Attributes:
        kind: The name of the task, as in :data:`hfpipe.metrics.tasks.TASKS`.
        labels: The classes, in order; of a binary task the negative one first.
        rows: Of ``predictions.jsonl``.
        record: The evaluation record.
    """

    kind: str
    labels: Sequence[str]
    rows: Sequence[Row]
    record: Mapping[str, Any]

    @cached_property
    def truth(self) -> Marks:
        """(rows, classes) whether a row has the label; (rows, 0) of a regression."""
        of = {label: at for at, label in enumerate(self.labels)}
        found = np.zeros((len(self.rows), len(of)), dtype=np.bool_)
        for marks, row in zip(found, self.rows, strict=True):
            named = row["truth"] if isinstance(row["truth"], list) else [row["truth"]]
            marks[[of[label] for label in named if label in of]] = True
        return found

    @cached_property
    def scores(self) -> Floats:
        """(rows, classes) the probability of every label; 0 for one that the model has not."""
        of = {label: at for at, label in enumerate(self.labels)}
        found = np.zeros((len(self.rows), len(of)))
        for scores, row in zip(found, self.rows, strict=True):
            for label, score in zip(row["labels"], row["scores"], strict=True):
                if label in of:
                    scores[of[label]] = score
        return found

    def numbers(self, name: str) -> Floats:
        """(rows,) a number of every row, as it is learned: its logarithm, where that is."""
        return np.array([row.get(f"{name}_log", row[name]) for row in self.rows], dtype=np.float64)

    def threshold(self, label: str) -> float | None:
        """From which score on a label is predicted; None where there is no threshold."""
        found = self.record.get("threshold")
        return found.get(label) if isinstance(found, Mapping) else found

    def wrong(self) -> list[Row]:
        """The rows that are wrong, the most wrong first."""
        weigh = _WRONG[self.kind]
        found = [(weight, row) for row in self.rows if (weight := weigh(row, self)) is not None]
        return [row for _, row in sorted(found, key=lambda pair: -pair[0])]


def answers_of(
    record: Mapping[str, Any], rows: Sequence[Row], labels: Sequence[str] | None = None
) -> Answers:
    """Read what a record and its rows say.

    Args:
        record: The evaluation record as a dict.
        rows: Of ``predictions.jsonl``; those without a label are left out.
        labels: The classes, in order; by default those of the record.

    >>> rows = [{"truth": 3.0, "prediction": 2.5, "error": -0.5}, {"truth": None}]
    >>> found = answers_of({"metrics": {}}, rows)
    >>> found.kind, found.numbers("prediction").tolist()
    ('regression', [2.5])
    """
    known = [row for row in rows if row["truth"] is not None]
    names = list(labels or record.get("per_class") or ())
    kind = next((name for name, has in _KINDS.items() if known and has(known[0])), "")
    return Answers(kind, names, known, record)


_KINDS: Mapping[str, Callable[[Row], bool]] = {
    "regression": lambda row: "error" in row,
    "binary": lambda row: "score" in row,
    "multi_label": lambda row: isinstance(row["truth"], list),
    "classification": lambda row: "labels" in row,
}
"""Task → what only its rows have, or, of the last, what all others have, too."""


def _class(row: Row, answers: Answers) -> float | None:
    return None if row["top_1_correct"] else float(row["scores"][0])


def _side(row: Row, answers: Answers) -> float | None:
    if row["top_1_correct"]:
        return None
    at = answers.threshold(answers.labels[-1]) if answers.labels else None
    return abs(float(row["score"]) - (0.5 if at is None else at))


def _marks(row: Row, answers: Answers) -> float | None:
    mistaken = set(row["truth"]) ^ set(row["prediction"])
    scores = dict(zip(row["labels"], row["scores"], strict=True))
    away = [
        abs(scores.get(label, 0.0) - (0.5 if at is None else at))
        for label in mistaken
        for at in [answers.threshold(label)]
    ]
    return max(away, default=None)


def _distance(row: Row, answers: Answers) -> float | None:
    return abs(row["error"]) if row["error"] else None


_WRONG: Mapping[str, Callable[[Row, Answers], float | None]] = {
    "": lambda row, answers: None,
    "classification": _class,
    "binary": _side,
    "multi_label": _marks,
    "regression": _distance,
}
