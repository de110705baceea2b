"""What lies on both sides of a split: shared codes, counted for every pair of splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.audit.finding import table
from data_prep.splitting import SPLITS
from hfpipe.reports.words import listed, percent

#: Pairs of splits, what is learned from first.
PAIRS = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True)
class Overlap:
    """How often every code stands in every split.

    Attributes:
        counts: (codes, 3) rows of each code in train, validation and test.
    """

    counts: np.ndarray

    def pairs(self) -> dict[str, dict[str, int]]:
        """For each pair of splits the shared codes, and the rows on either side that have one."""
        found = {}
        for first, second in PAIRS:
            shared = (self.counts[:, first] > 0) & (self.counts[:, second] > 0)
            sums = self.counts[shared].sum(axis=0)
            found[f"{SPLITS[first]}-{SPLITS[second]}"] = {
                "shared": int(shared.sum()),
                SPLITS[first]: int(sums[first]),
                SPLITS[second]: int(sums[second]),
            }
        return found

    def shares(self) -> dict[str, float | None]:
        """Shares of the validation and of the test rows that have a code of the train split."""
        seen = self.counts[:, 0] > 0
        rows = self.counts.sum(axis=0)
        return {
            SPLITS[code]: float(self.counts[seen, code].sum() / rows[code]) if rows[code] else None
            for code in (1, 2)
        }

    @property
    def straddling(self) -> np.ndarray:
        """Codes that stand in more than one split, those with most evaluation rows first."""
        codes = np.flatnonzero((self.counts > 0).sum(axis=1) > 1)
        held_out = self.counts[codes, 1:].sum(axis=1)
        return codes[np.argsort(-held_out, kind="stable")]


def overlap(codes: np.ndarray, splits: np.ndarray) -> Overlap:
    """Count codes by split; rows with a negative code or split are left out.

    >>> overlap(np.array([0, 0, 1, -1]), np.array([0, 2, 1, 2])).pairs()["train-test"]
    {'shared': 1, 'train': 1, 'test': 1}
    """
    known = (codes >= 0) & (splits >= 0)
    codes, splits = codes[known].astype(np.int64), splits[known].astype(np.int64)
    width = len(SPLITS)
    size = (int(codes.max()) + 1 if len(codes) else 0) * width
    return Overlap(np.bincount(codes * width + splits, minlength=size).reshape(-1, width))


def codes_of(keys: np.ndarray) -> np.ndarray:
    """Number the different rows of an (n, 2) array, in no particular order.

    >>> codes_of(np.array([[7, 1], [7, 2], [7, 1]], dtype=np.uint64)).tolist()
    [0, 1, 0]
    """
    if not len(keys):
        return np.empty(0, dtype=np.int64)
    order = np.argsort(keys[:, 0])
    first, second = keys[order].T
    if np.any((first[1:] == first[:-1]) & (second[1:] != second[:-1])):
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        first, second = keys[order].T
    new = np.r_[False, (first[1:] != first[:-1]) | (second[1:] != second[:-1])]
    codes = np.empty(len(keys), dtype=np.int64)
    codes[order] = np.cumsum(new)
    return codes


def share_said(share: float | None) -> str:
    """Write a share; one that is small does not look like none.

    >>> share_said(0.25), share_said(0.0001), share_said(0.0)
    ('25.0 %', '< 0.1 %', 'none')
    """
    if share is not None and share < 0.0005:
        return "< 0.1 %" if share else "none"
    return percent(share)


def shares_said(shares: Mapping[str, float | None]) -> str:
    """Write the shares of the splits that have rows.

    >>> shares_said({"validation": None, "test": 0.25})
    '25.0 % of the test rows'
    """
    known = {name: share for name, share in shares.items() if share is not None}
    if not any(known.values()):
        return f"none of the {listed(list(known))} rows"
    return listed([f"{share_said(share)} of the {name} rows" for name, share in known.items()])


def pairs_table(what: str, pairs: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """The table of :meth:`Overlap.pairs`.

    Args:
        what: What is shared, in the plural.
        pairs: What is shared by which two splits, and their rows that have it.
    """
    rows = []
    for name, found in pairs.items():
        first, second = name.split("-")
        said = [f"{found[split]:,} {split}" for split in (first, second)]
        rows.append([f"{first} and {second}", found["shared"], *said])
    columns = ("Splits", f"{what.capitalize()} in both", "Rows of one", "Rows of the other")
    return table(f"{what.capitalize()} that stand in two splits", columns, rows)
