"""Near-duplicates: the fast join gives what comparing every row with every row gives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import TfidfVectorizer

from data_prep import duplicates, similarity
from data_prep._jit import thread_count
from data_prep.duplicates import (
    exact_duplicates,
    near_clusters,
    near_duplicates,
    nearest_above,
    text_keys,
)
from data_prep.similarity import TIE
from data_prep.terms import TermCounter, tfidf

# Few words, so that texts overlap in every degree; one- and two-letter ones, which the vectorizer
# partly ignores; some without any word.
WORDS = st.sampled_from(["a", "of", "the", "cat", "dog", "red", "blue", "green", "house", "tree"])
TEXTS = st.lists(st.lists(WORDS, max_size=7).map(" ".join), min_size=1, max_size=40)
THRESHOLDS = st.one_of(
    st.sampled_from([0.0, 0.2, 0.5, 0.8, 0.9, 1.0]), st.floats(min_value=0, max_value=1)
)
EXAMPLES = settings(max_examples=40, deadline=None, derandomize=True)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of a few rows and pairs, so that a few texts fill several."""
    for module in (duplicates, similarity):
        monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    monkeypatch.setattr(similarity, "BLOCK_PAIRS", 5)
    monkeypatch.setattr(similarity, "CHUNK", 2)


def weighted(texts: list[str]) -> csr_matrix:
    counter = TermCounter()
    counter.add(texts)
    return tfidf(counter.counts())


def dense_similarity(texts: list[str]) -> np.ndarray:
    """Every row times every row, from scikit-learn's weights."""
    try:
        dense = TfidfVectorizer().fit_transform(texts).toarray()
    except ValueError:  # no words at all
        return np.zeros((len(texts), len(texts)))
    return dense @ dense.T


def quadratic(
    texts: list[str], threshold: float, policy: str, pinned: Sequence[int] = ()
) -> list[bool]:
    """The definition, word for word: every row against every earlier one."""
    similar = dense_similarity(texts) > threshold + TIE
    marks: list[bool] = []
    for later in range(len(texts)):
        earlier = [row for row in range(later) if policy == "any" or not marks[row]]
        marks.append(later not in pinned and bool(similar[later, earlier].any()))
    return marks


@given(texts=TEXTS, threshold=THRESHOLDS, policy=st.sampled_from(["kept", "any"]))
@EXAMPLES
def test_the_join_gives_what_the_definition_gives(texts, threshold, policy):
    told: list[int] = []
    found = near_duplicates(weighted(texts), threshold, policy, told.append)
    assert found.tolist() == quadratic(texts, threshold, policy)
    assert sum(told) == len(texts)
    assert max(told) <= 7
    assert len(told) >= len(texts) / 7


@given(texts=TEXTS, threshold=THRESHOLDS, policy=st.sampled_from(["kept", "any"]), data=st.data())
@EXAMPLES
def test_pinned_rows_stay_and_others_are_compared_with_them(texts, threshold, policy, data):
    pinned = np.array(data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))))
    told: list[int] = []
    found = near_duplicates(weighted(texts), threshold, policy, told.append, pinned)
    assert found.tolist() == quadratic(texts, threshold, policy, np.flatnonzero(pinned).tolist())
    assert sum(told) == len(texts)


@given(texts=TEXTS, threshold=THRESHOLDS)
@EXAMPLES
def test_clusters_are_the_connected_components_of_the_pairs_above_the_threshold(texts, threshold):
    _, parts = connected_components(csr_matrix(dense_similarity(texts) > threshold + TIE))
    first = [parts.tolist().index(part) for part in parts]
    found = near_clusters(weighted(texts), threshold)
    assert found.dtype == np.int64
    assert found.tolist() == first


@given(texts=TEXTS, threshold=THRESHOLDS, data=st.data())
@EXAMPLES
def test_the_nearest_row_is_the_earliest_of_the_most_similar_ones(texts, threshold, data):
    positions = st.lists(st.integers(0, len(texts) - 1), max_size=30)
    queries, others = data.draw(positions), data.draw(positions)
    nearest, best = nearest_above(
        weighted(texts), np.array(queries, int), np.array(others, int), threshold
    )
    dense = dense_similarity(texts)
    for query, found, most in zip(queries, nearest.tolist(), best.tolist(), strict=True):
        pool = [row for row in sorted(set(others)) if row != query]
        above = [row for row in pool if dense[query, row] > threshold + TIE]
        top = max((dense[query, row] for row in above), default=0.0)
        tied = [row for row in above if dense[query, row] >= top - TIE]
        assert found == (tied[0] if tied else -1)
        assert most == pytest.approx(top, abs=1e-9)


@given(texts=TEXTS, threshold=THRESHOLDS)
@EXAMPLES
def test_the_blocks_cover_all_rows_in_order_and_name_each_pair_once(texts, threshold):
    blocks = list(similarity.similar_pairs(weighted(texts), threshold))
    assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
    assert blocks[-1].stop == len(texts)
    pairs = {}
    for block in blocks:
        assert len(block.later) <= len(texts) + 5
        assert ((block.start <= block.later) & (block.later < block.stop)).all()
        assert (np.diff(block.later) >= 0).all()
        pairs |= dict(
            zip(
                zip(block.later.tolist(), block.earlier.tolist(), strict=True),
                block.similarity.tolist(),
                strict=True,
            )
        )
    dense = dense_similarity(texts)
    above = np.argwhere(np.tril(dense > threshold + TIE, k=-1)).tolist()
    assert sum(len(block.later) for block in blocks) == len(above)
    assert sorted(pairs) == [tuple(pair) for pair in above]
    assert all(abs(dense[pair] - similar) < 1e-9 for pair, similar in pairs.items())


@pytest.mark.parametrize("policy", ["kept", "any"])
def test_the_number_of_threads_changes_nothing(monkeypatch, policy):
    random = np.random.default_rng(0)
    words = ["red", "cat", "dog", "owl", "fox", "hen", "cow", "bee"]
    rows = weighted([" ".join(random.choice(words, 6)) for _ in range(300)])
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
        found.append(
            (
                near_duplicates(rows, 0.9, policy).tolist(),
                near_clusters(rows, 0.9).tolist(),
                [part.tolist() for part in nearest_above(rows, np.arange(300), np.arange(300), 0)],
                [block.earlier.tolist() for block in similarity.similar_pairs(rows, 0.9)],
            )
        )
    assert found[0] == found[1]
    assert 10 < sum(found[0][0]) < 290


def test_threads_are_no_more_than_the_environment_says(monkeypatch):
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    cores = thread_count()
    assert 1 <= cores <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert thread_count() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1000")
    assert thread_count() == cores


def test_a_chain_keeps_its_third_link_only_when_dropped_rows_do_not_count():
    base = "one two three four five six seven eight nine ten"
    texts = [base, base.replace("ten", "zehn"), base.replace("nine ten", "neun zehn")]
    similar = dense_similarity(texts)
    threshold = (similar[0, 2] + similar[0, 1]) / 2
    assert similar[0, 2] < threshold < min(similar[0, 1], similar[1, 2])
    rows = weighted(texts)
    assert near_duplicates(rows, threshold, "kept").tolist() == [False, True, False]
    assert near_duplicates(rows, threshold, "any").tolist() == [False, True, True]
    assert near_clusters(rows, threshold).tolist() == [0, 0, 0]


def test_a_similarity_equal_to_the_threshold_is_not_above_it():
    # The same words in another order: similarity 1 on paper, 1.0000000000000002 in floats.
    rows = weighted(["alpha beta gamma", "gamma alpha beta", "beta gamma alpha", "delta"])
    assert near_duplicates(rows, 1.0).tolist() == [False] * 4
    assert near_duplicates(rows, 0.999).tolist() == [False, True, True, False]
    assert near_clusters(rows, 1.0).tolist() == [0, 1, 2, 3]
    nearest, best = nearest_above(rows, np.arange(4), np.arange(4), 0.999)
    assert nearest.tolist() == [1, 0, 0, -1]
    assert best.round(9).tolist() == [1, 1, 1, 0]


def test_texts_without_words_are_never_near_duplicates():
    rows = weighted(["a", "!", "a", ""])
    assert near_duplicates(rows, 0.0).tolist() == [False] * 4
    assert near_clusters(rows, 0.0).tolist() == [0, 1, 2, 3]


def test_no_rows_give_no_marks():
    none = np.array([], dtype=np.int64)
    rows = weighted([])
    assert near_duplicates(rows, 0.5).tolist() == []
    assert near_clusters(rows, 0.5).tolist() == []
    assert [part.tolist() for part in nearest_above(rows, none, none, 0.5)] == [[], []]


def test_columns_may_stand_in_any_order():
    texts = ["a small red cat sat", "one blue dog ran", "a small red cat lay", "red cat sat small"]
    rows = TfidfVectorizer().fit_transform(texts).tocsr()
    for threshold in (0.3, 0.5, 0.8):
        assert near_duplicates(rows, threshold).tolist() == quadratic(texts, threshold, "kept")


def test_planted_duplicates_are_found_across_the_whole_corpus(monkeypatch):
    # 3,000 rows with a copy of row i, one word added, 2,000 rows later: no chunk holds both.
    monkeypatch.undo()
    random = np.random.default_rng(0)
    texts = [" ".join(f"w{word}" for word in random.integers(0, 5000, 20)) for _ in range(2500)]
    texts += [f"{text} more" for text in texts[500:1000]]
    rows = weighted(texts)
    assert np.flatnonzero(near_duplicates(rows, 0.9)).tolist() == list(range(2500, 3000))
    expected = np.r_[np.arange(2500), np.arange(500, 1000)]
    assert near_clusters(rows, 0.9).tolist() == expected.tolist()
    nearest, best = nearest_above(rows, np.arange(2500, 3000), np.arange(2500), 0.9)
    assert nearest.tolist() == list(range(500, 1000))
    assert best.min() > 0.9


def test_exact_duplicates_keep_the_first():
    texts = ["x", "X", "x", "x ", "X", "x"]
    assert exact_duplicates(text_keys(texts)).tolist() == [False, False, True, False, True, True]
    assert exact_duplicates(text_keys([])).tolist() == []


@given(texts=st.lists(st.text(st.sampled_from("ab\ud800é"), max_size=3), max_size=60))
@EXAMPLES
def test_keys_are_equal_where_texts_are(texts):
    keys = text_keys(texts)
    assert keys.shape == (len(texts), 2)
    assert keys.dtype == np.uint64
    found = exact_duplicates(keys)
    assert found.tolist() == [text in texts[:place] for place, text in enumerate(texts)]


def test_what_cannot_be_remembered_on_disk_is_compiled_all_the_same():
    # As in a read-only installation without a home: numba finds no place for its cache.
    code = (
        "import numpy as np; from data_prep import _term_loops as loops; "
        "values = np.array([3.0, 4.0]); loops.normalise(np.array([0, 2]), values); "
        "print(values.tolist(), loops.normalise.stats.cache_path)"
    )
    environment = os.environ | {"NUMBA_CACHE_LOCATOR_CLASSES": "IPythonCacheLocator"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "[0.6, 0.8] None\n"
    assert run.stderr == ""
