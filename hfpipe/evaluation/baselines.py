"""What a model must beat to be worth anything: simple models, fitted on the train split only.

All give what the model gives (probabilities over the *model's* labels in the model's order, or
numbers in the scale that is learned), so that every metric is computed in the same way for them
and for the model. Train rows without a label that the model has are left out; a label of the model
without train rows gets probability 0.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import Dataset
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from hfpipe.errors import UserError
from hfpipe.evaluation.decisions import Decision
from hfpipe.evaluation.features import Design, words_vectorizer
from hfpipe.evaluation.simple_models import (
    PENALTY,
    boosted_scores,
    constant_scores,
    linear_scores,
)
from hfpipe.inputs.kinds.categorical import CategoricalInput
from hfpipe.inputs.kinds.image import ImageInput
from hfpipe.inputs.kinds.numeric import NumericInput
from hfpipe.inputs.kinds.text import TextInput
from hfpipe.inputs.processor import Processor
from hfpipe.metrics.scores import Floats
from hfpipe.metrics.tasks import Binary, Classification, Regression, Task, Threshold

_FOREIGN = (
    "none of the {rows} train rows has one of the model's labels: this dataset is not what the "
    "model was trained for"
)


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
        raise UserError(_FOREIGN.format(rows=len(train_labels)))
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
    vectorizer = words_vectorizer()
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


@dataclass(frozen=True)
class Guess:
    """What a baseline says of the scored rows that have a label.

    Attributes:
        scores: As ``Task.scores`` gives them.
        threshold: From which score on it calls a class.
    """

    scores: Floats
    threshold: Threshold | None = None


def baseline_guesses(
    task: Task,
    processor: Processor,
    train: Dataset,
    train_truth: npt.ArrayLike,
    rows: Dataset,
    truth: npt.ArrayLike,
    *,
    threshold: Threshold | None = None,
    aim: str = "f1",
    calibrate: bool = False,
    validation: tuple[Dataset, npt.ArrayLike] | None = None,
    train_processor: Processor | None = None,
    seed: int = 0,
) -> dict[str, Guess]:
    """The baselines of a task, asked about the rows that the model is scored on.

    - ``majority`` (classes: the share of each in train) or ``mean`` (of a regression's targets);
    - ``tfidf_logistic_regression`` on the text alone: of a classification of text, and where there
      is more than text (not for a regression or several labels a row);
    - ``logistic_regression`` or ``ridge``: one linear model over all inputs but images, where that
      is not the same;
    - ``metadata_only``: that of the numbers and categories alone, where there is more than those;
    - ``pixels_boosting``: boosted trees on small images, where there are images.

    Args:
        task: What is predicted.
        processor: The model's, fitted on train: it names the inputs.
        train: The train split.
        train_truth: Its labels, as ``LabelSpec.encode`` gives them.
        rows: The scored rows.
        truth: Their labels; rows without one are left out.
        threshold: Of every baseline, where the task has one; by default the best for ``aim`` on
            ``validation``, and 0.5 without it. That of ``majority`` is always 0.5.
        aim: What thresholds are chosen for, as the model's is.
        calibrate: Whether to calibrate on ``validation`` where that helps, as the model's scores
            are: else a difference in log loss would be the calibration's. Not ``majority``.
        validation: Rows and labels that calibrations and thresholds are fitted on.
        train_processor: The processor with the names that the columns have in ``train`` and
            ``validation``, where ``rows`` has others.
        seed: Of the boosted trees.

    Returns:
        Name to guesses of the labelled rows, in order; empty where no scored row has a label.

    Raises:
        UserError: No train row has a label of the model; a row does not hold what train held.
    """
    first = train_processor or processor
    lots = [_labelled(task, train, train_truth), _labelled(task, rows, truth)]
    processors = [first, processor]
    wanted = task.default_threshold is not None or (calibrate and isinstance(task, Classification))
    if validation is not None and wanted and threshold is None:
        lots.append(_labelled(task, *validation))
        processors.append(first)
    answers = [np.asarray(lot[1]) for lot in lots]
    if not len(answers[1]):
        return {}
    if not len(answers[0]):
        raise UserError(_FOREIGN.format(rows=len(train)))
    trivial = "mean" if isinstance(task, Regression) else "majority"
    guess = constant_scores(task, answers[0], len(answers[1]))
    found = {trivial: Guess(guess)}
    design = Design.of(processors, [lot[0] for lot in lots])
    for name, scores in _guesses(task, design, answers[0], seed).items():
        decision = Decision(threshold)
        if len(lots) > 2:
            decision = Decision.fit(task, answers[2], scores[1], aim, calibrate=calibrate)
        found[name] = Guess(decision.apply(scores[0]), decision.threshold)
    return found


def _guesses(task: Task, design: Design, target: Any, seed: int) -> dict[str, list[Floats]]:
    """Baseline to its scores of every lot but the first."""
    texts, images = design.named(TextInput), design.named(ImageInput)
    others = [name for name in design.processor.inputs if name not in images]
    words_alone = isinstance(task, Classification) and others == texts and not images
    found: dict[str, list[Floats]] = {}
    if texts and (words_alone or others != texts or images) and type(task) in _NAMED:
        found["tfidf_logistic_regression"] = _words(task, design, texts, target)
    if others and not (words_alone and len(texts) == 1):
        name = "ridge" if isinstance(task, Regression) else "logistic_regression"
        train, *rest = design.matrices(others)
        found[name] = linear_scores(task, target, train, rest)
    metadata = design.named(NumericInput, CategoricalInput)
    if metadata and len(metadata) < len(others):  # else that is the model above
        train, *rest = design.matrices(metadata)
        found["metadata_only"] = linear_scores(task, target, train, rest)
    if images:
        train, *rest = design.matrices(images)
        found["pixels_boosting"] = boosted_scores(task, target, train, rest, seed)
    return found


_NAMED: Mapping[type[Task], Callable[[Any], list[str]]] = {
    Classification: lambda task: task.labels,
    Binary: lambda task: task.sides,
}


def _words(task: Task, design: Design, texts: Sequence[str], target: Any) -> list[Floats]:
    """:func:`tfidf_logistic_regression` of all texts of a row, one after the other."""
    lots = [
        [" ".join(parts) for parts in zip(*each, strict=True)]
        for each in zip(*(design.texts[name] for name in texts), strict=True)
    ]
    labels = _NAMED[type(task)](task)
    names = [labels[int(index)] for index in target]
    wanted = [text for lot in lots[1:] for text in lot]
    scores = tfidf_logistic_regression(lots[0], names, wanted, labels)
    bounds = np.cumsum([len(lot) for lot in lots[1:]])[:-1]
    found = np.split(scores, bounds)
    return found if isinstance(task, Classification) else [each[:, 1] for each in found]


def _labelled(task: Task, rows: Dataset, truth: npt.ArrayLike) -> tuple[Dataset, Any]:
    answers = np.asarray(truth)
    kept = np.flatnonzero(task.labelled(answers))
    if isinstance(task, Classification):
        answers = answers.astype(np.int64)
    return (rows if len(kept) == len(rows) else rows.select(kept)), answers[kept]


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
