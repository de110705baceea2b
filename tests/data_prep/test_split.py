"""Splitting rows: shares, classes, folds, and nothing that depends on the input order."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_prep.splitting import SPLITTERS, SplitRequest, assign_folds, split_rows
from hfpipe.errors import UserError
from tests.data_prep.splits import (
    SIZES,
    check_partition,
    grouped_rows,
    permuted,
    request_of,
    sizes_of,
)

COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(3, 60), min_size=2)


def labels_of(counts: dict[str, int], seed: int = 0) -> list[str]:
    """Labels in a random order."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    random.Random(seed).shuffle(labels)
    return labels


def test_the_ways_are_the_modules_of_the_folder():
    assert sorted(SPLITTERS) == [
        "given",
        "group",
        "random",
        "stratified",
        "stratified_group",
        "time",
    ]


@pytest.mark.parametrize(
    ("way", "small", "large"),
    [
        ("stratified", "0001000020100001210222000100001200001000", "69890e62f5372d07"),
        ("random", "0110000020100000210022000200002100001000", "8c185ccd0fc1ce79"),
    ],
)
def test_splits_are_those_of_earlier_versions(way, small, large):
    labels = ["abacabad"[i % 8] for i in range(40)]
    ids = [f"row{i:02d}" for i in range(40)]
    found = split_rows(way, request_of(labels, (0.7, 0.15, 0.15), 42, ids)).splits
    assert "".join(map(str, found)) == small
    drawn = random.Random(5)
    labels = [drawn.choice("aaaaabbbcccddez") for _ in range(5000)]
    ids = [f"{i:x}-é{i % 7}" for i in range(5000)]
    found = split_rows(way, request_of(labels, (0.8, 0.1, 0.1), 7, ids)).splits
    assert sha256("".join(map(str, found)).encode()).hexdigest()[:16] == large


@given(counts=COUNTS, sizes=SIZES, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_stratified_split_gives_every_class_its_share(counts, sizes, seed):
    labels = labels_of(counts)
    splits = split_rows("stratified", request_of(labels, sizes, seed)).splits
    cells = Counter(zip(labels, splits.tolist(), strict=True))
    raised = 0
    for label, count in counts.items():
        exact = [count * size for size in sizes]
        found = [cells[label, split] for split in range(3)]
        assert sum(found) == count
        assert min(found) >= 1
        if min(exact) >= 1:
            assert all(abs(each - want) < 1 for each, want in zip(found, exact, strict=True))
        raised += sum(want < 1 for want in exact)
    for split, size in enumerate(sizes):
        assert abs(sizes_of(splits)[split] - len(labels) * size) <= 2 + raised


@pytest.mark.parametrize("way", sorted(SPLITTERS))
@given(
    rows=grouped_rows(),
    seed=st.integers(0, 9),
    with_units=st.booleans(),
    with_pins=st.booleans(),
    data=st.data(),
)
@settings(max_examples=20, deadline=None)
def test_a_split_does_not_depend_on_the_input_order(way, rows, seed, with_units, with_pins, data):
    labels, units = rows
    draws = data.draw(st.randoms(use_true_random=False))
    count = len(labels)
    request = request_of(
        labels,
        (0.6, 0.2, 0.2),
        seed,
        units=units if with_units else None,
        times=[draws.randint(0, 30) for _ in range(count)],
        gap=draws.choice([0, 2]),
        given=[draws.choice(["train", "val", "test"]) for _ in range(count)],
        pinned=[draws.choice([-1, -1, -1, 0, 1, 2]) for _ in range(count)] if with_pins else None,
    )
    order = draws.sample(range(count), count)
    outcomes = []
    for each, places in ((request, range(count)), (permuted(request, order), order)):
        try:
            assignment = split_rows(way, each)
        except UserError as error:
            outcomes.append(str(error))
            continue
        check_partition(assignment, count)
        reasons = {at: why for why, ats in assignment.dropped.items() for at in ats.tolist()}
        found = [(int(s), reasons.get(i)) for i, s in enumerate(assignment.splits)]
        outcomes.append(dict(sorted(zip(places, found, strict=True))))
    assert outcomes[0] == outcomes[1]


def test_a_random_split_has_the_sizes_and_another_seed_gives_another_split():
    labels = labels_of({"a": 500, "b": 500})
    first, second = (
        split_rows("random", request_of(labels, (0.7, 0.15, 0.15), seed)).splits for seed in (1, 2)
    )
    assert sizes_of(first) == [700, 150, 150]
    assert 0.3 < np.mean(first != second) < 0.6  # 1 - 0.7² - 2 * 0.15² = 0.465


def test_rows_already_there_mostly_keep_their_split_when_rows_are_added():
    labels = labels_of({"a": 500, "b": 500})
    ids = [f"row{i:04d}" for i in range(1000)]
    before = split_rows("stratified", request_of(labels, ids=ids)).splits
    more = [f"new{i}" for i in range(20)]
    after = split_rows("stratified", request_of([*labels, *"a" * 20], ids=[*ids, *more])).splits
    assert np.mean(before == after[:1000]) > 0.97


def test_rows_without_classes_are_split_at_the_shares():
    request = request_of([None] * 200, (0.7, 0.2, 0.1))
    for way in ("stratified", "random"):
        assert sizes_of(split_rows(way, request).splits) == [140, 40, 20]


def test_shares_that_sum_to_one_only_nearly_still_place_every_row():
    labels = (np.arange(3_000_000) % 2).astype(np.int32)
    request = SplitRequest(np.arange(3_000_000), labels, ["a", "b"], (0.8, 0.1, 0.1000009))
    splits = split_rows("stratified", request).splits
    assert np.bincount(splits).tolist() == [2_399_998, 300_000, 300_002]


@given(counts=COUNTS, seed=st.integers(0, 9), held=st.integers(0, 10), data=st.data())
@settings(max_examples=30, deadline=None)
def test_rows_of_an_earlier_version_stay_and_new_rows_fill_the_shares_of_the_whole(
    counts, seed, held, data
):
    labels = labels_of(counts)
    sizes = (0.6, 0.2, 0.2)
    fresh = split_rows("stratified", request_of(labels, sizes, seed)).splits
    draws = data.draw(st.randoms(use_true_random=False))
    pinned = [int(split) if draws.randint(0, 9) < held else -1 for split in fresh]
    splits = split_rows("stratified", request_of(labels, sizes, seed + 1, pinned=pinned)).splits
    assert all(split == pin for split, pin in zip(splits.tolist(), pinned, strict=True) if pin >= 0)
    for label, count in counts.items():
        mine = [s for s, each in zip(splits.tolist(), labels, strict=True) if each == label]
        for split, size in enumerate(sizes):
            assert abs(mine.count(split) - count * size) < 3
            assert mine.count(split) >= 1


def test_new_rows_go_to_the_splits_that_lack_rows():
    pinned = [0] * 100 + [-1] * 100
    for way in ("stratified", "random"):
        request = request_of(["a", "b"] * 100, (0.5, 0.25, 0.25), pinned=pinned)
        splits = split_rows(way, request).splits
        assert sizes_of(splits) == [100, 50, 50]
        assert sizes_of(splits[:100]) == [100, 0, 0]


@given(counts=COUNTS, folds=st.integers(2, 6), seed=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_folds_hold_every_row_once_and_each_class_evenly(counts, folds, seed):
    labels = labels_of(counts)
    request = request_of(labels, seed=seed)
    inside = np.arange(len(labels)) % 7 != 0
    held = Counter(np.array(labels)[inside].tolist())
    assume(min(held[label] for label in counts) > 1)
    found = assign_folds(request, inside, folds)
    assert found.dtype == np.int16
    assert np.array_equal(found >= 0, inside)
    assert max(sizes_of(found, folds)) - min(sizes_of(found, folds)) <= 2
    for label in counts:
        mine = [fold for fold, each in zip(found.tolist(), labels, strict=True) if each == label]
        shares = [mine.count(fold) for fold in range(folds)]
        assert max(shares) - min(shares) <= 1
    order = random.Random(seed).sample(range(len(labels)), len(labels))
    again = assign_folds(permuted(request, order), inside[order], folds)
    assert np.array_equal(again, found[order])


def test_folds_of_rows_without_classes_are_equally_large():
    request = request_of([None] * 103)
    found = assign_folds(request, np.ones(103, dtype=bool), 5)
    assert sorted(sizes_of(found, 5)) == [20, 20, 21, 21, 21]


def test_given_splits_are_taken_as_they_are_also_where_they_cut_a_unit():
    names = ["train", "Dev", " TEST "] * 20
    request = request_of(["a", "b"] * 30, given=names, units=[i // 3 for i in range(60)])
    assert split_rows("given", request).splits.tolist() == [0, 1, 2] * 20


def test_validation_is_drawn_from_train_by_class_where_none_is_given():
    labels = labels_of({"a": 300, "b": 90})
    names = ["test" if i % 3 == 0 else "train" for i in range(390)]
    request = request_of(labels, (0.72, 0.08, 0.2), given=names)
    splits = split_rows("given", request).splits
    assert [split == 2 for split in splits.tolist()] == [name == "test" for name in names]
    assert sizes_of(splits) == [234, 26, 130]
    drawn = Counter(each for each, s in zip(labels, splits.tolist(), strict=True) if s == 1)
    assert abs(drawn["a"] - 20) <= 2
    whole = split_rows("given", replace(request, units=np.arange(390) // 13)).splits
    train = np.array(names) == "train"
    homes = {(i // 13, int(whole[i])) for i in np.flatnonzero(train).tolist()}
    assert len(homes) == 30
    assert sizes_of(whole)[2] == 130
    assert 17 <= sizes_of(whole)[1] <= 35  # units have 8 or 9 train rows


def test_a_row_of_an_earlier_version_needs_no_given_split():
    names = [None] * 30 + ["train", "validation", "test"] * 10
    request = request_of(["a", "b"] * 30, given=names, pinned=[2] * 30 + [-1] * 30)
    assert sizes_of(split_rows("given", request).splits) == [10, 10, 40]


REFUSED = {
    "class too small": (
        "stratified",
        {"labels": [*"aaaabbbb", *"cc"]},
        ("class 'c' has 2 rows", "--min-count 3", "--drop-labels 'c'"),
    ),
    "several classes too small": (
        "stratified",
        {"labels": [*"aaaa", *"dcc"]},
        ("class 'c' has 2 rows (and 1 more such classes)",),
    ),
    "empty split": ("random", {"labels": [*"abab"]}, ("'test' would be empty", "4 rows")),
    "no rows": ("random", {"labels": []}, ("'train' would be empty", "0 rows")),
    "class without a train row": (
        "random",
        {"labels": [*"aaaaaaaaab"], "sizes": (0.2, 0.4, 0.4)},
        ("class 'b' has no train row", "--split stratified", "--drop-labels 'b'"),
    ),
    "unknown given split": (
        "given",
        {"labels": [*"abab"], "given": ["train", "tset", "tset", "test"]},
        ("--split-column: 2 rows say 'tset'; did you mean 'test'?",),
    ),
    "several unknown given splits": (
        "given",
        {"labels": [*"ababa"], "given": ["train", "b", "a", None, " "]},
        ("--split-column: 1 row says 'a'; there is 'train', 'validation', 'test'",),
    ),
    "rows without a given split": (
        "given",
        {
            "labels": [*"abab"],
            "given": ["train", None, None, "test"],
            "given_from": "--splits-file",
        },
        ("--splits-file: 2 rows have no split", "train, validation or test"),
    ),
    "no given test row": (
        "given",
        {"labels": [*"abab"], "given": ["train", "val", "train", "val"]},
        ("split 'test' would be empty: --split-column gives no row to it",),
    ),
    "given train too small to draw validation from": (
        "given",
        {"labels": [*"aaabaaab"], "given": ["train"] * 5 + ["test"] * 3},
        ("class 'b' has 1 row", "--min-count 2"),
    ),
    "no groups": ("group", {"labels": [*"abab"]}, ("--split group", "--group-by COL")),
    "no groups to stratify": ("stratified_group", {"labels": [*"abab"]}, ("--group-by COL",)),
    "no times": ("time", {"labels": [*"abab"]}, ("--time-column COL",)),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_cannot_be_split_is_said_in_one_line(case):
    way, rows, said = REFUSED[case]
    with pytest.raises(UserError) as refused:
        split_rows(way, request_of(**rows))
    assert all(part in str(refused.value) for part in said), str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("labels", "folds", "said"),
    [
        ("aabb", 1, "--folds 1: two or more"),
        ("aabb", 5, "there are 4 rows, fewer than folds"),
        ("aaaab", 2, "class 'b' has all its rows in one fold"),
    ],
)
def test_folds_that_cannot_be_are_refused(labels, folds, said):
    with pytest.raises(UserError) as refused:
        assign_folds(request_of([*labels]), np.ones(len(labels), dtype=bool), folds)
    assert said in str(refused.value)
