"""Multi-label metrics against scikit-learn, label by label, with labels that nobody has."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from hfpipe.errors import RunError, UserError
from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.metrics.multi_label import multi_label_metrics, per_label, undefined
from hfpipe.metrics.tasks import Binary

EXACT = {"rel": 1e-12, "abs": 1e-12}


@st.composite
def cases(draw):
    """Marks of 1 to 4 labels, some of one class; scores with ties; one threshold, or one each."""
    rows, labels = draw(st.integers(1, 25)), draw(st.integers(1, 4))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = draw(st.sampled_from([2, 4, 1000]))
    shares = generator.choice([0.0, 0.2, 0.5, 1.0], labels)
    truth = (generator.random((rows, labels)) < shares).astype(int)
    scores = generator.integers(0, steps + 1, (rows, labels)) / steps
    each = generator.choice([0.25, 0.5, 1.1], labels)
    return truth, scores, each if draw(st.booleans()) else float(each[0])


@given(cases())
@settings(max_examples=25, deadline=None)
def test_metrics_equal_scikit_learn(case):
    truth, scores, threshold = case
    found = multi_label_metrics(*case)
    chosen = (scores >= threshold).astype(int)
    occurs = np.flatnonzero(truth.any(axis=0) | chosen.any(axis=0))
    expected = {
        "accuracy": sk.accuracy_score(truth, chosen),
        "hamming_loss": sk.hamming_loss(truth, chosen),
    }
    functions = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}
    for average in ("micro", "macro"):
        for name, rate in functions.items():
            # As a table of two columns more: scikit-learn takes one column for yes or no.
            padded = [np.pad(each, ((0, 0), (0, 1))) for each in (truth, chosen)]
            options = {"average": average, "labels": occurs, "zero_division": 0}
            value = rate(*padded, **options) if len(occurs) else None
            expected[f"{average}_{name}"] = value
    several = [at for at in range(truth.shape[1]) if len(set(truth[:, at])) == 2]
    some = [at for at in range(truth.shape[1]) if truth[:, at].any()]
    for name, each, there in (
        ("macro_roc_auc", sk.roc_auc_score, several),
        ("macro_average_precision", sk.average_precision_score, some),
    ):
        values = [each(truth[:, at], scores[:, at]) for at in there]
        expected[name] = np.mean(values) if values else None
    alone = [Binary().metrics(truth[:, at], scores[:, at]) for at in range(truth.shape[1])]
    for name in ("log_loss", "brier", "ece"):
        expected[name] = np.mean([each[name] for each in alone])
    none = {name for name, value in expected.items() if value is None}
    numbers = {name: value for name, value in expected.items() if value is not None}
    assert {name: value for name, value in found.items() if name not in none} == pytest.approx(
        numbers, **EXACT
    )
    assert set(found) <= set(DIRECTIONS)
    assert set(undefined(*case)) == {name for name, value in found.items() if value is None} == none


@given(cases())
@settings(max_examples=30, deadline=None)
def test_a_label_is_scored_as_a_yes_or_no_question(case):
    truth, scores, threshold = case
    labels = [str(at) for at in range(truth.shape[1])]
    levels = np.broadcast_to(threshold, len(labels))
    for at, found in enumerate(per_label(truth, scores, labels, threshold).values()):
        alone = Binary().metrics(truth[:, at], scores[:, at], float(levels[at]))
        support = found.pop("support")
        assert found == {name: alone[name] for name in found}
        assert support == truth[:, at].sum()


def test_reasons_say_what_no_label_has():
    truth, scores = [[0, 0], [0, 0]], [[0.2, 0.1], [0.3, 0.4]]
    assert undefined(truth, scores) == {
        **{
            f"{average}_{name}": "no label occurs in truth or predictions"
            for average in ("micro", "macro")
            for name in ("precision", "recall", "f1")
        },
        "macro_roc_auc": "no label has both positive and negative rows",
        "macro_average_precision": "no label has a positive row",
    }


@pytest.mark.parametrize(
    ("truth", "scores", "kind", "message"),
    [
        ([[0, 1]], [[0.1, np.nan]], RunError, "row 1: the model's scores are not finite"),
        ([[0, 1]], [[0.1, 1.5]], RunError, "apply a sigmoid"),
        ([[0, 1], [0, 2]], [[0.1, 0.5]] * 2, UserError, "row 2: truth is neither 0 nor 1"),
        ([[0, np.nan]], [[0.1, 0.5]], UserError, "row 1: truth is neither 0 nor 1"),
        ([[0]], [[0.1, 0.5]], UserError, "truth (1, 1) and scores (1, 2) must both be (rows, 2"),
    ],
)
def test_what_cannot_be_scored_is_refused(truth, scores, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        multi_label_metrics(truth, scores)
