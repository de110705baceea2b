"""Lots and balancing: the same rows whatever the order, and counts as slow loops find them."""

from __future__ import annotations

import random
from collections import Counter
from hashlib import blake2b, sha256

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.balancing import label_map, rare_rows, rows_over_cap
from data_prep.lots import by_lot, draw_lots, draw_order
from data_prep.units import joined_units
from hfpipe.errors import UserError

CODES = st.lists(st.integers(-1, 7), min_size=1, max_size=120)


def test_the_drawn_order_is_that_of_earlier_versions():
    ids = [f"row{i:02d}" for i in range(12)]
    assert draw_order(ids, 42, "split").tolist() == [11, 5, 7, 3, 9, 6, 0, 4, 2, 1, 10, 8]
    assert draw_order(ids, 42, "cap").tolist() == [2, 6, 4, 0, 5, 10, 9, 1, 3, 7, 11, 8]
    many = draw_order([f"{i:x}-é{i % 7}" for i in range(5000)], 7, "x")
    assert sha256(many.tobytes()).hexdigest()[:16] == "f4e382ea694a40a2"


@given(ids=st.sets(st.text(max_size=8), max_size=40), seed=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_a_lot_is_the_keyed_hash_of_the_id_however_ids_are_held(ids, seed):
    ids = list(ids)
    key = blake2b(f"{seed}/split".encode(), digest_size=32).digest()
    hashes = [blake2b(each.encode(), digest_size=8, key=key).digest() for each in ids]
    want = [int.from_bytes(each, "big") for each in hashes]
    half = len(ids) // 2
    held = [
        ids,
        pa.array(ids, pa.string()),
        pa.chunked_array([ids[:half], ids[half:]], pa.string()),
        pa.array(ids, pa.large_string()),
    ]
    for row_ids in held:
        lots = draw_lots(row_ids, seed, "split")
        assert lots.dtype == np.uint64
        assert lots.tolist() == want
    assert draw_order(held[2], seed, "split").tolist() == sorted(
        range(len(ids)), key=lambda i: (want[i], ids[i])
    )


@given(rows=st.lists(st.tuples(st.integers(0, 3), st.text("abc", max_size=3)), unique=True))
@settings(max_examples=30, deadline=None)
def test_equal_lots_are_ordered_by_id(rows):
    rows = list({row_id: (lot, row_id) for lot, row_id in rows}.values())
    lots = np.array([lot for lot, _ in rows], dtype=np.uint64)
    for ids in ([row_id for _, row_id in rows], pa.array([row_id for _, row_id in rows])):
        assert [rows[i] for i in by_lot(lots, ids)] == sorted(rows)


@given(
    codes=CODES,
    ratio=st.none() | st.floats(1, 5),
    cap=st.none() | st.integers(1, 30),
    seed=st.integers(0, 99),
    shuffle=st.randoms(use_true_random=False),
)
@settings(max_examples=50, deadline=None)
def test_the_cap_cuts_large_classes_to_it_in_drawn_order_and_no_other(
    codes, ratio, cap, seed, shuffle
):
    ids = [f"row{i:04d}" for i in range(len(codes))]
    order = draw_order(ids, seed, "cap")
    counts = Counter(code for code in codes if code >= 0)
    caps = [10**9 if cap is None else cap]
    if ratio is not None and counts:
        caps.append(int(ratio * min(counts.values()) + 1e-9))
    taken: Counter[int] = Counter()
    want = []
    for at in order.tolist():
        taken[codes[at]] += 1
        if codes[at] >= 0 and taken[codes[at]] > min(caps):
            want.append(at)
    over = rows_over_cap(np.array(codes), order, ratio, cap)
    assert over.tolist() == sorted(want)
    left = Counter(codes) - Counter(codes[i] for i in over)
    assert all(left[code] == min(count, *caps, 10**9) for code, count in counts.items())
    other = shuffle.sample(range(len(codes)), len(codes))
    again = rows_over_cap(
        np.array(codes)[other], draw_order([ids[i] for i in other], seed, "cap"), ratio, cap
    )
    assert {ids[i] for i in over} == {ids[other[i]] for i in again}


@given(codes=CODES, min_count=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
def test_a_minimum_count_takes_out_the_classes_below_it(codes, min_count):
    counts = Counter(codes)
    want = [i for i, code in enumerate(codes) if code >= 0 and counts[code] < min_count]
    assert rare_rows(np.array(codes), min_count).tolist() == want


def test_the_cap_is_that_of_earlier_versions():
    codes = np.array(["abcd".index("abacabad"[i % 8]) for i in range(40)])
    order = draw_order([f"row{i:02d}" for i in range(40)], 42, "cap")
    over = [8, 14, 18, 22, 26, 28, 30, 32, 34, 38]
    assert rows_over_cap(codes, order, ratio=2).tolist() == over
    assert rows_over_cap(codes, order, ratio=4, cap=10).tolist() == over


def test_classes_are_renamed_and_joined():
    names = ["cat", "dog", "oak", "elm"]
    assert label_map(names, {"dog": "cat"}) == ["cat", "cat", "oak", "elm"]
    assert label_map(names, {"cat": "yes", "*": "no"}) == ["yes", "no", "no", "no"]
    assert label_map(names, {}) == names


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"caat": "x"}, "no row has label 'caat'; did you mean 'cat'?"),
        ({"cat": " "}, "'cat' is mapped to an empty name"),
    ],
)
def test_a_mapping_of_labels_that_cannot_be_meant_is_refused(mapping, said):
    with pytest.raises(UserError) as refused:
        label_map(["cat", "dog"], mapping)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@given(
    codes=st.integers(1, 30).flatmap(
        lambda rows: st.lists(
            st.lists(st.integers(-1, 9), min_size=rows, max_size=rows), min_size=1, max_size=3
        )
    )
)
@settings(max_examples=50, deadline=None)
def test_units_are_what_rows_reach_through_shared_codes(codes):
    rows = len(codes[0])
    units = list(range(rows))
    changed = True
    while changed:  # take over the lowest number of any row that shares a code, until none changes
        changed = False
        for each in codes:
            for a in range(rows):
                for b in range(rows):
                    if each[a] == each[b] >= 0 and units[b] < units[a]:
                        units[a], changed = units[b], True
    assert joined_units(*(np.array(each) for each in codes)).tolist() == units


def test_a_row_without_a_code_is_alone():
    rows = random.Random(0).sample(range(50), 50)
    assert joined_units(np.full(50, -1)).tolist() == list(range(50))
    assert joined_units(np.array(rows), np.full(50, -1)).tolist() == list(range(50))
