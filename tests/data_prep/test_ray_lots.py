"""The arithmetic of the cluster's steps, without a cluster."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from data_prep.duplicates import near_clusters, near_duplicates
from data_prep.ray import packing
from data_prep.ray.counting import add_up, count_terms, numbered_keys, parted, terms_of
from data_prep.ray.engine import POLICIES
from data_prep.ray.joining import Lot
from data_prep.ray.lots import Plan, Room, copies
from data_prep.ray.reading import RayBatches
from data_prep.ray.settling import ROUNDS, clusters, kept_earlier
from data_prep.ray.weighing import Selection, Vocabulary, Weighed, weigh
from data_prep.similarity import rare_terms_first
from data_prep.terms import TermCounter, tfidf

KEYS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30)
WORDS = st.lists(st.sampled_from(["red", "green", "blue", "cat", "dog", "bird"]), max_size=6)
TEXTS = st.lists(WORDS.map(" ".join), min_size=1, max_size=12)


def as_keys(pairs) -> np.ndarray:
    return np.array(pairs, dtype=np.uint64).reshape(-1, 2) << np.uint64(61)


@given(KEYS)
@settings(deadline=None, max_examples=40)
def test_keys_are_numbered_in_order_of_first_appearance(pairs):
    numbers, count = numbered_keys(as_keys(pairs))
    places = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
    assert numbers.tolist() == [places[pair] for pair in pairs]
    assert count == len(places)


@given(KEYS, st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_what_stands_with_one_key_is_added_up_whatever_the_parts(pairs, bits):
    sums = np.arange(1, len(pairs) + 1, dtype=np.int64)[:, None]
    expected = Counter()
    for pair, (value,) in zip(pairs, sums.tolist(), strict=True):
        expected[pair] += value
    table = parted(as_keys(pairs), sums, bits)
    found = {}
    for part, keys, added in zip(
        packing.numbers(table, "part"),
        packing.arrays(table, "keys", np.uint64, 2),
        packing.arrays(table, "sums", np.int64, 1),
        strict=True,
    ):
        assert (keys[:, 0] >> np.uint64(64 - bits) == part).all()
        for key, value in zip((keys >> np.uint64(61)).tolist(), added[:, 0].tolist(), strict=True):
            assert tuple(key) not in found
            found[tuple(key)] = value
    assert found == expected
    again = add_up(as_keys(pairs), sums)[0]
    assert again.tolist() == sorted(again.tolist())


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.data())
@settings(deadline=None, max_examples=40)
def test_a_selection_tells_each_chunk_its_rows(sizes, data):
    batches = RayBatches()
    for place, size in enumerate(sizes):
        batches.blocks.append(None)
        batches.add((place // 2, place % 2), 0, size, pa.schema([]))
    total = sum(sizes)
    kept = np.array(sorted(data.draw(st.sets(st.integers(0, max(0, total - 1))))), dtype=np.int64)
    kept = kept[kept < total]
    selection = Selection.of(kept, batches)
    found = []
    for place, start in enumerate(np.cumsum([0, *sizes[:-1]]).tolist()):
        rows, before = selection.within(place // 2, place % 2)
        assert before == len(found)
        found += (rows + start).tolist()
    assert found == kept.tolist()
    assert selection.within(99, 0)[0].tolist() == []


@given(TEXTS, TEXTS, st.sampled_from([0.0, 0.3, 0.9, 1.0]))
@settings(deadline=None, max_examples=30)
def test_chunks_are_weighed_as_the_whole_corpus_is(first, second, threshold):
    counter = TermCounter()
    counter.add([*first, *second])
    expected = tfidf(counter.counts())
    batches = RayBatches()
    for place, texts in enumerate((first, second)):
        batches.blocks.append(None)
        batches.add((place, 0), 0, len(texts), pa.schema([]))
    blocks = [
        packing.record(source=place, number=0, **count_terms(texts))
        for place, texts in enumerate((first, second))
    ]
    rows_of = Counter()
    for block in blocks:
        (terms,) = terms_of(block)
        for key, rows in zip(terms.keys.tolist(), np.bincount(terms.counts.indices), strict=True):
            rows_of[tuple(key)] += int(rows)
    several = sorted(key for key, rows in rows_of.items() if rows > 1)
    keys = np.array(several, dtype=np.uint64).reshape(-1, 2)
    vocabulary = Vocabulary(
        keys[:, 0].copy(),
        keys[:, 1].copy(),
        np.array([rows_of[key] for key in several], dtype=np.int64),
        len(first) + len(second),
    )
    selection = Selection.of(np.arange(vocabulary.count), batches)
    weighed = [part for block in blocks for part in weigh(block, selection, vocabulary, threshold)]
    assert [part.first for part in weighed] == [0, len(first)]
    for part in weighed:
        alike = expected[part.first : part.first + part.rows.shape[0]]
        assert np.allclose((part.rows @ part.rows.T).toarray(), (alike @ alike.T).toarray())
        # The lengths of the rests are what a row's beginning goes by: rare terms come first.
        for place in range(part.rows.shape[0]):
            own = part.rows.indices[part.rows.indptr[place] : part.rows.indptr[place + 1]]
            frequency = [vocabulary.rows[p] if p >= 0 else 1 for p in part.places[own].tolist()]
            assert frequency == sorted(frequency)
            begins = part.begins[part.rows.indptr[place] : part.rows.indptr[place + 1]]
            assert begins.tolist() == sorted(begins.tolist(), reverse=True)
            rest = part.rows.data[part.rows.indptr[place] : part.rows.indptr[place + 1]][~begins]
            assert np.sqrt((rest**2).sum()) <= threshold


@given(
    st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=25),
    st.integers(1, 8),
    st.integers(1, 40),
    st.integers(1, 5),
)
@settings(deadline=None, max_examples=30)
def test_two_rows_that_share_a_term_meet_in_a_lot_of_that_term(rows, room_rows, entries, tasks):
    """Whatever the room: terms that too many rows have are cut into segments."""
    lengths = [len(row) for row in rows]
    columns = [term for row in rows for term in sorted(row)]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    matrix = csr_matrix((np.ones(len(columns)), columns, indptr), (len(rows), 8))
    listed = np.bincount(columns, minlength=8)
    held = np.zeros(8, dtype=np.int64)
    np.add.at(held, columns, np.repeat(lengths, lengths))
    plan = Plan.of(listed, held, Room(room_rows, entries), tasks)
    weighed = Weighed(5, matrix, np.arange(8), np.ones(len(columns), dtype=bool))
    lots, owners = copies(weighed, plan)
    assert len(set(zip(lots.tolist(), owners.tolist(), strict=True))) == len(lots)
    members = {lot: set(owners[lots == lot].tolist()) for lot in np.unique(lots).tolist()}
    own = {lot: set(np.flatnonzero(plan.owners(np.arange(8), lot)).tolist()) for lot in members}
    for (one, first), (other, second) in combinations(enumerate(rows), 2):
        for term in first & second:
            assert any({one, other} <= members[lot] and term in own[lot] for lot in members)
    assert all(lot < plan.lots for lot in members)


@pytest.mark.parametrize("step", [1, 6, 64])
def test_the_rows_of_a_frequent_term_are_spread_evenly_over_its_lots(step):
    """Also where every so many rows have it, as when sources take turns."""
    count = 12_000
    plan = Plan.of(np.array([count]), np.array([count]), Room(4_000, 10**9), 1)
    assert plan.segments.tolist() == [6]
    rows = np.zeros(count * step, dtype=np.int64)
    rows[::step] = 1
    indptr = np.concatenate([[0], np.cumsum(rows)])
    matrix = csr_matrix((np.ones(count), np.zeros(count, int), indptr), (len(rows), 1))
    lots, _ = copies(Weighed(0, matrix, np.arange(1), np.ones(count, dtype=bool)), plan)
    held = np.bincount(lots)
    assert len(held) == plan.lots == 15
    assert held.sum() == 5 * count
    assert 0.9 * 4_000 < held.min() <= held.max() < 1.1 * 4_000


def test_a_term_of_a_single_row_has_no_lot():
    plan = Plan.of(np.array([1, 2]), np.array([5, 6]), Room(), 4)
    assert plan.first.tolist() == [-1, 0]
    assert plan.lots == 1


@pytest.mark.parametrize("kind", [np.float64, np.int32, np.bool_])
def test_arrays_come_back_from_cells_as_they_were(kind):
    arrays = [np.array([1, 0, 3]).astype(kind), np.empty(0, kind)]
    table = packing.records({"cell": array, "place": 7} for array in arrays)
    found = packing.arrays(table, "cell", kind)
    assert [part.tolist() for part in found] == [array.tolist() for array in arrays]
    assert packing.numbers(table, "place") == [7, 7]


class LotsHere:
    """Lots of this process: rows by the terms that they have, terms dealt out to lots."""

    def __init__(self, rows: csr_matrix, threshold: float, count: int) -> None:
        self.threshold = threshold
        self.lots = []
        for number in range(count):
            own = np.arange(rows.shape[1]) % count == number
            members = np.flatnonzero(np.diff(rows[:, own].indptr))
            if len(members) > 1:
                self.lots.append(Lot(members, rows[members], own))

    def ask(self, question, status, width=1, advance=lambda rows: None):
        found = [part for lot in self.lots for part in question(lot, status, self.threshold)]
        return np.concatenate([np.empty((0, width), np.int64), *found])


CHAINS = st.lists(
    st.lists(
        st.sampled_from(["red", "green", "blue", "cat", "dog", "bird", "fish"]),
        min_size=1,
        max_size=5,
    ),
    min_size=1,
    max_size=30,
)


@given(CHAINS, st.sampled_from([0.2, 0.5, 0.8]), st.integers(1, 3), st.integers(0, 8))
@settings(deadline=None, max_examples=50)
def test_rows_settled_in_rounds_are_those_settled_one_by_one(words, threshold, count, pinned):
    counter = TermCounter()
    counter.add([" ".join(row) for row in words])
    rows = rare_terms_first(tfidf(counter.counts()))
    always = np.arange(len(words)) < pinned
    lots = LotsHere(rows, threshold, count)
    silent = [].append
    for policy, settle in POLICIES.items():
        expected = near_duplicates(rows, threshold, policy, pinned=always)
        assert settle(lots, len(words), always, silent).tolist() == expected.tolist()
    assert clusters(lots, len(words)).tolist() == near_clusters(rows, threshold).tolist()


def test_a_chain_longer_than_the_rounds_is_settled_pair_by_pair():
    """Row i is similar to the rows beside it only: every second one stays."""
    count = 4 * ROUNDS + 5
    words = np.zeros((count, count + 1))
    words[np.arange(count), np.arange(count)] = words[np.arange(count), np.arange(count) + 1] = 1
    rows = rare_terms_first(csr_matrix(words / np.sqrt(2)))
    marks = kept_earlier(LotsHere(rows, 0.4, 2), count, np.zeros(count, dtype=bool), [].append)
    assert marks.tolist() == [place % 2 == 1 for place in range(count)]
