"""The account of all rows: each is still in, or dropped for exactly one reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hfpipe.errors import RunError

#: Reasons of the steps that run before the cleaning steps of ``data_prep/steps``, in their order.
BEFORE = {
    "malformed": "not a readable row",
    "already_there": "a row that the dataset has or dropped before",
    "filtered_out": "not asked for by --where",
    "unmatched": "no such key in the joined table",
    "stale": "a later capture of the same key exists",
    "empty_text": "no text",
    "empty_label": "no label",
    "no_number": "label is not a finite number",
}
#: Reasons of the steps that run after them.
AFTER = {
    "dropped_label": "label filtered out",
    "conflicting_label": "one text with several labels",
    "exact_duplicate": "an earlier row's text",
    "near_duplicate": "nearly an earlier row's text",
    "rare_label": "class below the minimum count",
    "majority_cap": "class above its cap",
    "no_vector": "no shard of vectors named",
    "empty_sequence": "nothing to encode",
    "time_gap": "in the gap between two splits",
    "straddles_time": "of a group or cluster that an earlier split has",
}


class Ledger:
    """Which rows are kept, and why the others are not.

    >>> ledger = Ledger(3, malformed=1)
    >>> ledger.drop(np.array([1]), "exact_duplicate")
    >>> ledger.kept().tolist(), ledger.dropped()
    ([0, 2], {'malformed': 1, 'exact_duplicate': 1})
    """

    def __init__(
        self, rows: int, malformed: int = 0, steps: Mapping[str, str] | None = None
    ) -> None:
        """Open the account.

        Args:
            rows: Rows that were read.
            malformed: How many could not be read.
            steps: Further reasons, of cleaning steps, in words.
        """
        self.words = {**BEFORE, **(steps or {}), **AFTER}
        self._codes = {reason: code for code, reason in enumerate(self.words, start=1)}
        self.malformed = malformed
        self.marks = np.zeros(rows, dtype=np.int16)

    @property
    def rows_in(self) -> int:
        """All rows there were, the unreadable ones included."""
        return len(self.marks) + self.malformed

    def kept(self) -> np.ndarray:
        """Positions of the rows that are still in, ascending."""
        return np.flatnonzero(self.marks == 0)

    def drop(self, positions: np.ndarray, reason: str) -> None:
        """Drop rows that are still in.

        Args:
            positions: Their positions, or one mark a row.
            reason: One of ``words``.

        Raises:
            RunError: A row was dropped before: a step has a bug.
        """
        if reason not in self._codes or np.any(self.marks[positions] != 0):
            raise RunError(f"the account of rows is wrong at step '{reason}': please report this")
        self.marks[positions] = self._codes[reason]

    def dropped(self) -> dict[str, int]:
        """How many rows were dropped, by reason, in the order of the steps."""
        found = np.bincount(self.marks, minlength=len(self._codes) + 1)
        counts = {reason: int(found[code]) for reason, code in self._codes.items()}
        counts["malformed"] += self.malformed
        return {reason: count for reason, count in counts.items() if count}

    def reasons(self) -> list[str | None]:
        """Each row's reason; None for those that are still in."""
        names: Sequence[str | None] = [None, *self._codes]
        return [names[mark] for mark in self.marks.tolist()]

    def check(self, kept: int) -> None:
        """Assert that rows in = kept + dropped.

        Raises:
            RunError: They are not equal: a step has a bug.
        """
        dropped = sum(self.dropped().values())
        if self.rows_in != kept + dropped:
            raise RunError(
                f"the account of rows is wrong: {self.rows_in} in, {kept} kept, {dropped} dropped; "
                "nothing was written, please report this"
            )
