"""Groups (authors, threads, patients) on both sides of a split."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_prep.audit.finding import finding, graded, skipped
from data_prep.audit.given import AuditInput
from data_prep.audit.overlap import overlap, pairs_table, shares_said
from data_prep.splitting import SPLITS
from hfpipe.reports.words import count

TITLE = "Groups across splits"
ORDER = 3
#: Share of the validation or test rows whose group is in train.
FAIL = 0.01
SHOWN = 5


def check(given: AuditInput) -> dict[str, Any]:
    """Count groups that have rows in several splits."""
    if given.groups is None:
        return skipped("no column names groups (--group-by)")
    found = overlap(given.groups, given.splits)
    pairs = found.pairs()
    shares = _shares(pairs, given)
    straddling = found.straddling
    groups = int((found.counts.sum(axis=1) > 0).sum())
    numbers = {
        "column": given.group_column,
        "groups": groups,
        "straddling": len(straddling),
        "pairs": pairs,
        "shares": shares,
    }
    if not len(straddling):
        said = f"each of {count(groups, 'group')} is in one split"
        return finding("ok", said, numbers=numbers)
    seen = max(share or 0.0 for share in shares.values())
    return finding(
        graded(seen, 0.0, FAIL),
        f"{shares_said(shares)} are of groups that train has too",
        "A model can know them by their group. Split by group: --split group or stratified_group.",
        numbers=numbers,
        tables=[pairs_table("groups", pairs)],
        examples=_examples(given, straddling[:SHOWN]),
    )


def _shares(pairs: dict[str, dict[str, int]], given: AuditInput) -> dict[str, float | None]:
    """Of all rows of the split, also of those without a group."""
    return {
        name: pairs[f"train-{name}"][name] / rows if rows else None
        for name, rows in zip(SPLITS[1:], given.split_sizes[1:], strict=True)
    }


def _examples(given: AuditInput, chosen: np.ndarray) -> list[dict[str, Any]]:
    assert given.groups is not None
    examples = []
    for code in chosen.tolist():
        members = np.flatnonzero((given.groups == code) & (given.splits >= 0))
        rows = np.bincount(given.splits[members], minlength=len(SPLITS))
        held_out = members[given.splits[members] > 0]
        shown = given.shown(held_out[:1])[0]
        shown |= {f"group_{split}_rows": int(n) for split, n in zip(SPLITS, rows, strict=True)}
        examples.append(shown)
    return examples
