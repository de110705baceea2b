"""The terms of texts, counted and weighted as scikit-learn's vectorizers do."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

from data_prep import _term_loops as loops

#: What a term is: two word characters or more, as in ``CountVectorizer``.
TERM = re.compile(r"(?u)\b\w\w+\b")
#: Room for so many different terms at first.
FIRST_TERMS = 10_000
LETTERS_A_TERM = 8


class TermCounter:
    """Counts the terms of texts that come in portions; keeps the counts, never the texts.

    Terms are those of ``CountVectorizer``: the text in lower case, cut into words of two or more
    letters, digits and underscores.

    >>> counter = TermCounter()
    >>> counter.add(["a small cat", "The cat, THE dog"])
    >>> counter.counts().toarray().tolist()
    [[1, 1, 0, 0], [0, 1, 2, 1]]
    """

    #: So many rows may be counted: any number.
    most_rows = math.inf

    def __init__(self) -> None:
        self._table = loops.Table(
            slots=np.empty(0, dtype=np.int64),
            facts=np.empty((0, 4), dtype=np.int64),
            letters=np.empty(0, dtype=np.uint8),
            size=np.zeros(2, dtype=np.int64),
        )
        self._grow()
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._written = 0

    def add(self, texts: Sequence[str]) -> None:
        """Count the terms of some more texts, each of which becomes a row.

        Args:
            texts: Texts.
        """
        parts = [_plain(text) for text in texts]
        starts = np.zeros(len(parts) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, parts), dtype=np.int64, count=len(parts)), out=starts[1:])
        data = np.frombuffer(b"".join(parts).translate(loops.FOLDED), dtype=np.uint8)
        room = (len(data) + len(parts)) // 3  # two letters and a separator for each
        counts = loops.Counts(
            np.empty(room, np.int32), np.empty(room, np.int32), np.zeros(len(parts) + 1, np.int64)
        )
        state = np.zeros(3, dtype=np.int64)
        while True:
            loops.count_terms(data, starts, self._table, counts, self._written, state)
            if state[0] == len(parts):
                break
            self._grow()
        written = int(state[2])
        self._written += written
        self._parts.append(
            (counts.counts[:written].copy(), counts.terms[:written].copy(), np.diff(counts.ends))
        )

    def counts(self) -> csr_matrix:
        """Give the counts of all rows added.

        Returns:
            ``(rows, terms)``, int32; terms in the order of their first appearance.
        """
        empty = (np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int64))
        counts, terms, lengths = (
            np.concatenate(parts) for parts in zip(empty, *self._parts, strict=True)
        )
        starts = np.concatenate([[0], np.cumsum(lengths)])
        return csr_matrix((counts, terms, starts), shape=(len(lengths), int(self._table.size[0])))

    def terms(self) -> list[bytes]:
        """Give the letters of each term, in lower case, in UTF-8, in the order of ``counts``.

        >>> counter = TermCounter()
        >>> counter.add(["The cat, THE dog"])
        >>> counter.terms()
        [b'the', b'cat', b'dog']
        """
        letters = self._table.letters[: self._table.size[1]].tobytes()
        facts = self._table.facts[: self._table.size[0]]
        starts = facts[:, loops.START]
        stops = starts + facts[:, loops.LENGTH]
        return [
            letters[start:stop] for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
        ]

    def _grow(self) -> None:
        """Make room for twice as many terms and letters."""
        old = self._table
        terms = max(2 * len(old.facts), FIRST_TERMS)
        self._table = loops.Table(
            slots=np.full(1 << (2 * terms - 1).bit_length(), loops.FREE, dtype=np.int64),
            facts=_longer(old.facts, terms),
            letters=_longer(old.letters, max(2 * len(old.letters), LETTERS_A_TERM * FIRST_TERMS)),
            size=old.size,
        )
        loops.place_terms(self._table)


def _longer(array: np.ndarray, length: int) -> np.ndarray:
    longer = np.empty((length, *array.shape[1:]), dtype=array.dtype)
    longer[: len(array)] = array
    return longer


def _plain(text: str) -> bytes:
    """A text's bytes. One with other letters than ASCII is cut into its terms first."""
    if text.isascii():
        return text.encode()
    return " ".join(TERM.findall(text.lower())).encode()


def tfidf(counts: csr_matrix, rows: np.ndarray | None = None) -> csr_matrix:
    """Weigh counted terms: TF-IDF with rows of unit length, as ``TfidfVectorizer`` does.

    Args:
        counts: ``(rows, terms)`` counts.
        rows: Positions of the rows that take part; all by default. The idf comes from them only.

    Returns:
        ``(rows that take part, terms they have)``, float64, the columns from rare to frequent.

    >>> counter = TermCounter()
    >>> counter.add(["red cat", "red dog", "red, red bird"])
    >>> tfidf(counter.counts(), np.array([0, 1])).toarray().round(3).tolist()
    [[0.815, 0.0, 0.58], [0.0, 0.815, 0.58]]
    """
    chosen = counts if rows is None else counts[rows]
    frequency = np.bincount(chosen.indices, minlength=chosen.shape[1])
    by_frequency = np.argsort(frequency, kind="stable").astype(np.int32)
    by_frequency = by_frequency[np.count_nonzero(frequency == 0) :]
    column = np.empty(chosen.shape[1], dtype=np.int32)
    column[by_frequency] = np.arange(len(by_frequency), dtype=np.int32)
    idf = np.log((1 + chosen.shape[0]) / (1 + frequency)) + 1
    values = chosen.data * idf[chosen.indices]
    shape = (chosen.shape[0], len(by_frequency))
    weighted = csr_matrix((values, column[chosen.indices], chosen.indptr.copy()), shape)
    weighted.sort_indices()
    loops.normalise(weighted.indptr, weighted.data)
    return weighted
