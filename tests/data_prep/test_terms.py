"""Terms are counted and weighted exactly as scikit-learn's vectorizers do it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from data_prep.terms import TermCounter, tfidf

# Letters that lower-casing, joining or the word class treat in a way of their own.
ODD = st.sampled_from(list("aAbZ09_ -\n\x00.'ßẞİıΣςσǅéÉ\u0301中文かナ한글ᾳ\u200d😀½²٣\ud800ªⅣ"))
TEXT = st.one_of(st.text(max_size=30), st.text(ODD, max_size=30), st.text("aB c9_", max_size=40))


def terms_of(texts: list[str]) -> list[dict[str, int]]:
    analyse = CountVectorizer().build_analyzer()
    found: list[dict[str, int]] = []
    for text in texts:
        row: dict[str, int] = {}
        for term in analyse(text):
            row[term] = row.get(term, 0) + 1
        found.append(row)
    return found


def counted(portions: list[list[str]]):
    counter = TermCounter()
    for texts in portions:
        counter.add(texts)
    return counter.counts()


def columns(dense: np.ndarray) -> list[list[float]]:
    """The columns in an order that does not depend on how they were numbered."""
    return sorted(dense.T.round(12).tolist())


def sklearn_counts(texts: list[str]) -> np.ndarray:
    try:
        return CountVectorizer().fit_transform(texts).toarray()
    except ValueError:  # no terms
        return np.zeros((len(texts), 0))


@given(portions=st.lists(st.lists(TEXT, max_size=8), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_counts_are_those_of_count_vectorizer_in_whatever_portions_texts_come(portions):
    texts = [text for portion in portions for text in portion]
    found = counted(portions)
    assert found.shape[0] == len(texts)
    assert found.dtype == np.int32
    assert columns(found.toarray()) == columns(sklearn_counts(texts))
    assert sum(map(len, terms_of(texts))) == found.nnz
