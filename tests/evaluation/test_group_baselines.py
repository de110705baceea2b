"""Baselines of a profile: simple models that see groups, against the same thing done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset
from sklearn.linear_model import LogisticRegression

from hfpipe.errors import UserError
from hfpipe.evaluation.group_baselines import GROUP_SIZE, group_guesses
from hfpipe.evaluation.profiles import ProfileChoice, Scored
from hfpipe.inputs.kinds.vector_sequence import VectorSequenceInput
from hfpipe.inputs.processor import Processor
from hfpipe.metrics.tasks import task_of

NAN = float("nan")
YES_OR_NO = task_of("binary", ["no", "yes"])
PROCESSOR = Processor({"m": VectorSequenceInput(["m"], 2)}, "y", ["no", "yes"], "binary")
Drawn = tuple[Dataset, np.ndarray]


def drawn(seed: int, groups: int, *, more: int = 4, signal: float = 1.0) -> Drawn:
    """Rows of groups that lie mixed; a positive one has up to ``more`` rows more."""
    random = np.random.default_rng(seed)
    rows, truth = [], []
    for at in range(groups):
        side = int(random.random() < 0.4)
        for _ in range(2 + side * int(random.integers(more + 1))):
            steps = random.normal(size=(int(random.integers(1, 4)), 2))
            steps[:, 0] += signal * (2 * side - 1)
            rows.append({"m": steps.tolist(), "author": f"a{at}"})
            truth.append(float(side))
    order = random.permutation(len(rows))
    return Dataset.from_list([rows[at] for at in order]), np.array(truth)[order]


def by_hand(rows: Dataset, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean vectors, numbers of rows and labels of the groups, in the order of their first rows."""
    held: dict[str, list[np.ndarray]] = {}
    labels: dict[str, float] = {}
    for row, label in zip(rows, truth, strict=True):
        held.setdefault(row["author"], []).append(np.mean(row["m"], axis=0))
        labels[row["author"]] = label
    means = np.array([np.mean(each, axis=0) for each in held.values()])
    return means, np.array([len(each) for each in held.values()]), np.array(list(labels.values()))


def test_every_baseline_is_that_of_a_loop_over_the_groups():
    train, validation, test = drawn(1, 60), drawn(2, 40), drawn(3, 30)
    found = group_guesses(
        YES_OR_NO, PROCESSOR, *train, *test, group_by="author", validation=validation
    )
    assert list(found) == ["majority", "logistic_regression", GROUP_SIZE]
    known = [by_hand(*each) for each in (train, validation, test)]
    labels = [each[2] for each in known]
    assert found["majority"].scores == pytest.approx(np.full(30, labels[0].mean()))
    assert found["majority"].threshold is None
    seen = {
        "logistic_regression": [each[0] for each in known],
        GROUP_SIZE: [np.log(each[1])[:, None] for each in known],
    }
    for name, (fitted_on, held_out, asked) in seen.items():
        model = LogisticRegression(C=3.0, solver="liblinear", random_state=0, max_iter=200)
        model.fit(fitted_on, labels[0])
        assert found[name].scores == pytest.approx(model.predict_proba(asked)[:, 1], abs=1e-4)
        best = YES_OR_NO.best_threshold(labels[1], model.predict_proba(held_out)[:, 1])
        assert found[name].threshold == pytest.approx(best, abs=1e-4)
    reached = {
        name: YES_OR_NO.metrics(labels[2], each.scores)["roc_auc"] for name, each in found.items()
    }
    assert reached["majority"] == 0.5
    assert reached["logistic_regression"] > 0.9
    assert reached[GROUP_SIZE] > 0.8  # here the number of rows gives the label away


def test_the_groups_are_those_that_a_profile_is_scored_on_and_in_its_order():
    rows = Dataset.from_dict(
        {"m": [[[float(at), 0.0]] for at in range(7)], "author": list("cabbacd")}
    )
    # b has both labels and d none: neither counts.
    truth = np.array([1, 0, 1, 0, 0, NAN, NAN])
    train = drawn(1, 60)
    found = group_guesses(YES_OR_NO, PROCESSOR, *train, rows, truth, group_by="author")
    scored = Scored(list("1234567"), [{}] * 7, truth, np.zeros(7), groups=rows["author"])
    choice = ProfileChoice("author", "mean", 0.5)
    judged = scored.by_group(YES_OR_NO, choice)
    kept = YES_OR_NO.labelled(judged.truth)
    assert [each for each, there in zip(judged.row_ids, kept, strict=True) if there] == ["c", "a"]
    assert len(found["majority"].scores) == 2
    # The means of c, (0 + 5) / 2, and of a, (1 + 4) / 2, are the same.
    first, second = found["logistic_regression"].scores
    assert first == pytest.approx(second)
    assert found["logistic_regression"].threshold is None  # without validation


def test_rows_that_are_nobody_s_teach_nothing():
    train, test = drawn(1, 40), drawn(3, 20)
    plain = group_guesses(YES_OR_NO, PROCESSOR, *train, *test, group_by="author")
    stray = [{"m": [[90.0, 90.0]], "author": None}] * 30
    more = Dataset.from_list([*stray, *train[0]]), np.append(np.zeros(30), train[1])
    found = group_guesses(YES_OR_NO, PROCESSOR, *more, *test, group_by="author")
    for name, each in plain.items():
        assert found[name].scores == pytest.approx(each.scores, abs=1e-9)


def test_as_many_rows_in_every_group_say_nothing():
    train, test = drawn(1, 40, more=0), drawn(3, 20)
    found = group_guesses(YES_OR_NO, PROCESSOR, *train, *test, group_by="author")
    assert list(found) == ["majority", "logistic_regression"]


def test_without_groups_that_have_a_label():
    train, test = drawn(1, 40), drawn(3, 20)
    blank = test[0], np.full(len(test[0]), NAN)
    assert group_guesses(YES_OR_NO, PROCESSOR, *train, *blank, group_by="author") == {}
    found = group_guesses(YES_OR_NO, PROCESSOR, *train, *test, group_by="author", validation=blank)
    assert {each.threshold for each in found.values()} == {None}
    unknown = train[0], np.full(len(train[0]), NAN)
    with pytest.raises(UserError, match="none of the groups \\('author'\\) of the train split"):
        group_guesses(YES_OR_NO, PROCESSOR, *unknown, *test, group_by="author")
