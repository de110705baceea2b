"""Balancing and splitting: invariants over many shapes of data."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.balancing import rare_rows, rows_over_cap
from data_prep.splitting import SPLITS, SplitRequest, split_rows
from hfpipe.errors import UserError

COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(3, 60), min_size=2)
SIZES = st.tuples(st.integers(5, 90), st.integers(5, 40), st.integers(5, 40)).map(
    lambda parts: [part / sum(parts) for part in parts]
)


def rows_of(counts: dict[str, int], seed: int = 0) -> tuple[list[str], list[str]]:
    """Ids and labels in a random order."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    random.Random(seed).shuffle(labels)
    return [f"row{i:04d}" for i in range(len(labels))], labels


@given(counts=COUNTS, sizes=SIZES, seed=st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_a_stratified_split_gives_every_class_its_share(counts, sizes, seed):
    row_ids, labels = rows_of(counts)
    names = split_rows("stratified", SplitRequest(row_ids, labels, sizes, seed))
    cells = Counter(zip(labels, names, strict=True))
    raised = 0
    for label, count in counts.items():
        exact = [count * size for size in sizes]
        found = [cells[label, split] for split in SPLITS]
        assert sum(found) == count
        assert min(found) >= 1
        if min(exact) >= 1:
            assert all(abs(each - want) < 1 for each, want in zip(found, exact, strict=True))
        raised += sum(want < 1 for want in exact)
    for split, size in zip(SPLITS, sizes, strict=True):
        assert abs(Counter(names)[split] - len(labels) * size) <= 2 + raised


@pytest.mark.parametrize("way", ["stratified", "random"])
@given(counts=COUNTS, seed=st.integers(0, 99), shuffle=st.integers(1, 99))
@settings(max_examples=60, deadline=None)
def test_a_split_does_not_depend_on_the_input_order(way, counts, seed, shuffle):
    row_ids, labels = rows_of(counts)
    order = random.Random(shuffle).sample(range(len(labels)), len(labels))
    request = SplitRequest(row_ids, labels, [0.8, 0.1, 0.1], seed)
    shuffled = SplitRequest(
        [row_ids[i] for i in order], [labels[i] for i in order], [0.8, 0.1, 0.1], seed
    )
    outcomes = []
    for each in (request, shuffled):
        try:
            outcomes.append(dict(zip(each.row_ids, split_rows(way, each), strict=True)))
        except UserError as error:  # a random split may leave a class without a train row
            outcomes.append({"refused": str(error)})
    assert outcomes[0] == outcomes[1]


def test_a_random_split_has_the_sizes_and_another_seed_gives_another_split():
    row_ids, labels = rows_of({"a": 500, "b": 500})
    splits = {
        seed: split_rows("random", SplitRequest(row_ids, labels, [0.7, 0.15, 0.15], seed))
        for seed in (1, 2)
    }
    assert Counter(splits[1]) == {"train": 700, "validation": 150, "test": 150}
    assert 0.3 < np.mean(splits[1] != splits[2]) < 0.6  # 1 - 0.7² - 2 * 0.15² = 0.465


def test_rows_already_there_mostly_keep_their_split_when_rows_are_added():
    row_ids, labels = rows_of({"a": 500, "b": 500})
    before = split_rows("stratified", SplitRequest(row_ids, labels, [0.8, 0.1, 0.1], 42))
    more = [f"new{i}" for i in range(20)]
    after = split_rows(
        "stratified", SplitRequest(row_ids + more, labels + ["a"] * 20, [0.8, 0.1, 0.1], 42)
    )
    assert np.mean(before == after[:1000]) > 0.97


@given(counts=COUNTS, ratio=st.floats(1, 5), seed=st.integers(0, 99), shuffle=st.integers(1, 99))
@settings(max_examples=100, deadline=None)
def test_the_cap_cuts_large_classes_to_it_and_no_other(counts, ratio, seed, shuffle):
    row_ids, labels = rows_of(counts)
    over = rows_over_cap(labels, row_ids, ratio, seed)
    left = Counter(labels) - Counter(labels[i] for i in over)
    cap = int(ratio * min(counts.values()) + 1e-9)
    assert left == {label: min(count, cap) for label, count in counts.items()}
    order = random.Random(shuffle).sample(range(len(labels)), len(labels))
    again = rows_over_cap([labels[i] for i in order], [row_ids[i] for i in order], ratio, seed)
    assert {row_ids[i] for i in over} == {row_ids[order[i]] for i in again}


def test_a_minimum_count_takes_out_the_classes_below_it():
    labels = ["a"] * 5 + ["b"] * 4 + ["c"]
    assert rare_rows(labels, 5).tolist() == [5, 6, 7, 8, 9]
    assert rare_rows(labels, 0).tolist() == []


def test_given_splits_are_taken_as_they_are():
    row_ids, labels = rows_of({"a": 30, "b": 30})
    given_names = ["train", "Dev", "test"] * 20
    names = split_rows(
        "given", SplitRequest(row_ids, labels, [0.8, 0.1, 0.1], 42, given=given_names)
    )
    assert names.tolist() == ["train", "validation", "test"] * 20


def test_validation_is_drawn_from_train_by_class_where_the_column_names_none():
    row_ids, labels = rows_of({"a": 300, "b": 90})
    given_names = ["test" if i % 3 == 0 else "train" for i in range(390)]
    request = SplitRequest(row_ids, labels, [0.72, 0.08, 0.2], 42, given=given_names)
    names = split_rows("given", request)
    assert [name == "test" for name in names] == [name == "test" for name in given_names]
    assert Counter(names) == {"train": 234, "validation": 26, "test": 130}
    share = Counter(
        label for label, name in zip(labels, names, strict=True) if name == "validation"
    )
    assert abs(share["a"] - 20) <= 2
