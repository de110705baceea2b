"""Texts with several labels: found and settled as the obvious way with dictionaries does."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.conflicts import POLICIES, find_conflicts, to_drop
from hfpipe.errors import UserError

# Keys that agree in one half only; the highest bit set, so that a signed sort would go wrong.
HALVES = st.sampled_from([0, 1, 2**63, 2**64 - 1])
ROWS = st.lists(st.tuples(st.tuples(HALVES, HALVES), st.sampled_from([-1, 0, 1, 7])), max_size=40)


def arrays(rows: list) -> tuple[np.ndarray, np.ndarray]:
    keys = np.array([key for key, _ in rows], dtype=np.uint64).reshape(-1, 2)
    return keys, np.array([label for _, label in rows], dtype=np.int32)


def obvious(rows: list) -> list[list[int]]:
    positions = defaultdict(list)
    for position, (key, _) in enumerate(rows):
        positions[key].append(position)
    return [group for group in positions.values() if len({rows[i][1] for i in group}) > 1]


def obviously_dropped(rows: list, policy: str) -> list[int]:
    dropped = []
    for group in obvious(rows) if policy != "report" else []:
        (label, most), (_, next_most) = Counter(rows[i][1] for i in group).most_common(2)
        kept = label if policy == "majority" and most > next_most else None
        dropped += [i for i in group if rows[i][1] != kept]
    return sorted(dropped)


@given(rows=ROWS)
@settings(max_examples=50, deadline=None)
def test_conflicts_are_those_that_dictionaries_find(rows):
    keys, labels = arrays(rows)
    found = find_conflicts(keys, labels)
    expected = obvious(rows)
    assert [group.tolist() for group in found.groups] == expected
    assert (found.texts, found.rows) == (len(expected), sum(map(len, expected)))
    for policy in POLICIES:
        assert to_drop(found, labels, policy).tolist() == obviously_dropped(rows, policy), policy


def test_a_majority_keeps_its_rows_and_a_tie_keeps_none():
    keys, labels = arrays([((1, 1), label) for label in (3, 5, 3)] + [((2, 2), 0), ((2, 2), 1)])
    found = find_conflicts(keys, labels)
    assert (found.texts, found.rows) == (2, 5)
    assert to_drop(found, labels, "report").tolist() == []
    assert to_drop(found, labels, "majority").tolist() == [1, 3, 4]
    assert to_drop(found, labels, "drop").tolist() == [0, 1, 2, 3, 4]


def test_many_rows_are_settled_as_the_first_of_them_are():
    draws = np.random.default_rng(0)
    keys = draws.integers(0, 2**63, size=(60_000, 2)).astype(np.uint64)
    chosen = draws.integers(0, len(keys), 200_000)
    labels = draws.integers(0, 3, len(chosen)).astype(np.int32)
    found = find_conflicts(keys[chosen], labels)
    of_key = np.zeros((len(keys), 3), dtype=int)
    np.add.at(of_key, (chosen, labels), 1)
    conflicting = (of_key > 0).sum(axis=1) > 1
    assert found.texts == conflicting.sum()
    assert found.rows == of_key[conflicting].sum()
    ordered = np.sort(of_key[conflicting], axis=1)
    majority = ordered[:, 2] > ordered[:, 1]
    kept = ordered[majority, 2].sum()
    assert len(to_drop(found, labels, "majority")) == found.rows - kept


def test_an_unknown_policy_is_named_with_what_is_near():
    found = find_conflicts(*arrays([]))
    with pytest.raises(UserError, match="did you mean 'majority'"):
        to_drop(found, np.zeros(0, dtype=int), "majorty")
