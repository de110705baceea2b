"""Validation and test rows that are nearly the same as a train row."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_prep.audit.finding import finding, skipped, table, worst
from data_prep.audit.given import SPLITS, AuditInput
from data_prep.audit.overlap import shares_said
from hfpipe.reports.words import percent

TITLE = "Near-duplicates across splits"
ORDER = 2
#: Similarities that shares are given for, beside the threshold that the rows were cleaned with.
LEVELS = (0.9, 0.8)
#: Share of validation or test rows above the threshold.
WARN, FAIL = 0.001, 0.02
#: Share above the lowest level: many rows that differ in a word or two.
WARN_LOWEST = 0.1
SHOWN = 10


def check(given: AuditInput) -> dict[str, Any]:
    """Find each validation and test row's nearest train row, by the cosine of TF-IDF vectors."""
    train, held_out = np.flatnonzero(given.splits == 0), np.flatnonzero(given.splits > 0)
    if not len(train) or not len(held_out):
        return skipped("there are no rows on both sides")
    if not given.tfidf.nnz:
        return skipped("no text has a word of two letters")
    from data_prep.duplicates import nearest_above

    levels = sorted({*LEVELS, given.threshold}, reverse=True)
    nearest, similarity = nearest_above(given.tfidf, held_out, train, levels[-1])
    splits = given.splits[held_out]
    shares = {
        f"{level:g}": {
            SPLITS[code]: _share(similarity[splits == code] > level + 1e-9) for code in (1, 2)
        }
        for level in levels
    }
    main = shares[f"{given.threshold:g}"]
    verdict = worst([_verdict(main, WARN, FAIL), _verdict(shares[f"{levels[-1]:g}"], WARN_LOWEST)])
    return finding(
        verdict,
        f"{shares_said(main)} have a train row above {given.threshold:g}",
        ""
        if verdict == "ok"
        else "Scores on them are too good. Clean with near-duplicates on, keep their clusters "
        "together, or lower the threshold.",
        numbers={"threshold": given.threshold, "shares": shares},
        tables=[_levels_table(shares)],
        examples=_examples(given, held_out, nearest, similarity),
    )


def _share(marks: np.ndarray) -> float | None:
    return float(marks.mean()) if len(marks) else None


def _verdict(shares: dict[str, float | None], warn: float, fail: float = 2.0) -> str:
    from data_prep.audit.finding import graded

    return graded(max(share or 0.0 for share in shares.values()), warn, fail)


def _levels_table(shares: dict[str, dict[str, float | None]]) -> dict[str, Any]:
    rows = [
        [f"above {level}", *(percent(found[split]) for split in SPLITS[1:])]
        for level, found in shares.items()
    ]
    caption = "Share of rows whose nearest train row is so similar"
    return table(caption, ("Similarity", "Validation", "Test"), rows)


def _examples(
    given: AuditInput, held_out: np.ndarray, nearest: np.ndarray, similarity: np.ndarray
) -> list[dict[str, Any]]:
    found = np.flatnonzero(nearest >= 0)
    order = found[np.argsort(-similarity[found], kind="stable")[:SHOWN]]
    examples = []
    rows = zip(given.shown(held_out[order]), given.shown(nearest[order]), strict=True)
    for (row, train), place in zip(rows, order.tolist(), strict=True):
        row["similarity"] = round(float(similarity[place]), 3)
        row["train_row_id"], row["train_label"] = train["row_id"], train["label"]
        row["train_text"] = train["text"]
        row["labels"] = "the same" if row["label"] == train["label"] else "conflicting"
        examples.append(row)
    return examples
