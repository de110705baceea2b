"""Metrics of a classifier whose rows have exactly one class: pure functions over arrays.

Everywhere ``truth`` holds class indices, ``scores`` (or ``probabilities``) is a matrix of rows and
classes, in the model's label order, and ``weights`` says how much each row counts. Predictions are
the best score; equal scores go to the lower index. Averages over classes are over those that occur
in truth or predictions, with 0 for a class whose precision or recall is 0/0: scikit-learn's rules.
What is not defined is ``None``, never a made-up number; :func:`undefined` says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.metrics.binary import known
from hfpipe.metrics.calibration import BELIEFS, beliefs
from hfpipe.metrics.class_rates import RATES, Sides, sides_of
from hfpipe.metrics.ranking import area_under_roc, counts_from_top, mean_precision
from hfpipe.metrics.scores import (
    Floats,
    Ints,
    as_scores,
    as_truth,
    as_weights,
    predicted_classes,
)

TOP_KS = (1, 2, 3)
RANKINGS = ("macro_roc_auc", "macro_average_precision")
POSITIVE = ("precision", "recall", "f1")


def class_rate(
    name: str,
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
) -> float | None:
    """One metric of :data:`RATES`; None without rows.

    ``micro_f1`` is accuracy, as every row has one class; ``balanced_accuracy`` is the mean recall
    of the classes that have rows, ``mcc`` Matthews' correlation for several classes (Gorodkin
    2004), None where truth or predictions are all of one class.

    >>> truth, scores = [0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]
    >>> names = ("accuracy", "macro_f1", "weighted_f1", "macro_precision", "macro_recall")
    >>> [round(class_rate(name, truth, scores), 4) for name in names]
    [0.6667, 0.6667, 0.6667, 0.75, 0.75]
    >>> class_rate("mcc", truth, scores), class_rate("mcc", [0, 0], scores[:2])
    (0.5, None)
    """
    matrix, labels, mass = _checked(truth, scores, weights)
    return known(RATES[name](sides_of(labels, predicted_classes(matrix), mass, matrix.shape[1])))


def top_k_accuracy(
    truth: npt.ArrayLike, scores: npt.ArrayLike, k: int, weights: npt.ArrayLike | None = None
) -> float | None:
    """Share of rows whose true class is among their ``k`` best.

    Ties are broken by class index (lower first), exactly as in the ranked labels of
    ``predictions.jsonl``; scikit-learn's function breaks them the other way.

    >>> top_k_accuracy([0, 2, 2], [[0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.4, 0.4]], k=2)
    0.3333333333333333

    Raises:
        ValueError: ``k`` is below 1 or above the number of classes.
    """
    matrix, labels, mass = _checked(truth, scores, weights)
    if not 1 <= k <= matrix.shape[1]:
        raise ValueError(f"k={k}: it must be between 1 and the {matrix.shape[1]} classes")
    return _share(_rank_of_truth(labels, matrix) < k, mass)


def confusion_matrix(
    truth: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> npt.NDArray[Any]:
    """Counts of rows by true class (down) and predicted class (across), all classes shown.

    Returns:
        (classes, classes), int64; with weights float64.

    >>> confusion_matrix([0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]).tolist()
    [[1, 1], [0, 1]]
    """
    matrix, labels, mass = _checked(truth, scores, weights)
    classes = matrix.shape[1]
    cells = labels * classes + predicted_classes(matrix)
    table = np.bincount(cells, weights=mass, minlength=classes**2).reshape(classes, classes)
    return table.astype(np.int64) if weights is None else table


def per_class(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    labels: Sequence[str] | None = None,
    weights: npt.ArrayLike | None = None,
) -> dict[str, dict[str, float | None]]:
    """Precision, recall, F1 and support of every class, in label order.

    What is 0/0 is ``None`` and not 0: the precision of a class never predicted, the recall of
    one without true rows, the F1 of one with neither.

    >>> per_class([0, 0], [[0.9, 0.1], [0.2, 0.8]], ["a", "b"])["a"]
    {'precision': 1.0, 'recall': 0.5, 'f1': 0.6666666666666666, 'support': 2}
    >>> per_class([0, 0], [[0.9, 0.1], [0.2, 0.8]], ["a", "b"])["b"]
    {'precision': 0.0, 'recall': None, 'f1': 0.0, 'support': 0}
    """
    matrix, true, mass = _checked(truth, scores, weights)
    n = sides_of(true, predicted_classes(matrix), mass, matrix.shape[1])
    names = [str(index) for index in range(len(n.hits))] if labels is None else list(labels)
    if len(names) != len(n.hits):
        raise ValueError(f"{len(names)} labels for {len(n.hits)} classes")
    return {
        name: _positive(n, index)
        | {"support": float(n.support[index]) if weights is not None else int(n.support[index])}
        for index, name in enumerate(names)
    }


def classification_metrics(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> dict[str, float | None]:
    """All metrics of single-label predictions, under the standard flat names.

    Left out: ``top_k_accuracy`` for k above the number of classes, and ``precision``,
    ``recall``, ``f1`` unless there are two classes (they are the second one's; ``macro_*`` are
    there always). ``None``: everything when there are no rows; what is 0/0; and ``macro_roc_auc``
    and ``macro_average_precision`` (each class against the rest) where a class lacks rows.

    Args:
        truth: Class index of every row.
        probabilities: Rows and classes, in label order.
        weights: (rows,) how much each counts, at least 0; None: the same.

    Returns:
        Name to value; ``accuracy`` and ``top_1_accuracy`` are the same number.

    >>> found = classification_metrics([0, 1, 2], [[0.8, 0.1, 0.1], [0.5, 0.4, 0.1], [0, 0, 1]])
    >>> round(found["accuracy"], 3), found["top_2_accuracy"], found["top_3_accuracy"]
    (0.667, 1.0, 1.0)
    >>> found["macro_roc_auc"], round(found["mcc"], 3)
    (1.0, 0.612)
    """
    matrix, labels, mass = _checked(truth, probabilities, weights)
    classes = matrix.shape[1]
    ks = [k for k in TOP_KS if k <= classes]
    positive = POSITIVE if classes == 2 else ()
    if not mass.sum():
        tops = [f"top_{k}_accuracy" for k in ks]
        return dict.fromkeys(["accuracy", *tops, *RATES, *RANKINGS, *BELIEFS, *positive])
    counted = mass > 0
    if not counted.all():
        matrix, labels, mass = matrix[counted], labels[counted], mass[counted]
    n = sides_of(labels, predicted_classes(matrix), mass, classes)
    ranks = _rank_of_truth(labels, matrix)
    rates = {name: known(rate(n)) for name, rate in RATES.items()}
    found: dict[str, float | None] = {"accuracy": rates["accuracy"]}
    found |= {f"top_{k}_accuracy": _share(ranks < k, mass) for k in ks}
    found |= rates | _rankings(labels, matrix, mass, n) | beliefs(labels, matrix, mass)
    return found | (_positive(n, 1) if positive else {})


def undefined(
    truth: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    names: Sequence[str] | None = None,
    weights: npt.ArrayLike | None = None,
) -> dict[str, str]:
    """Why each metric that is ``None`` for these rows is so.

    Args:
        truth: As for :func:`classification_metrics`; so the others.
        probabilities: Rows and classes.
        names: What the classes are called.
        weights: (rows,)

    >>> undefined([0, 0], [[0.9, 0.1], [0.8, 0.2]], ["a", "b"])["macro_roc_auc"]
    "no row of 'b'"
    """
    matrix, labels, mass = _checked(truth, probabilities, weights)
    found = classification_metrics(labels, matrix, mass)
    if not mass.sum():
        return dict.fromkeys(found, "no rows")
    classes = matrix.shape[1]
    n = sides_of(labels, predicted_classes(matrix), mass, classes)
    called = list(names or map(str, range(classes)))
    lacking = [f"'{called[at]}'" for at in np.flatnonzero(n.support == 0)]
    rest = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
    no_rows = f"no row of {', '.join(lacking[:3])}{rest}" if lacking else "there is one class only"
    told = {"truth is": n.support, "predictions are": n.predicted}
    single = [side for side, each in told.items() if (each > 0).sum() < 2]
    reasons = {
        "mcc": f"{' and '.join(single)} all of one class",
        **dict.fromkeys(RANKINGS, no_rows),
        "precision": f"no row predicted '{called[-1]}'",
        "recall": f"no row of '{called[-1]}'",
        "f1": f"no row of '{called[-1]}' and none predicted so",
    }
    return {name: reasons[name] for name, value in found.items() if value is None}


def _checked(
    truth: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[Floats, Ints, Floats]:
    matrix = as_scores(scores)
    return matrix, as_truth(truth, *matrix.shape), as_weights(weights, len(matrix))


def _positive(n: Sides, at: int) -> dict[str, float | None]:
    """Precision, recall and F1 of one class; None where 0/0."""
    parts = (n.hits[at], n.predicted[at]), (n.hits[at], n.support[at])
    both = 2 * n.hits[at], n.predicted[at] + n.support[at]
    return {
        name: float(part / whole) if whole else None
        for name, (part, whole) in zip(POSITIVE, (*parts, both), strict=True)
    }


def _rank_of_truth(labels: Ints, matrix: Floats) -> Ints:
    """How many classes of its row stand before the true one in :func:`ranked_classes`, unsorted."""
    own = matrix[np.arange(len(labels)), labels][:, None]
    tied_before = (matrix == own) & (np.arange(matrix.shape[1]) < labels[:, None])
    ranks: Ints = ((matrix > own) | tied_before).sum(axis=1)
    return ranks


def _share(right: npt.NDArray[np.bool_], mass: Floats) -> float | None:
    return float(mass[right].sum() / mass.sum()) if mass.sum() else None


def _rankings(labels: Ints, matrix: Floats, mass: Floats, n: Sides) -> dict[str, float | None]:
    """Mean over classes, each against the rest; None where a class lacks rows."""
    if not (n.support > 0).all():
        return dict.fromkeys(RANKINGS)
    columns = range(matrix.shape[1])
    curves = [counts_from_top(labels == at, matrix[:, at], mass)[1:] for at in columns]
    areas = zip(*((area_under_roc(*each), mean_precision(*each)) for each in curves), strict=True)
    return {
        name: None if None in each else float(np.mean(each))
        for name, each in zip(RANKINGS, areas, strict=True)
    }
