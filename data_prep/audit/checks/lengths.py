"""How long the texts are, and how many are longer than a model reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from data_prep.audit.drawings import length_lines
from data_prep.audit.finding import NO_TEXTS, finding, graded, skipped, table
from data_prep.audit.given import AuditInput
from data_prep.audit.overlap import share_said
from data_prep.splitting import SPLITS
from hfpipe.reports.words import percent

TITLE = "Lengths"
ORDER = 8
#: Characters of a token of English text, about; and tokens that most small models read.
CHARACTERS_A_TOKEN, TOKENS = 4, 512
#: Share of rows that are longer: they are cut.
WARN = 0.05
BINS = 40


def check(given: AuditInput) -> dict[str, Any]:
    """Describe characters, words and estimated tokens of every split."""
    if not given.has_texts:
        return skipped(NO_TEXTS)
    sample = given.sample()
    words = np.array([len(text.split()) for text in given.texts(sample)], dtype=np.int64)
    characters = {
        name: _described(given.lengths[given.splits == code]) for code, name in enumerate(SPLITS)
    }
    over = {
        name: _share_over(lengths) if len(lengths) else None for name, lengths in _by_split(given)
    }
    longest = _share_over(given.lengths[given.splits >= 0])
    middle = characters["train"]["median"] if characters["train"] else 0
    return finding(
        graded(longest, WARN, 2.0),
        f"median {middle:,.0f} characters; {share_said(longest)} of the rows are over "
        f"{TOKENS} estimated tokens",
        f"What is beyond {TOKENS} tokens is cut by most small models: take one that reads more, "
        "or put what matters first."
        if longest >= WARN
        else "",
        numbers={
            "characters": characters,
            "words": {
                name: _described(words[given.splits[sample] == code])
                for code, name in enumerate(SPLITS)
            },
            "words_from_rows": len(sample),
            "over_tokens": over,
            "tokens": TOKENS,
            "histogram": _histogram(given),
        },
        tables=[_table(characters, over)],
    )


def plots(numbers: dict[str, Any]) -> list[Markup]:
    """How many texts are how long."""
    edges, shares = numbers["histogram"]["edges"], numbers["histogram"]["shares"]
    shown = {name: values for name, values in shares.items() if any(values)}
    mark = numbers["tokens"] * CHARACTERS_A_TOKEN, f"{numbers['tokens']} tokens"
    return [length_lines("lengths", "Lengths of the texts", edges, shown, mark)] if shown else []


def _by_split(given: AuditInput) -> list[tuple[str, np.ndarray]]:
    return [(name, given.lengths[given.splits == code]) for code, name in enumerate(SPLITS)]


def _share_over(lengths: np.ndarray) -> float:
    return float(np.mean(lengths > TOKENS * CHARACTERS_A_TOKEN)) if len(lengths) else 0.0


def _described(values: np.ndarray) -> dict[str, float] | None:
    if not len(values):
        return None
    median, high = np.percentile(values, [50, 95])
    return {
        "min": int(values.min()),
        "median": float(median),
        "mean": float(values.mean()),
        "p95": float(high),
        "max": int(values.max()),
    }


def _histogram(given: AuditInput) -> dict[str, Any]:
    """Shares of the rows of each split between edges that grow by the same factor."""
    lengths = given.lengths[given.splits >= 0]
    high = max(10, int(lengths.max(initial=0)))
    edges = np.unique(np.rint(np.geomspace(1, high + 1, BINS + 1)).astype(np.int64))
    shares = {}
    for name, values in _by_split(given):
        rows = np.histogram(np.maximum(values, 1), edges)[0]
        shares[name] = (rows / max(1, len(values))).tolist()
    return {"edges": edges.tolist(), "shares": shares}


def _table(
    characters: dict[str, dict[str, float] | None], over: dict[str, float | None]
) -> dict[str, Any]:
    rows = []
    for name, found in characters.items():
        if found:
            numbers = [f"{found[key]:,.0f}" for key in ("min", "median", "mean", "p95", "max")]
            rows.append([name, *numbers, percent(over[name])])
    columns = ("Split", "Shortest", "Median", "Mean", "95 % below", "Longest")
    caption = f"Characters of a text; a token is taken as {CHARACTERS_A_TOKEN} characters"
    return table(caption, (*columns, f"Over {TOKENS} tokens"), rows)
