"""Stacking: better than its models where they differ, and never fooled by one that memorises."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfpipe.errors import RunError, UserError
from hfpipe.evaluation.stacking import META, Stacker, out_of_fold, repeated_folds, stack

ROWS = 120


def world(seed: int = 0):
    """Columns and a target that two of them explain, with noise."""
    generator = np.random.default_rng(seed)
    columns = generator.normal(size=(ROWS, 4))
    return columns, columns[:, 0] + columns[:, 1] + 0.5 * generator.normal(size=ROWS)


def linear(columns, targets, chosen):
    def fit_predict(train, others):
        x = np.column_stack([np.ones(ROWS), columns[:, chosen]])
        weights = np.linalg.lstsq(x[train], targets[train], rcond=None)[0]
        return x[others] @ weights

    return fit_predict


def memoriser(targets):
    """Knows every train row by heart, and of others only the mean."""

    def fit_predict(train, others):
        known = dict(zip(train.tolist(), targets[train], strict=True))
        mean = targets[train].mean()
        return [known.get(row, mean) for row in others.tolist()]

    return fit_predict


@given(
    rows=st.integers(2, 60),
    folds=st.integers(2, 6),
    repeats=st.integers(1, 4),
    seed=st.integers(0, 99),
    owners=st.none() | st.integers(2, 8),
)
@settings(max_examples=100, deadline=None)
def test_folds_are_even_whole_and_drawn_anew_each_time(rows, folds, repeats, seed, owners):
    groups = None if owners is None else np.arange(rows) % owners
    units = np.arange(rows) if groups is None else groups
    if len(set(units.tolist())) < folds:
        with pytest.raises(UserError, match="cannot be drawn"):
            repeated_folds(rows, folds, repeats, seed=seed, groups=groups)
        return
    ids = repeated_folds(rows, folds, repeats, seed=seed, groups=groups)
    assert ids.shape == (repeats, rows)
    assert (ids == repeated_folds(rows, folds, repeats, seed=seed, groups=groups)).all()
    for row in ids:
        of_unit = {unit: set(row[units == unit]) for unit in set(units.tolist())}
        assert all(len(found) == 1 for found in of_unit.values())
        sizes = np.bincount([next(iter(found)) for found in of_unit.values()], minlength=folds)
        assert sizes.max() - sizes.min() <= 1
        assert sizes.min() >= 1


def test_a_model_is_asked_only_of_rows_that_it_did_not_see():
    asked = []

    def spy(train, others):
        assert not set(train) & set(others)
        assert len(train) + len(others) == ROWS
        asked.append(others)
        return np.zeros(len(others))

    ids = repeated_folds(ROWS)
    found = out_of_fold({"spy": spy}, ids)["spy"]
    assert found.shape == (3, ROWS)
    assert len(asked) == 15
    for repeat in range(3):
        rows = np.concatenate(asked[5 * repeat : 5 * repeat + 5])
        assert sorted(rows) == list(range(ROWS))


@pytest.mark.parametrize("meta", sorted(META))
def test_a_model_that_memorises_gains_nothing(meta):
    columns, targets = world()
    ids = repeated_folds(ROWS)
    models = {"honest": linear(columns, targets, [0, 1])}
    alone = stack(out_of_fold(models, ids), targets, ids, meta)
    both = stack(out_of_fold({**models, "memoriser": memoriser(targets)}, ids), targets, ids, meta)
    assert both.scores["memoriser"] >= targets.std()
    assert both.scores["stacking"] >= alone.scores["stacking"] * 0.99


def test_the_same_models_asked_of_their_own_rows_would_have_won():
    """The test above can fail: with leaking predictions the memoriser takes it all."""
    columns, targets = world()
    ids = repeated_folds(ROWS)
    every = np.arange(ROWS)
    leaking = {
        "honest": linear(columns, targets, [0, 1])(every, every),
        "memoriser": memoriser(targets)(every, every),
    }
    assert stack(leaking, targets, ids).scores["stacking"] < 1e-6


@pytest.mark.parametrize("meta", sorted(META))
def test_two_halves_of_the_truth_stack_to_the_whole(meta):
    columns, targets = world()
    ids = repeated_folds(ROWS)
    models = {"left": linear(columns, targets, [0]), "right": linear(columns, targets, [1])}
    found = stack(out_of_fold(models, ids), targets, ids, meta)
    assert found.scores["stacking"] < 0.65 < 0.9 < min(found.scores["left"], found.scores["right"])
    assert [len(values) for values in found.by_repeat.values()] == [3, 3, 3]
    weights = dict(zip(found.stacker.names, found.stacker.weights, strict=True))
    assert all(0.7 < weight < 1.3 for weight in weights.values())


@given(seed=st.integers(0, 200), meta=st.sampled_from(sorted(META)))
@settings(max_examples=25, deadline=None)
def test_scores_are_those_of_a_meta_model_that_never_sees_the_fold(seed, meta):
    """Changing a fold's targets must not change what is said of that fold."""
    generator = np.random.default_rng(seed)
    targets = generator.normal(size=40)
    predictions = {name: targets + generator.normal(size=40) for name in "abc"}
    ids = repeated_folds(40, 4, 1, seed=seed)
    before = stack(predictions, targets, ids, meta).predictions
    changed = np.where(ids[0] == 2, generator.normal(size=40) * 9, targets)
    after = stack(predictions, changed, ids, meta).predictions
    assert after[ids[0] == 2] == pytest.approx(before[ids[0] == 2])
    assert not np.allclose(after[ids[0] != 2], before[ids[0] != 2])


def test_nnls_never_subtracts_a_model():
    columns, targets = world()
    found = stack({"good": targets + columns[:, 2], "bad": -targets}, targets, repeated_folds(ROWS))
    assert min(found.stacker.weights) == 0.0


def test_the_stacker_is_plain_numbers():
    columns, targets = world()
    found = stack({"a": columns[:, 0], "b": columns[:, 1]}, targets, repeated_folds(ROWS))
    kept = json.loads(json.dumps(found.stacker.to_dict()))
    again = Stacker(tuple(kept["names"]), tuple(kept["weights"]), kept["intercept"])
    new = {"b": [1.0, 2.0], "a": [0.5, -1.0]}
    assert again.predict(new) == pytest.approx(found.stacker.predict(new), abs=0)
    with pytest.raises(UserError, match="needs the predictions of 'b'"):
        again.predict({"a": [1.0]})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ids: stack({}, [0.0] * 6, ids), "at least one model"),
        (lambda ids: stack({"a": [0.0] * 5}, [0.0] * 6, ids), "predictions of 'a' have shape (5,)"),
        (lambda ids: stack({"a": [np.nan] * 6}, [0.0] * 6, ids), "or are not finite"),
        (lambda ids: stack({"a": [0.0] * 6}, [0.0] * 5, ids), "one finite target a row"),
        (lambda ids: stack({"a": [0.0] * 6}, [0.0] * 6, ids, "rigde"), "did you mean 'ridge'?"),
        (lambda ids: stack({"stacking": [0.0] * 6}, [0.0] * 6, ids), "may be called 'stacking'"),
        (lambda _: repeated_folds(6, groups=[0] * 5), "5 groups for 6 rows"),
    ],
)
def test_what_cannot_be_stacked_is_refused_in_one_line(call, message):
    with pytest.raises(UserError) as raised:
        call(repeated_folds(6, 2, 1))
    assert message in str(raised.value)


def test_a_model_that_answers_for_other_rows_is_named():
    with pytest.raises(RunError, match="'a', repeat 1, fold 1"):
        out_of_fold({"a": lambda train, others: train * 1.0}, repeated_folds(10, 5, 1))
