"""Exact and near duplicates among texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from data_prep.similarity import PairBlock, similar_pairs


def exact_duplicates(texts: Sequence[str]) -> np.ndarray:
    """Mark every text that an earlier row has too.

    >>> exact_duplicates(["a cat", "a dog", "a cat"]).tolist()
    [False, False, True]
    """
    seen: set[str] = set()
    marks = np.zeros(len(texts), dtype=bool)
    for place, text in enumerate(texts):
        marks[place] = text in seen
        seen.add(text)
    return marks


def near_duplicates(
    texts: Sequence[str],
    threshold: float = 0.9,
    policy: str = "kept",
    advance: Callable[[int], None] = lambda rows: None,
) -> np.ndarray:
    """Mark every text that is nearly the same as an earlier one.

    Similarity is the cosine of TF-IDF vectors (scikit-learn's ``TfidfVectorizer`` as it comes,
    vocabulary and idf from all texts), compared over the whole corpus.

    Args:
        texts: Texts, in the order that says which one is earlier.
        threshold: Marked above this similarity. A tie is not above.
        policy: ``"kept"``: compared with the earlier texts that are not marked themselves;
            ``"any"``: with all earlier texts.
        advance: Told how many more texts have been compared.

    Returns:
        One mark a text.

    >>> near_duplicates(["a small red cat", "one blue dog", "a small red cat!"]).tolist()
    [False, False, True]
    """
    marks = np.zeros(len(texts), dtype=bool)
    try:
        rows = TfidfVectorizer().fit_transform(texts)
    except ValueError as error:
        if "empty vocabulary" not in str(error):
            raise
        return marks  # no text has a word of two letters: nothing to compare
    for block in similar_pairs(rows.tocsr(), threshold):
        if policy == "any":
            marks[block.later] = True
        else:
            _mark_unless_marked(marks, block)
        advance(block.stop - block.start)
    return marks


def _mark_unless_marked(marks: np.ndarray, block: PairBlock) -> None:
    """Mark the later row of each pair whose earlier row is not marked."""
    settled = block.earlier < block.start
    alive = settled & ~marks[block.earlier]
    marks[block.later[alive]] = True
    # Within the block a row's own mark must be settled before it marks others: row by row.
    for later, earlier in zip(
        block.later[~settled].tolist(), block.earlier[~settled].tolist(), strict=True
    ):
        if not marks[earlier]:
            marks[later] = True
