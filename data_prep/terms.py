"""The terms of texts, counted and weighted as scikit-learn's vectorizers do."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

#: What a term is: two word characters or more, as in ``CountVectorizer``.
TERM = re.compile(r"(?u)\b\w\w+\b")


class TermCounter:
    """Counts the terms of texts that come in portions; keeps the counts, never the texts.

    >>> counter = TermCounter()
    >>> counter.add(["a small cat", "The cat, THE dog"])
    >>> counter.counts().toarray().tolist()
    [[1, 1, 0, 0], [0, 1, 2, 1]]
    """

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, texts: Sequence[str]) -> None:
        """Count the terms of some more texts, each of which becomes a row.

        Args:
            texts: Texts.
        """
        counts: list[int] = []
        terms: list[int] = []
        lengths: list[int] = []
        for text in texts:
            found: dict[int, int] = {}
            for term in TERM.findall(text.lower()):
                place = self._ids.setdefault(term, len(self._ids))
                found[place] = found.get(place, 0) + 1
            terms += found.keys()
            counts += found.values()
            lengths.append(len(found))
        part = (np.array(counts, np.int32), np.array(terms, np.int32), np.array(lengths, np.int64))
        self._parts.append(part)

    def counts(self) -> csr_matrix:
        """Give the counts of all rows added.

        Returns:
            ``(rows, terms)``, int32; terms in the order of their first appearance.
        """
        empty = (np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int64))
        counts, terms, lengths = (
            np.concatenate(parts) for parts in zip(empty, *self._parts, strict=True)
        )
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        return csr_matrix((counts, terms, indptr), shape=(len(lengths), len(self._ids)))


def tfidf(counts: csr_matrix, rows: np.ndarray | None = None) -> csr_matrix:
    """Weigh counted terms: TF-IDF with rows of unit length, as ``TfidfVectorizer`` does.

    Args:
        counts: ``(rows, terms)`` counts.
        rows: Positions of the rows that take part; all by default. The idf comes from them only.

    Returns:
        ``(rows that take part, terms)``, float64. Columns come in no special order.

    >>> counter = TermCounter()
    >>> counter.add(["red cat", "red dog"])
    >>> tfidf(counter.counts()).toarray().round(3).tolist()
    [[0.58, 0.815, 0.0], [0.58, 0.0, 0.815]]
    """
    chosen = counts if rows is None else counts[rows]
    frequency = np.bincount(chosen.indices, minlength=chosen.shape[1])
    idf = np.log((1 + chosen.shape[0]) / (1 + frequency)) + 1
    values = chosen.data * idf[chosen.indices]
    row_of = np.repeat(np.arange(chosen.shape[0]), np.diff(chosen.indptr))
    lengths = np.sqrt(np.bincount(row_of, weights=values**2, minlength=chosen.shape[0]))
    return csr_matrix((values / lengths[row_of], chosen.indices, chosen.indptr), chosen.shape)
