"""The account of all rows: each is still in, or dropped for exactly one reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hfpipe.errors import RunError

#: Every reason for which a row may be dropped, in the order in which the steps run.
REASONS = {
    "malformed": "not a readable row",
    "empty_text": "no text",
    "empty_label": "no label",
    "dropped_label": "label filtered out",
    "exact_duplicate": "an earlier row's text",
    "near_duplicate": "nearly an earlier row's text",
    "rare_label": "class below the minimum count",
    "majority_cap": "class above its cap",
}


class Ledger:
    """Which rows are kept, and why the others are not.

    >>> ledger = Ledger(["a", "b", "c"], malformed=["d"])
    >>> ledger.drop(np.array([1]), "exact_duplicate")
    >>> ledger.kept().tolist(), ledger.dropped()
    ([0, 2], {'malformed': 1, 'exact_duplicate': 1})
    """

    def __init__(self, row_ids: Sequence[str], malformed: Sequence[str] = ()) -> None:
        """Open the account.

        Args:
            row_ids: Ids of the rows that were read.
            malformed: Ids of what could not be read.
        """
        self.row_ids = list(row_ids)
        self.malformed = list(malformed)
        self.reasons = np.full(len(row_ids), "", dtype=object)

    @property
    def rows_in(self) -> int:
        """All rows there were, the unreadable ones included."""
        return len(self.row_ids) + len(self.malformed)

    def kept(self) -> np.ndarray:
        """Positions of the rows that are still in, ascending."""
        return np.flatnonzero(self.reasons == "")

    def drop(self, positions: np.ndarray, reason: str) -> None:
        """Drop rows that are still in.

        Raises:
            RunError: A row was dropped before: a step has a bug.
        """
        if reason not in REASONS or np.any(self.reasons[positions] != ""):
            raise RunError(f"the account of rows is wrong at step '{reason}': please report this")
        self.reasons[positions] = reason

    def dropped(self) -> dict[str, int]:
        """How many rows were dropped, by reason, in the order of the steps."""
        counts = {reason: int(np.sum(self.reasons == reason)) for reason in REASONS}
        counts["malformed"] += len(self.malformed)
        return {reason: count for reason, count in counts.items() if count}

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
