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
@settings(max_examples=60, deadline=None, derandomize=True)
def test_counts_are_those_of_count_vectorizer_in_whatever_portions_texts_come(portions):
    texts = [text for portion in portions for text in portion]
    found = counted(portions)
    assert found.shape[0] == len(texts)
    assert found.dtype == np.int32
    assert columns(found.toarray()) == columns(sklearn_counts(texts))
    assert sum(map(len, terms_of(texts))) == found.nnz


@given(texts=st.lists(TEXT, min_size=1, max_size=20), seed=st.integers(0, 10))
@settings(max_examples=35, deadline=None, derandomize=True)
def test_weights_are_those_of_tfidf_vectorizer_on_the_chosen_rows(texts, seed):
    counts = counted([texts])
    chosen = np.flatnonzero(np.random.default_rng(seed).random(len(texts)) < 0.7)
    for rows, part in [(None, texts), (chosen, [texts[i] for i in chosen])]:
        found = tfidf(counts, rows)
        try:
            expected = TfidfVectorizer().fit_transform(part).toarray()
        except ValueError:  # no terms
            expected = np.zeros((len(part), 0))
        assert found.shape == expected.shape
        assert found.dtype == np.float64
        assert columns(found.toarray()) == columns(expected)


def test_columns_of_the_weights_go_from_rare_to_frequent():
    rows = tfidf(counted([["red cat", "red dog", "the red", "the bird red"]]))
    frequency = np.bincount(rows.indices, minlength=rows.shape[1])
    assert frequency.tolist() == sorted(frequency)
    assert rows.has_sorted_indices
    assert frequency[-1] == 4


def test_many_terms_and_long_texts_find_room():
    random = np.random.default_rng(1)
    texts = [" ".join(f"word{n}" for n in random.integers(0, 10**6, 300)) for _ in range(300)]
    texts.insert(7, " ".join(f"x{n:x}" for n in range(100_000)))
    found = counted([texts[:5], texts[5:]])
    expected = CountVectorizer().fit_transform(texts)
    assert found.shape == expected.shape == (301, expected.shape[1])
    assert found.nnz == expected.nnz
    assert (np.sort(found.sum(axis=0).A1) == np.sort(expected.sum(axis=0).A1)).all()
    assert (np.diff(found.indptr) == np.diff(expected.indptr)).all()


@pytest.mark.parametrize("text", ["", "a", "\ud800", "\x00", "İ", "日"])
def test_a_text_without_terms_is_an_empty_row(text):
    found = counted([[text, "two words", text]])
    assert np.diff(found.indptr).tolist() == [0, 2, 0]


def test_nothing_added_is_no_rows():
    assert counted([]).shape == (0, 0)
    assert tfidf(counted([[]])).shape == (0, 0)
