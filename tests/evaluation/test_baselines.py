"""The baselines: what they know, in which order they say it, and how long they take."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hfpipe.errors import UserError
from hfpipe.evaluation.baselines import baseline_metrics, majority, tfidf_logistic_regression

LABELS = ["c", "a", "b"]


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


def test_metrics_leave_out_rows_without_a_label():
    texts, train = topic_rows(300)
    truth = np.array([int(label) for label in train[:40]])
    truth[5] = -1
    found = baseline_metrics(texts, train, texts[:40], truth, ["0", "1", "2"])
    assert list(found) == ["majority", "tfidf_logistic_regression"]
    assert found["tfidf_logistic_regression"]["accuracy"] == 1.0
    assert found["majority"]["accuracy"] == pytest.approx((truth == 0).sum() / 39)


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
    found = baseline_metrics(texts, train, test_texts, indices, labels)
    reached = found["tfidf_logistic_regression"]["accuracy"]
    # 70 % keep their label and a tenth of the others hit it by chance: 0.73.
    assert 0.66 < reached < 0.77
    assert found["majority"]["accuracy"] < 0.15
