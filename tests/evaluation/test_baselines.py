"""The baselines: what they know, in which order they say it, and how long they take."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hfpipe.errors import UserError
from hfpipe.evaluation.baselines import (
    baseline_guesses,
    majority,
    tfidf_logistic_regression,
)
from hfpipe.inputs.processor import Processor
from hfpipe.metrics.tasks import task_of
from hfpipe.recipe import Input
from tests.inputs.support import fit, picture, rows

LABELS = ["c", "a", "b"]
TEXT = Input("text", ["text"], optional=True)
NUMBER = Input("numeric", ["number"])
COLOUR = Input("categorical", ["colour"])
VECTOR = Input("vector", ["vector"], optional=True)
STEPS = Input("vector_sequence", ["steps"])
IMAGE = Input("image", ["image"], optional=True)
BINARY = task_of("binary", ["no", "yes"])


def task_baselines(task, processor, train, train_truth, scored, truth, **given):
    """The metrics of every baseline on the rows that have a label."""
    found = baseline_guesses(task, processor, train, train_truth, scored, truth, **given)
    answers = np.asarray(truth)[task.labelled(truth)]
    return {
        name: task.metrics(answers, each.scores, each.threshold) for name, each in found.items()
    }


def topic_rows(count, classes=3, noise=0.0, seed=0):
    """Texts whose words depend on their class; ``noise`` is the share of random labels."""
    generator = random.Random(seed)
    texts, labels = [], []
    for index in range(count):
        own = [f"word{index % classes}x{generator.randrange(30)}" for _ in range(3)]
        common = [f"common{generator.randrange(3000)}" for _ in range(8)]
        texts.append(" ".join(own + common))
        labels.append(
            generator.randrange(classes) if generator.random() < noise else index % classes
        )
    return texts, [str(label) for label in labels]


def test_majority_guesses_the_most_frequent_label_of_train():
    found = majority(["a", "b", "b", "b"], LABELS, 5)
    assert found.shape == (5, 3)
    assert found[0].tolist() == [0.0, 0.25, 0.75]


def test_tfidf_columns_follow_the_models_label_order():
    texts, names = topic_rows(300)
    train = [{"0": "a", "1": "b", "2": "c"}[name] for name in names]
    found = tfidf_logistic_regression(texts, train, texts[:60], LABELS)
    assert [LABELS[index] for index in found.argmax(axis=1)] == train[:60]
    assert found.sum(axis=1) == pytest.approx(np.ones(60))


def test_labels_on_one_side_only():
    texts, train = topic_rows(300)
    found = tfidf_logistic_regression(texts, train, texts[:30], ["2", "never", "0"])
    assert (found[:, 1] == 0).all(), "a label without train rows gets probability 0"
    assert found.sum(axis=1) == pytest.approx(np.ones(30)), "the label '1' was left out of the fit"
    right = [("2", "never", "0")[i] == t for i, t in zip(found.argmax(1), train[:30], strict=True)]
    assert sum(right) == 20, "every row of the two known labels is right"


@pytest.mark.parametrize(
    "texts",
    [["", None, "", ""], ["a", "b", "c", "d"]],
    ids=["empty texts", "no word of two letters"],
)
def test_without_words_only_the_frequencies_are_known(texts):
    found = tfidf_logistic_regression(texts, ["a", "a", "a", "b"], ["?", None], ["a", "b"])
    assert found.tolist() == [[0.75, 0.25]] * 2


def test_one_class_in_train_is_certain():
    found = tfidf_logistic_regression(["one two", "two three"], ["a", "a"], ["two"], ["a", "b"])
    assert found.tolist() == [[1.0, 0.0]]


def test_a_foreign_dataset_is_one_clear_line():
    with pytest.raises(UserError, match="not what the model was trained for"):
        majority(["x", "y"], ["a", "b"], 3)


def of_texts(texts, train, test_texts, truth, labels):
    """The baselines of a text classification, by the one door that every task has."""
    task = task_of("classification", labels)
    first = rows(text=texts)
    processor = fit(first, text=TEXT)
    codes = [labels.index(label) if label in labels else -1 for label in train]
    return task_baselines(task, processor, first, codes, rows(text=list(test_texts)), truth)


def test_metrics_leave_out_rows_without_a_label():
    texts, train = topic_rows(300)
    truth = np.array([int(label) for label in train[:40]])
    truth[5] = -1
    found = of_texts(texts, train, texts[:40], truth, ["0", "1", "2"])
    assert list(found) == ["majority", "tfidf_logistic_regression"]
    assert found["tfidf_logistic_regression"]["accuracy"] == 1.0
    assert found["majority"]["accuracy"] == pytest.approx((truth == 0).sum() / 39)
    assert of_texts(texts, train, texts[:2], [-1, -1], ["0", "1", "2"]) == {}


def test_it_is_fitted_on_train_alone():
    texts, train = topic_rows(200)
    alone = tfidf_logistic_regression(texts, train, texts[:1], ["0", "1", "2"])
    among = tfidf_logistic_regression(
        texts, train, [texts[0], "other words " * 50, "and more"], ["0", "1", "2"]
    )
    assert among[0] == pytest.approx(alone[0], abs=1e-12)


def test_it_is_the_same_every_time():
    texts, train = topic_rows(400, noise=0.3)
    once, again = (
        tfidf_logistic_regression(texts, train, texts[:50], ["0", "1", "2"]) for _ in range(2)
    )
    assert (once == again).all()


def test_noise_bounds_what_it_can_reach():
    texts, train = topic_rows(4000, classes=10, noise=0.3, seed=1)
    test_texts, truth = topic_rows(1000, classes=10, noise=0.3, seed=2)
    labels = [str(index) for index in range(10)]
    indices = [labels.index(label) for label in truth]
    found = of_texts(texts, train, test_texts, indices, labels)
    reached = found["tfidf_logistic_regression"]["accuracy"]
    # 70 % keep their label and a tenth of the others hit it by chance: 0.73.
    assert 0.66 < reached < 0.77
    assert found["majority"]["accuracy"] < 0.15


def halves(count=80, seed=0):
    """Rows whose label every input tells: number, colour, vector, steps, image and text."""
    truth = np.arange(count) % 2
    draw = np.random.default_rng(seed)
    pictures = [picture((0, 0, 0)), picture((255, 255, 255))]
    return truth.astype(np.float32), rows(
        number=[float(each) + draw.normal(0, 0.1) for each in truth],
        colour=[("red", "blue")[each] for each in truth],
        vector=[[float(each), 1.0] for each in truth],
        steps=[[[0.0, float(each)]] * 2 for each in truth],
        image=[pictures[each] for each in truth],
        text=[f"{('cold', 'warm')[each]} day {draw.integers(9)}" for each in truth],
    )


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        ({"n": NUMBER}, ["logistic_regression"]),
        ({"c": COLOUR}, ["logistic_regression"]),
        ({"v": VECTOR}, ["logistic_regression"]),
        ({"s": STEPS}, ["logistic_regression"]),
        ({"t": TEXT}, ["logistic_regression"]),
        ({"i": IMAGE}, ["pixels_boosting"]),
        (
            {"t": TEXT, "n": NUMBER},
            ["tfidf_logistic_regression", "logistic_regression", "metadata_only"],
        ),
        (
            {"t": TEXT, "i": IMAGE},
            ["tfidf_logistic_regression", "logistic_regression", "pixels_boosting"],
        ),
        ({"v": VECTOR, "i": IMAGE}, ["logistic_regression", "pixels_boosting"]),
    ],
    ids=lambda value: "+".join(value),
)
def test_every_kind_of_input_is_learnt_from(inputs, names):
    truth, train = halves()
    other, test = halves(20, seed=1)
    found = task_baselines(BINARY, fit(train, **inputs), train, truth, test, other)
    assert list(found) == ["majority", *names]
    assert found["majority"]["roc_auc"] == 0.5
    for name in names:
        assert found[name]["roc_auc"] == found[name]["accuracy"] == 1.0, name


def test_what_is_missing_is_told_apart_from_zero():
    truth = np.arange(60) % 2
    train = rows(vector=[None if each else [0.0, 0.0] for each in truth])
    found = task_baselines(BINARY, fit(train, v=VECTOR), train, truth, train, truth)
    assert found["logistic_regression"]["accuracy"] == 1.0


def test_many_categories_and_one_that_train_never_saw():
    truth = np.arange(900) % 2
    codes = [f"c{at % 450}" for at in range(900)]
    train, test = rows(colour=codes), rows(colour=["c7", "c8", "other", None])
    inputs = {"c": COLOUR, "n": NUMBER}
    train = train.add_column("number", [0.0] * 900)
    test = test.add_column("number", [0.0] * 4)
    found = task_baselines(BINARY, fit(train, **inputs), train, truth, test, np.array([1, 0, 1, 0]))
    assert found["logistic_regression"]["roc_auc"] == pytest.approx(0.875), "one tie of four pairs"


def test_a_text_beside_others_is_also_judged_alone():
    truth, train = halves()
    train = train.remove_columns("text").add_column("text", ["nothing to see"] * len(train))
    found = task_baselines(BINARY, fit(train, t=TEXT, n=NUMBER), train, truth, train, truth)
    assert found["tfidf_logistic_regression"]["roc_auc"] == 0.5
    assert found["logistic_regression"]["roc_auc"] == 1.0


def test_thresholds_come_from_validation():
    # A rare class that the number tells only half of: at 0.5 nothing is positive.
    number = [float(at % 10 < 2) for at in range(200)]
    truth = np.array([float(at % 10 == 0) for at in range(200)])
    train = rows(number=number)
    given = (BINARY, fit(train, n=NUMBER), train, truth, train, truth)
    plain, chosen = task_baselines(*given), task_baselines(*given, validation=(train, truth))
    assert plain["logistic_regression"]["f1"] in (0.0, pytest.approx(2 / 3))
    assert chosen["logistic_regression"]["f1"] == pytest.approx(2 / 3)
    assert chosen["majority"]["recall"] == 0.0, "the most frequent class is still its guess"
    fixed = task_baselines(*given, validation=(train, truth), threshold=0.0)
    assert fixed["logistic_regression"]["recall"] == 1.0
    assert fixed["logistic_regression"]["precision"] == pytest.approx(0.1)


def test_classes_are_calibrated_on_validation_alone():
    """Few rows of many numbers: the model is much surer than it is right."""
    random = np.random.default_rng(0)
    task, truth = task_of("classification", ["a", "b", "c"]), np.arange(690) % 3
    vectors = random.normal(size=(690, 30)) + 0.5 * np.eye(30)[truth]
    known = rows(vector=vectors.tolist())
    train, held_out, scored = (
        known.select(range(*part)) for part in ((0, 90), (90, 390), (390, 690))
    )
    processor = fit(train, v=VECTOR)

    def scores(labels, **given):
        lots = (train, truth[:90], scored, labels)
        found = baseline_guesses(task, processor, *lots, **given)
        return found["logistic_regression"].scores

    validation = (held_out, truth[90:390])
    plain = scores(truth[390:], validation=validation)
    found = scores(truth[390:], validation=validation, calibrate=True)
    assert (found.argmax(axis=1) == plain.argmax(axis=1)).all()
    losses = [task.metrics(truth[390:], each)["log_loss"] for each in (plain, found)]
    assert losses[1] < losses[0] - 0.2
    other = scores(truth[390:][::-1], validation=validation, calibrate=True)
    assert (other == found).all(), "the labels of the scored rows have no say"


def test_a_regression_has_the_mean_and_ridge():
    number = np.linspace(0, 3, 60)
    task = task_of("regression", log1p=True)
    train = rows(number=number.tolist())
    found = task_baselines(
        task, fit(train, n=NUMBER), train, number, train.select([0, 59]), number[[0, 59]]
    )
    assert list(found) == ["mean", "ridge"]
    assert found["mean"]["rmse_log"] == pytest.approx(1.5)
    assert found["ridge"]["rmse_log"] < 0.01
    texts = rows(text=[f"{'warm' if at > 1.5 else 'cold'} day" for at in number])
    found = task_baselines(task, fit(texts, t=TEXT), texts, number, texts, number)
    # Half of the distance is the words': 0.75 of 1.5, and a half of it on average.
    assert found["ridge"]["rmse_log"] < 0.5 < found["mean"]["rmse_log"]


def test_several_labels_are_learnt_one_by_one():
    task = task_of("multi_label", ["warm", "always", "never"])
    truth, train = halves()
    marks = np.column_stack([truth, np.ones(80), np.zeros(80)])
    found = task_baselines(task, fit(train, t=TEXT), train, marks, train, marks)
    assert list(found) == ["majority", "logistic_regression"]
    assert found["logistic_regression"]["accuracy"] == 1.0
    assert found["majority"]["accuracy"] == 0.5


def test_classes_of_numbers_that_train_lacks_get_no_probability():
    task = task_of("classification", ["low", "never", "high", "middle"])
    codes = np.array([0, 2, 3] * 30)
    train = rows(number=[{0: -1.0, 2: 9.0, 3: 4.0}[each] for each in codes])
    found = task_baselines(task, fit(train, n=NUMBER), train, codes, train, codes)
    assert list(found) == ["majority", "logistic_regression"]
    assert found["logistic_regression"]["accuracy"] == 1.0


def test_train_rows_without_a_label_are_left_out_and_a_train_split_without_any_is_told():
    truth, train = halves()
    half = np.where(np.arange(80) < 40, truth, np.nan)
    processor = fit(train, n=NUMBER)
    found = task_baselines(BINARY, processor, train, half, train, half)
    assert found["logistic_regression"]["roc_auc"] == 1.0
    with pytest.raises(UserError, match="none of the 80 train rows"):
        task_baselines(BINARY, processor, train, np.full(80, np.nan), train, truth)


def test_the_scored_rows_may_call_their_columns_otherwise():
    truth, train = halves()
    first = fit(train, t=TEXT)
    inputs = {"t": first.inputs["t"].with_columns(["body"])}
    found = task_baselines(
        BINARY,
        Processor(inputs, None),
        train,
        truth,
        train.rename_columns({"text": "body"}),
        truth,
        train_processor=first,
    )
    assert found["logistic_regression"]["roc_auc"] == 1.0
