"""What the audit looks at: small facts of every kept row, and two ways to fetch the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from data_prep.lots import draw_lots
from data_prep.splitting import SPLITS
from hfpipe.reports.words import shortened

#: Characters of a text that is shown as an example.
SHOWN_CHARACTERS = 160
#: Characters of a class or column name that is shown.
NAME_CHARACTERS = 80
#: Rows whose texts are fetched at a time where all are needed.
CHUNK = 50_000
#: A class keeps so many rows in a sample before the others get more than their share.
FLOOR = 20


@dataclass
class AuditInput:
    """The kept rows. Arrays have one entry a row, in one order; positions count in it.

    Attributes:
        splits: (n,) int8: 0 train, 1 validation, 2 test; others are left out of the audit.
        row_ids: (n,) stable ids.
        keys: (n, 2) uint64: the same for the same text; without text columns, for the same row.
        lengths: (n,) characters of each text.
        texts: Gives the texts at positions.
        columns: Gives the columns but the text ones at positions, one table row a position.
        labels: (n,) class codes into ``label_names``, -1 where there is none.
        label_names: The classes.
        targets: (n,) numbers to predict; makes the task a regression.
        rows: (n, terms) TF-IDF of the texts, L2-normalised; made from ``texts`` where None.
        groups: (n,) group codes, -1 for rows that are alone; None: there are no groups.
        group_column: Where the groups come from.
        times: (n,) int64 microseconds since 1970 or float64 numbers; None: there are none.
        time_column: Where the times come from.
        leakage_columns: Columns that the user has refused; they are not in ``columns``.
        label_column: Where labels or targets come from.
        text_columns: Where the texts come from; empty where rows have none.
        id_columns: Columns that name rows: not looked at for leakage.
        seed: Of the samples.
        sample_rows: Rows of the checks that fit models.
        threshold: Above this similarity two texts are near-duplicates.
        skip: Checks that are not made, by their names, and why not.
    """

    splits: np.ndarray
    row_ids: pa.Array | pa.ChunkedArray | Sequence[str]
    keys: np.ndarray
    lengths: np.ndarray
    texts: Callable[[np.ndarray], list[str]]
    columns: Callable[[np.ndarray], pa.Table]
    labels: np.ndarray
    label_names: Sequence[str] = ()
    targets: np.ndarray | None = None
    rows: csr_matrix | None = None
    groups: np.ndarray | None = None
    group_column: str | None = None
    times: np.ndarray | None = None
    time_column: str | None = None
    leakage_columns: Sequence[str] = ()
    label_column: str | None = None
    text_columns: Sequence[str] = ("text",)
    id_columns: Sequence[str] = field(default_factory=lambda: ["row_id"])
    seed: int = 42
    sample_rows: int = 20_000
    threshold: float = 0.9
    skip: Mapping[str, str] = field(default_factory=dict)

    @property
    def regression(self) -> bool:
        """Whether a number is predicted, and not a class."""
        return self.targets is not None

    @property
    def has_texts(self) -> bool:
        """Whether the rows have texts at all."""
        return bool(self.text_columns)

    @cached_property
    def split_sizes(self) -> list[int]:
        """Rows of train, validation and test."""
        return [int(np.count_nonzero(self.splits == code)) for code in range(len(SPLITS))]

    @cached_property
    def lots(self) -> np.ndarray:
        """(n,) uint64: a number drawn for each row; depends on its id and the seed only."""
        return draw_lots(self.row_ids, self.seed, "audit")

    @cached_property
    def tfidf(self) -> csr_matrix:
        """(n, terms) TF-IDF of the texts, L2-normalised."""
        if self.rows is not None:
            return self.rows
        from data_prep.terms import TermCounter, tfidf

        counter = TermCounter()
        everything = np.arange(len(self.splits))
        for start in range(0, len(everything), CHUNK):
            counter.add(self.texts(everything[start : start + CHUNK]))
        return tfidf(counter.counts())

    def sample(self, wanted: int | None = None) -> np.ndarray:
        """Draw rows by lot.

        Args:
            wanted: How many; ``sample_rows`` if None.

        Returns:
            Positions in ascending order; all of them where there are no more than ``wanted``.
        """
        audited = np.flatnonzero(self.splits >= 0)
        wanted = self.sample_rows if wanted is None else wanted
        if len(audited) <= wanted:
            return audited
        return np.sort(audited[np.argsort(self.lots[audited], kind="stable")[:wanted]])

    def sample_by_class(self, positions: np.ndarray) -> np.ndarray:
        """Draw ``sample_rows`` of the positions so that classes keep their shares.

        Small classes get 20 rows first, as far as they have them.
        """
        if len(positions) <= self.sample_rows:
            return positions
        labels = self.labels[positions]
        order = np.lexsort((self.lots[positions], labels))
        starts = np.r_[0, np.flatnonzero(np.diff(labels[order])) + 1]
        counts = np.diff(np.r_[starts, len(order)])
        place = np.arange(len(order)) - np.repeat(starts, counts)
        urgency = (place + 0.5) / np.repeat(counts, counts)
        urgency[place < FLOOR] -= 1.0
        chosen = np.argsort(urgency, kind="stable")[: self.sample_rows]
        return np.sort(positions[order[chosen]])

    def shown(self, positions: Sequence[int] | np.ndarray) -> list[dict[str, Any]]:
        """What is shown of rows as examples: id, split, label or target, start of the text."""
        places = np.asarray(positions, dtype=np.int64)
        if not len(places):
            return []
        ids, texts = self._ids(places), self.texts(places)
        return [
            {
                "row_id": row_id,
                "split": SPLITS[self.splits[place]],
                "label": self.answer(place),
                "text": shortened(" ".join(text[: 8 * SHOWN_CHARACTERS].split()), SHOWN_CHARACTERS),
            }
            for place, row_id, text in zip(places.tolist(), ids, texts, strict=True)
        ]

    def answer(self, place: int) -> str | float | None:
        """The label or the target of a row."""
        if self.targets is not None:
            target = float(self.targets[place])
            return int(target) if target.is_integer() else target
        code = int(self.labels[place])
        return None if code < 0 else self.name(code)

    def name(self, code: int) -> str:
        """The name of a class, cut where it is too long to be read."""
        return shortened(str(self.label_names[code]), NAME_CHARACTERS)

    def _ids(self, places: np.ndarray) -> list[str]:
        if isinstance(self.row_ids, (pa.Array, pa.ChunkedArray)):
            return [str(row_id) for row_id in self.row_ids.take(pa.array(places)).to_pylist()]
        return [str(self.row_ids[place]) for place in places.tolist()]
