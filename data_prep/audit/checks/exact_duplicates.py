"""The same text in more than one split."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_prep.audit.finding import finding, graded
from data_prep.audit.given import AuditInput
from data_prep.audit.overlap import codes_of, overlap, pairs_table, shares_said
from data_prep.splitting import SPLITS

TITLE = "Exact duplicates across splits"
ORDER = 1
#: Share of the validation or test rows whose text is in train: a tenth of a percent is a slip,
#: one percent moves the score.
FAIL = 0.01
SHOWN = 5


def check(given: AuditInput) -> dict[str, Any]:
    """Count texts that stand in several splits, exactly."""
    codes = codes_of(given.keys)
    found = overlap(codes, given.splits)
    pairs, shares = found.pairs(), found.shares()
    straddling = found.straddling
    what = "text" if given.has_texts else "row"
    if not len(straddling):
        return finding(
            "ok", f"no {what} stands in two splits", numbers={"pairs": pairs, "shares": shares}
        )
    seen = max(share or 0.0 for share in shares.values())
    return finding(
        graded(seen, 0.0, FAIL),
        f"{shares_said(shares)} stand in train too",
        "What is measured on them is memory. Let the cleaning drop duplicates, or look at how "
        "the given splits were made.",
        numbers={"texts": len(straddling), "pairs": pairs, "shares": shares},
        tables=[pairs_table(f"{what}s", pairs)],
        examples=_examples(given, codes, straddling[:SHOWN]),
    )


def _examples(given: AuditInput, codes: np.ndarray, chosen: np.ndarray) -> list[dict[str, Any]]:
    examples = []
    for code in chosen.tolist():
        members = np.flatnonzero((codes == code) & (given.splits >= 0))
        held_out = members[given.splits[members] > 0]
        shown = given.shown(held_out[:1])[0]
        others = {SPLITS[split] for split in given.splits[members].tolist()} - {shown["split"]}
        labels = {given.answer(place) for place in members.tolist()}
        shown["also_in"] = ", ".join(split for split in SPLITS if split in others)
        shown["labels"] = "conflicting" if len(labels) > 1 else "the same"
        examples.append(shown)
    return examples
