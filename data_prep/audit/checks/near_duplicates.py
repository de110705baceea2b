"""Validation and test rows that are nearly the same as a train row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from data_prep.audit.drawings import similarity_bars
from data_prep.audit.finding import NO_TEXTS, finding, graded, skipped, table, worst
from data_prep.audit.given import AuditInput
from data_prep.audit.overlap import share_said, shares_said
from data_prep.splitting import SPLITS

TITLE = "Near-duplicates across splits"
ORDER = 2
#: Similarities that shares are given for, beside the threshold that the rows were cleaned with;
#: below that one, of a sample.
LEVELS = (0.9, 0.8)
#: Nothing below is looked for, and where the histogram begins.
LOWEST = 0.5
#: Share of validation or test rows above the threshold.
WARN, FAIL = 0.001, 0.02
#: Share above the lowest level: many rows that differ in a word or two.
WARN_LOWEST = 0.1
#: Validation and test rows of the histogram, which looks further down.
DRAWN_ROWS = 2_000
BINS = 25
SHOWN = 10
#: A similarity must be above a level by more than this.
TIE = 1e-9


def check(given: AuditInput) -> dict[str, Any]:
    """Find each validation and test row's nearest train row, by the cosine of TF-IDF vectors."""
    train, held_out = np.flatnonzero(given.splits == 0), np.flatnonzero(given.splits > 0)
    if not len(train) or not len(held_out):
        return skipped("there are no rows on both sides")
    if not given.has_texts:
        return skipped(NO_TEXTS)
    if not given.tfidf.nnz:
        return skipped("no text has a word of two letters")
    from data_prep.duplicates import nearest_above

    threshold = min(max(given.threshold, LOWEST), max(LEVELS))
    levels = sorted({*LEVELS, threshold}, reverse=True)
    asked = _drawn(given, held_out, given.sample_rows)
    nearest, similarity = below = nearest_above(given.tfidf, asked, train, levels[-1])
    if len(asked) < len(held_out):
        nearest, similarity = nearest_above(given.tfidf, held_out, train, threshold)
    shares = {
        f"{level:g}": _shares(similarity > level + TIE, given.splits[held_out])
        if level >= threshold
        else _shares(below[1] > level + TIE, given.splits[asked])
        for level in levels
    }
    main, lowest = shares[f"{threshold:g}"], shares[f"{levels[-1]:g}"]
    verdict = worst([_graded(main, WARN, FAIL), _graded(lowest, WARN_LOWEST)])
    return finding(
        verdict,
        f"{shares_said(main)} have a train row above {threshold:g}",
        ""
        if verdict == "ok"
        else "Scores on them are too good. Clean near-duplicates, keep their clusters in one "
        "split, or lower --threshold.",
        numbers={
            "threshold": threshold,
            "shares": shares,
            "rows": {"above_threshold": len(held_out), "below": len(asked)},
            "histogram": _histogram(given, train, held_out),
        },
        tables=[_table(shares, threshold, len(held_out), len(asked))],
        examples=_examples(given, held_out, nearest, similarity),
    )


def plots(numbers: dict[str, Any]) -> list[Markup]:
    """How similar the nearest train rows are."""
    found = numbers["histogram"]
    if not any(found["rows"]):
        return []
    title = f"Nearest train row of {found['of']:,} validation and test rows"
    return [
        similarity_bars("similarity", title, found["edges"], found["rows"], numbers["threshold"])
    ]


def _drawn(given: AuditInput, held_out: np.ndarray, wanted: int) -> np.ndarray:
    order = np.argsort(given.lots[held_out], kind="stable")
    return np.sort(held_out[order[:wanted]])


def _shares(marks: np.ndarray, splits: np.ndarray) -> dict[str, float | None]:
    return {
        SPLITS[code]: float(marks[splits == code].mean()) if np.any(splits == code) else None
        for code in (1, 2)
    }


def _graded(shares: Mapping[str, float | None], warn: float, fail: float = 2.0) -> str:
    return graded(max(share or 0.0 for share in shares.values()), warn, fail)


def _histogram(given: AuditInput, train: np.ndarray, held_out: np.ndarray) -> dict[str, Any]:
    """Validation and test rows, or a sample of them, by the similarity of their nearest one."""
    from data_prep.duplicates import nearest_above

    asked = _drawn(given, held_out, DRAWN_ROWS)
    nearest, similarity = nearest_above(given.tfidf, asked, train, LOWEST)
    edges = np.linspace(LOWEST, 1.0, BINS + 1)
    # A hair to the left: a similarity of 0.9 is not above 0.9.
    found = np.clip(similarity[nearest >= 0] - TIE, LOWEST, 1.0)
    rows = np.histogram(found, edges)[0]
    return {"of": len(asked), "edges": edges.tolist(), "rows": rows.tolist()}


def _table(
    shares: Mapping[str, Mapping[str, float | None]], threshold: float, rows: int, drawn: int
) -> dict[str, Any]:
    lines = []
    for level, found in shares.items():
        said = [share_said(found[split]) for split in SPLITS[1:]]
        lines.append([f"above {level}", *said, rows if float(level) >= threshold else drawn])
    caption = "Share of the rows whose nearest train row is so similar"
    return table(caption, ("Similarity", "Validation", "Test", "Rows looked at"), lines)


def _examples(
    given: AuditInput, held_out: np.ndarray, nearest: np.ndarray, similarity: np.ndarray
) -> list[dict[str, Any]]:
    found = np.flatnonzero(nearest >= 0)
    # The same text twice is shown by the check for exact duplicates.
    same = (given.keys[held_out[found]] == given.keys[nearest[found]]).all(axis=1)
    found = found[~same]
    order = found[np.argsort(-similarity[found], kind="stable")[:SHOWN]]
    examples = []
    rows = zip(given.shown(held_out[order]), given.shown(nearest[order]), strict=True)
    for (row, train), place in zip(rows, order.tolist(), strict=True):
        row["similarity"] = float(similarity[place])
        row["train_row_id"], row["train_text"] = train["row_id"], train["text"]
        row["train_label"] = train["label"]
        row["labels"] = "the same" if row["label"] == train["label"] else "conflicting"
        examples.append(row)
    return examples
