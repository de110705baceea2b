"""Linear models and boosted trees that every task's baselines are made of."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV

from hfpipe.evaluation.features import Matrix
from hfpipe.metrics.scores import Floats
from hfpipe.metrics.tasks import Binary, Classification, MultiLabel, Regression, Task

# Chosen on 16,000 WordNet glosses in 26 classes for the highest top-1 we could get of it:
# single-word terms too (min_df 1) and a weak penalty. SAGA gets there in a tenth of the time
# that L-BFGS needs; more passes than 30 change the third decimal at most.
PENALTY = {"C": 50.0, "solver": "saga", "max_iter": 30, "tol": 1e-3, "random_state": 0}
STRENGTH = 3.0
"""Of the other linear models: between what few rows with short texts and many rows like best."""
ROUNDS = 100
"""Trees of a boosted model; shared out where it needs one a class."""
LEAVES = 15
Make = Callable[[int, Matrix], Any]
"""A number of classes (0 for a number to predict) and the train matrix to an unfitted model."""
Target = npt.NDArray[Any]


def linear_scores(
    task: Task, target: Target, train: Matrix, others: Sequence[Matrix]
) -> list[Floats]:
    """Logistic regression, or ridge regression for numbers: scores of each lot of rows.

    Args:
        task: What is predicted.
        target: Of the train rows, all of them labelled, as ``LabelSpec.encode`` gives it.
        train: (rows, numbers), dense or sparse.
        others: Lots of rows to give scores of.
    """
    return _SCORERS[type(task)](task, target, train, others, _linear)


def boosted_scores(
    task: Task, target: Target, train: Matrix, others: Sequence[Matrix], seed: int = 0
) -> list[Floats]:
    """Boosted trees on dense numbers, which may be NaN; arguments as for :func:`linear_scores`."""

    def make(classes: int, _: Matrix) -> Any:
        rounds = max(10, 2 * ROUNDS // max(2, classes)) if classes > 2 else ROUNDS
        kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        return kind(max_iter=rounds, max_leaf_nodes=LEAVES, random_state=seed)

    return _SCORERS[type(task)](task, target, train, others, make)


def constant_scores(task: Task, target: Target, rows: int) -> Floats:
    """What is right most often without looking: shares of the classes, or the mean.

    >>> constant_scores(Binary(), np.array([0, 0, 0, 1]), 2).tolist()
    [0.25, 0.25]
    """
    if isinstance(task, Classification):
        shares = np.bincount(target, minlength=len(task.labels)) / len(target)
        return np.tile(shares, (rows, 1))
    means = np.asarray(target, dtype=np.float64).mean(axis=0)
    return np.tile(means, (rows, 1)) if means.ndim else np.full(rows, float(means))


def _linear(classes: int, train: Matrix) -> Any:
    dense = isinstance(train, np.ndarray)
    if not classes:
        if dense:
            return RidgeCV(alphas=np.logspace(-2, 4, 13))
        return RidgeCV(alphas=np.logspace(-1, 2, 4), cv=3)
    if classes == 2:
        return LogisticRegression(C=STRENGTH, solver="liblinear", max_iter=200, random_state=0)
    return LogisticRegression(C=STRENGTH, max_iter=200) if dense else LogisticRegression(**PENALTY)


def _of_classes(
    task: Task, target: Target, train: Matrix, others: Sequence[Matrix], make: Make
) -> list[Floats]:
    return _probabilities(target, len(task.labels), train, others, make)


def _of_two(
    task: Task, target: Target, train: Matrix, others: Sequence[Matrix], make: Make
) -> list[Floats]:
    found = _probabilities(target.astype(np.int64), 2, train, others, make)
    return [each[:, 1] for each in found]


def _of_labels(
    task: Task, target: Target, train: Matrix, others: Sequence[Matrix], make: Make
) -> list[Floats]:
    """Every label on its own."""
    columns = [_of_two(task, marks, train, others, make) for marks in target.T]
    return [np.column_stack([column[lot] for column in columns]) for lot in range(len(others))]


def _of_numbers(
    task: Task, target: Target, train: Matrix, others: Sequence[Matrix], make: Make
) -> list[Floats]:
    numbers = np.asarray(target, dtype=np.float64)
    if not train.shape[1] or len(numbers) < 3:
        return [np.full(each.shape[0], numbers.mean()) for each in others]
    model = _fitted(make(0, train), train, numbers)
    return [_predicted(model.predict, each) for each in others]


_SCORERS: dict[type[Task], Callable[..., list[Floats]]] = {
    Classification: _of_classes,
    Binary: _of_two,
    MultiLabel: _of_labels,
    Regression: _of_numbers,
}


def _probabilities(
    target: Target, classes: int, train: Matrix, others: Sequence[Matrix], make: Make
) -> list[Floats]:
    """(rows, classes) a lot; of classes that train does not have 0."""
    there = np.unique(target)
    if len(there) < 2 or not train.shape[1]:
        shares = np.bincount(target, minlength=classes) / len(target)
        return [np.tile(shares, (each.shape[0], 1)) for each in others]
    model = _fitted(make(len(there), train), train, target)
    found = []
    for each in others:
        ordered = np.zeros((each.shape[0], classes))
        ordered[:, model.classes_] = _predicted(model.predict_proba, each, len(there))
        found.append(ordered)
    return found


def _fitted(model: Any, train: Matrix, target: Target) -> Any:
    with warnings.catch_warnings():
        # It stops after a fixed number of passes on purpose: see PENALTY.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(train, target)


def _predicted(
    predict: Callable[[Matrix], Any], rows: Matrix, classes: int | None = None
) -> Floats:
    """What a model says, also of no rows, which scikit-learn refuses."""
    if not rows.shape[0]:
        return np.zeros((0,) if classes is None else (0, classes))
    return np.asarray(predict(rows), dtype=np.float64)
