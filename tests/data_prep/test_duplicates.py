"""Near-duplicates: the fast join gives what comparing every row with every row gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from data_prep import similarity
from data_prep.duplicates import exact_duplicates, near_duplicates

# Few words, so that texts overlap in every degree; one- and two-letter ones, which the vectorizer
# partly ignores; some without any word.
WORDS = st.sampled_from(["a", "of", "the", "cat", "dog", "red", "blue", "green", "house"])
TEXTS = st.lists(st.lists(WORDS, max_size=6).map(" ".join), min_size=1, max_size=40)
THRESHOLDS = st.one_of(
    st.floats(min_value=0, max_value=1), st.sampled_from([0.0, 0.2, 0.5, 0.8, 0.9, 1.0])
)


def quadratic(texts: list[str], threshold: float, policy: str) -> list[bool]:
    """The definition, word for word: every row against every earlier one."""
    try:
        dense = TfidfVectorizer().fit_transform(texts).toarray()
    except ValueError:  # no words at all
        return [False] * len(texts)
    marks: list[bool] = []
    for later in range(len(texts)):
        similar = [
            float(dense[later] @ dense[earlier]) > threshold + similarity.TIE
            for earlier in range(later)
            if policy == "any" or not marks[earlier]
        ]
        marks.append(any(similar))
    return marks


@pytest.mark.parametrize("pair_cost", [0, 1e9], ids=["rare terms only", "all terms"])
@given(texts=TEXTS, threshold=THRESHOLDS, policy=st.sampled_from(["kept", "any"]))
@settings(max_examples=100, deadline=None)
def test_the_join_gives_what_the_definition_gives(pair_cost, texts, threshold, policy):
    # Both ways of looking for pairs, in blocks of a few rows.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "PAIR_COST", pair_cost)
        patch.setattr(similarity.similar_pairs, "__defaults__", (30,))
        patch.setattr(similarity, "PAIRS_AT_A_TIME", 3)
        found = near_duplicates(texts, threshold, policy)
    assert found.tolist() == quadratic(texts, threshold, policy)


@given(texts=TEXTS, threshold=THRESHOLDS, work=st.integers(1, 200))
@settings(max_examples=100, deadline=None)
def test_the_blocks_cover_all_rows_in_order_and_name_each_pair_once(texts, threshold, work):
    try:
        rows = TfidfVectorizer().fit_transform(texts)
    except ValueError:
        return
    blocks = list(similarity.similar_pairs(rows, threshold, work))
    assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
    assert blocks[-1].stop == len(texts)
    pairs = [
        pair
        for block in blocks
        for pair in zip(block.later.tolist(), block.earlier.tolist(), strict=True)
    ]
    dense = rows.toarray()
    above = np.tril(dense @ dense.T > threshold + similarity.TIE, k=-1)
    assert sorted(pairs) == sorted(zip(*(each.tolist() for each in np.nonzero(above)), strict=True))


def test_a_chain_keeps_its_third_link_only_when_dropped_rows_do_not_count():
    base = "one two three four five six seven eight nine ten"
    texts = [base, base.replace("ten", "zehn"), base.replace("nine ten", "neun zehn")]
    similar = np.asarray(
        (lambda rows: (rows @ rows.T).toarray())(TfidfVectorizer().fit_transform(texts))
    )
    threshold = (similar[0, 2] + similar[0, 1]) / 2
    assert similar[0, 2] < threshold < min(similar[0, 1], similar[1, 2])
    assert near_duplicates(texts, threshold, "kept").tolist() == [False, True, False]
    assert near_duplicates(texts, threshold, "any").tolist() == [False, True, True]


def test_a_similarity_equal_to_the_threshold_is_not_above_it():
    # The same words in another order: similarity 1 on paper, 1.0000000000000002 in floats.
    texts = ["alpha beta gamma", "gamma alpha beta", "beta gamma alpha", "delta"]
    assert near_duplicates(texts, 1.0).tolist() == [False] * 4
    assert near_duplicates(texts, 0.999).tolist() == [False, True, True, False]


def test_texts_without_words_are_never_near_duplicates():
    assert near_duplicates(["a", "!", "a", ""], 0.0).tolist() == [False] * 4


def test_exact_duplicates_keep_the_first():
    assert exact_duplicates(["x", "X", "x", "x "]).tolist() == [False, False, True, False]


def test_planted_duplicates_are_found_across_the_whole_corpus():
    # 3,000 rows with a copy of row i, one word added, 2,000 rows later: no chunk holds both.
    random = np.random.default_rng(0)
    texts = [" ".join(f"w{word}" for word in random.integers(0, 5000, 20)) for _ in range(2500)]
    texts += [f"{text} more" for text in texts[500:1000]]
    found = near_duplicates(texts, 0.9)
    assert found[:2500].sum() == 0
    assert found[2500:].sum() == 500
