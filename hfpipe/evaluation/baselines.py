"""What a model must beat to be worth anything: two baselines, fitted on the train split only.

Both give probabilities over the *model's* labels in the model's order, so that every metric is
computed in the same way for them and for the model. Train rows whose label the model does not
have are left out; a label of the model without train rows gets probability 0.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from hfpipe.errors import UserError
from hfpipe.metrics.classification import classification_metrics
from hfpipe.metrics.scores import Floats

MAX_FEATURES = 200_000
"""The most frequent terms kept: 26 classes then need 42 MB, a thousand 1.6 GB."""

# Chosen on 16,000 WordNet glosses in 26 classes for the highest top-1 we could get of it:
# single-word terms too (min_df 1) and a weak penalty. SAGA gets there in a tenth of the time
# that L-BFGS needs; more passes than 30 change the third decimal at most.
PENALTY = {"C": 50.0, "solver": "saga", "max_iter": 30, "tol": 1e-3, "random_state": 0}


def majority(train_labels: Sequence[str], labels: Sequence[str], rows: int) -> Floats:
    """Give every row the share of each label in train: its best guess is the most frequent.

    Args:
        train_labels: Labels of the train rows.
        labels: The model's labels.
        rows: Number of rows to predict.

    >>> majority(["a", "b", "b", "b"], ["a", "b"], rows=2).tolist()
    [[0.25, 0.75], [0.25, 0.75]]

    Raises:
        UserError: No train row has a label of the model.
    """
    counts = Counter(train_labels)
    known = np.array([counts[label] for label in labels], dtype=np.float64)
    if not known.sum():
        raise UserError(
            f"none of the {len(train_labels)} train rows has one of the model's labels: "
            "this dataset is not what the model was trained for"
        )
    return np.tile(known / known.sum(), (rows, 1))


def tfidf_logistic_regression(
    train_texts: Sequence[str | None],
    train_labels: Sequence[str],
    test_texts: Sequence[str | None],
    labels: Sequence[str],
) -> Floats:
    """Words and word pairs weighted by TF-IDF, then a multinomial logistic regression.

    Where there is nothing to fit (one class in train, not a single word) it can only know the
    frequencies of the labels, and gives those.

    Args:
        train_texts: Texts of the train rows.
        train_labels: Their labels.
        test_texts: Texts to predict.
        labels: The model's labels.

    >>> tfidf_logistic_regression(
    ...     ["a red dog", "a big dog", "one rose", "the rose"],
    ...     ["animal"] * 2 + ["plant"] * 2,
    ...     ["dog", "rose"],
    ...     ["animal", "plant"],
    ... ).argmax(axis=1).tolist()
    [0, 1]
    """
    known = set(labels)
    kept = [position for position, label in enumerate(train_labels) if label in known]
    texts = [train_texts[position] or "" for position in kept]
    targets = np.array([train_labels[position] for position in kept], dtype=object)
    prior = majority(list(targets), labels, len(test_texts))
    vectorizer = TfidfVectorizer(
        sublinear_tf=True, ngram_range=(1, 2), max_features=MAX_FEATURES, dtype=np.float32
    )
    if not len(test_texts) or len(set(targets)) < 2 or not _has_words(vectorizer, texts):
        return prior
    features = vectorizer.fit_transform(texts)
    classifier = LogisticRegression(**PENALTY)
    with warnings.catch_warnings():
        # It stops after a fixed number of passes on purpose: see PENALTY.
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(features, targets)
    found = classifier.predict_proba(vectorizer.transform([text or "" for text in test_texts]))
    return _in_label_order(found, list(classifier.classes_), labels)


def baseline_metrics(
    train_texts: Sequence[str | None],
    train_labels: Sequence[str],
    test_texts: Sequence[str | None],
    truth: npt.ArrayLike,
    labels: Sequence[str],
) -> dict[str, dict[str, float | None]]:
    """Both baselines scored on the rows that the model is scored on.

    Args:
        train_texts: Texts of the train rows.
        train_labels: Their labels.
        test_texts: Texts of the scored rows.
        truth: Class index of every scored row, -1 where it has no label: it is left out.
        labels: The model's labels.

    Returns:
        ``{"majority": {...}, "tfidf_logistic_regression": {...}}``, for the evaluation record.
    """
    indices = np.asarray(truth, dtype=np.int64)
    labelled = np.flatnonzero(indices >= 0)
    texts = [test_texts[int(position)] for position in labelled]
    guesses = {
        "majority": majority(train_labels, labels, len(texts)),
        "tfidf_logistic_regression": tfidf_logistic_regression(
            train_texts, train_labels, texts, labels
        ),
    }
    return {
        name: classification_metrics(indices[labelled], probabilities)
        for name, probabilities in guesses.items()
    }


def _has_words(vectorizer: TfidfVectorizer, texts: Sequence[str]) -> bool:
    analyze = vectorizer.build_analyzer()
    return any(analyze(text) for text in texts)


def _in_label_order(found: Floats, classes: Sequence[str], labels: Sequence[str]) -> Floats:
    """Move columns from scikit-learn's class order to the model's label order."""
    ordered = np.zeros((len(found), len(labels)))
    position = {label: index for index, label in enumerate(labels)}
    for column, label in enumerate(classes):
        ordered[:, position[label]] = found[:, column]
    return ordered
