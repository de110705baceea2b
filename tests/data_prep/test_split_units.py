"""Splitting by groups and clusters: no unit on two sides, shares as near as units allow."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_prep.splitting import SplitRequest, assign_folds, split_rows
from hfpipe.errors import UserError
from tests.data_prep.splits import (
    SIZES,
    check_partition,
    grouped_rows,
    request_of,
    sizes_of,
    straddling,
)

WAYS = ("stratified", "random", "group", "stratified_group")


def skewed_groups(rows: int, groups: int, seed: int) -> tuple[list[str], list[int]]:
    """Groups of very different sizes, each with its own share of the positive class."""
    draw = np.random.default_rng(seed)
    weights = np.arange(1, groups + 1) ** -0.6
    units = draw.choice(groups, rows, p=weights / weights.sum())
    positive = draw.random(rows) < draw.beta(0.3, 3, groups)[units]
    return ["yes" if each else "no" for each in positive], units.tolist()


def deviation(labels: list[str], splits: np.ndarray, sizes: list[float]) -> float:
    """Chi-square of rows by split and class against what was asked, rows of all classes too."""
    total = 0.0
    for wanted in (*sorted(set(labels)), None):
        marks = np.array([wanted is None or label == wanted for label in labels])
        for split, size in enumerate(sizes):
            want = marks.sum() * size
            total += (np.sum(splits[marks] == split) - want) ** 2 / want
    return total


@pytest.mark.parametrize("way", WAYS)
@given(rows=grouped_rows(), sizes=SIZES, seed=st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_no_unit_straddles_and_sizes_are_within_one_unit(way, rows, sizes, seed):
    labels, units = rows
    request = request_of(labels, sizes, seed, units=units, group_name="author")
    try:
        assignment = split_rows(way, request)
    except UserError:
        assume(False)
    check_partition(assignment, len(labels))
    assert straddling(np.array(units), assignment.splits) == []
    if way in ("random", "group"):
        largest = max(units.count(unit) for unit in units)
        for found, size in zip(sizes_of(assignment.splits), sizes, strict=True):
            assert abs(found - len(units) * size) <= largest + 0.5


@given(
    shapes=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=6, max_size=8),
    seed=st.integers(0, 9),
)
# The best split of all is out of reach in general: on these cases, always the same ones, the
# distance to it is known (of 1,467 random ones 47 % were the best, 99 % within 2.7 of it).
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_stratified_group_split_is_near_the_best_there_is(shapes, seed):
    labels, units = [], []
    for unit, (many, few) in enumerate(shapes):
        labels += ["a"] * many + ["b"] * few
        units += [unit] * (many + few)
    assume("b" in labels)
    sizes = [0.5, 0.25, 0.25]
    request = request_of(labels, sizes, seed, units=units, group_name="author")
    try:
        found = split_rows("stratified_group", request).splits
    except UserError:
        assume(False)
    homes = np.array(list(itertools.product(range(3), repeat=len(shapes))))
    counts = np.array([(many, few, many + few) for many, few in shapes])  # (units, classes)
    placed = (homes[:, :, None] == np.arange(3)).transpose(0, 2, 1) @ counts
    placed = placed[placed.all(axis=(1, 2))]  # no split without a class
    wanted = np.outer(sizes, counts.sum(axis=0))
    best = ((placed - wanted) ** 2 / wanted).sum(axis=(1, 2)).min()
    assert best - 1e-9 <= deviation(labels, found, sizes) <= best + 3


def test_single_rows_make_up_the_exact_shares_of_each_class():
    # 34 clusters of 2 to 6 rows of one or both classes beside more than 800 single rows.
    draws = random.Random(3)
    labels = [draws.choice("aaab") for _ in range(1000)]
    units = list(range(1000))
    for start in range(0, 200, 6):
        for at in range(start, start + draws.randint(2, 6)):
            units[at] = start
    for way in ("stratified", "stratified_group"):
        splits = split_rows(way, request_of(labels, units=units)).splits
        assert straddling(np.array(units), splits) == []
        for label in "ab":
            marks = np.array([each == label for each in labels])
            for split, size in enumerate((0.8, 0.1, 0.1)):
                assert abs(np.sum(splits[marks] == split) - marks.sum() * size) < 1
    splits = split_rows("group", request_of(labels, units=units)).splits
    assert sizes_of(splits) == [800, 100, 100]


@pytest.mark.parametrize("seed", range(3))
def test_groups_of_skewed_sizes_get_the_shares_of_rows_and_classes(seed):
    labels, units = skewed_groups(5000, 300, seed)
    request = request_of(labels, (0.7, 0.15, 0.15), seed, units=units, group_name="author")
    splits = split_rows("stratified_group", request).splits
    assert straddling(np.array(units), splits) == []
    assert all(abs(np.mean(splits == s) - p) < 0.002 for s, p in enumerate((0.7, 0.15, 0.15)))
    yes = np.array(labels) == "yes"
    rates = [yes[splits == split].mean() for split in range(3)]
    assert max(rates) - min(rates) < 0.005
    # By group alone the sizes hold and the classes do not.
    alone = split_rows("group", request).splits
    assert all(abs(np.mean(alone == s) - p) < 0.002 for s, p in enumerate((0.7, 0.15, 0.15)))
    spread = np.ptp([yes[alone == split].mean() for split in range(3)])
    assert spread > max(rates) - min(rates)


def test_group_folds_are_as_even_as_those_of_scikit_learn():
    from sklearn.model_selection import StratifiedGroupKFold

    labels, units = skewed_groups(4000, 250, 1)
    request = request_of(labels, units=units, group_name="author")
    found = assign_folds(request, np.ones(4000, dtype=bool), 5)
    assert straddling(np.array(units), found) == []
    theirs = np.empty(4000, dtype=int)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    for fold, (_, held) in enumerate(folds.split(labels, labels, units)):
        theirs[held] = fold
    even = [0.2] * 5
    assert deviation(labels, found, even) <= deviation(labels, theirs, even)
    assert max(sizes_of(found, 5)) - min(sizes_of(found, 5)) <= 10


def test_another_seed_gives_another_group_split():
    labels, units = skewed_groups(5000, 300, 0)
    for way in ("group", "stratified_group"):
        first, second = (
            split_rows(way, request_of(labels, seed=seed, units=units)).splits for seed in (1, 2)
        )
        assert np.mean(first != second) > 0.1


def test_no_split_is_left_without_a_group_or_without_a_class():
    # Five groups of 100 rows at 0.8, 0.1, 0.1: the second and third split hold twice their share.
    units = [i // 100 for i in range(500)]
    splits = split_rows("group", request_of(["a", "b"] * 250, units=units)).splits
    assert sizes_of(splits) == [300, 100, 100]
    # Class c is in three groups, of which the shares alone would put all in train.
    labels = ["a", "b"] * 250
    for at in (0, 110, 220):
        labels[at] = "c"
    splits = split_rows("stratified_group", request_of(labels, units=units)).splits
    assert sorted(splits[[0, 110, 220]].tolist()) == [0, 1, 2]


@pytest.mark.parametrize("way", WAYS)
@given(rows=grouped_rows(), seed=st.integers(0, 9), data=st.data())
@settings(max_examples=20, deadline=None)
def test_a_unit_follows_its_rows_of_an_earlier_version(way, rows, seed, data):
    labels, units = rows
    draws = data.draw(st.randoms(use_true_random=False))
    pinned = [draws.choice([-1, -1, -1, -1, 0, 1, 2]) for _ in labels]
    request = request_of(labels, (0.5, 0.25, 0.25), seed, units=units, pinned=pinned)
    try:
        splits = split_rows(way, request).splits.tolist()
    except UserError:
        assume(False)
    homes: dict[int, int] = {}
    for unit, pin in zip(units, pinned, strict=True):
        if pin >= 0:
            homes[unit] = min(pin, homes.get(unit, 9))
    free: dict[int, set[int]] = {}
    for unit, pin, split in zip(units, pinned, splits, strict=True):
        assert split == pin if pin >= 0 else split == homes.get(unit, split)
        if pin < 0:
            free.setdefault(unit, set()).add(split)
    assert all(len(found) == 1 for found in free.values())


def groups(*sizes: int) -> list[int]:
    return [unit for unit, size in enumerate(sizes) for _ in range(size)]


REFUSED = {
    "a group larger than the largest split": (
        "group",
        {"units": groups(90, 4, 3, 3), "group_name": "author"},
        ("--group-by author: group 'A0' has 90 of 100 rows", "80 at --sizes 0.8,0.1,0.1"),
    ),
    "a group larger than the largest split, stratified": (
        "stratified_group",
        {"units": groups(90, 4, 3, 3), "group_name": "author"},
        ("--group-by author: group 'A0' has 90 of 100 rows", "finer column"),
    ),
    "fewer groups than splits": (
        "group",
        {"units": groups(50, 50), "group_name": "author"},
        ("--group-by author: 2 groups cannot fill 3 splits",),
    ),
    "a cluster larger than the largest split": (
        "stratified",
        {"units": groups(90, 4, 3, 3)},
        ("the largest cluster of near-duplicates has 90 of 100 rows", "--no-clusters"),
    ),
    "a class in too few groups": (
        "stratified_group",
        {
            "labels": ["a"] * 30 + ["b"] * 30 + ["a"] * 40,
            "units": groups(*[30] * 2, *[10] * 4),
            "group_name": "author",
        },
        ("class 'b' has 30 rows in 1 group", "needs 3 a class", "--split group"),
    ),
    "a class in too few clusters": (
        "stratified",
        {"labels": ["a"] * 50 + ["b"] * 50, "units": groups(*[1] * 50, 25, 25)},
        ("class 'b' has 50 rows in 2 clusters of near-duplicates", "--split random"),
    ),
    "a class with all its groups in validation and test": (
        "group",
        {
            "labels": ["a"] * 80 + ["b"] * 20,
            "units": groups(40, 40, 10, 10),
            "group_name": "author",
        },
        ("class 'b' has no train row", "--split stratified_group"),
    ),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_units_that_cannot_be_split_are_named_in_one_line(case):
    way, rows, said = REFUSED[case]
    rows = {"labels": ["a", "b"] * 50, **rows}
    request = request_of(**rows, group_of=lambda at: f"A{rows['units'][at]}")
    with pytest.raises(UserError) as refused:
        split_rows(way, request)
    assert all(part in str(refused.value) for part in said), str(refused.value)
    assert "\n" not in str(refused.value)


def test_folds_of_units_need_as_many_units():
    request: SplitRequest = request_of(["a", "b"] * 10, units=groups(10, 10))
    with pytest.raises(UserError) as refused:
        assign_folds(request, np.ones(20, dtype=bool), 3)
    assert "there are 2 units" in str(refused.value)
