"""Metrics of a classifier whose rows have exactly one class: pure functions over arrays.

Everywhere ``truth`` holds class indices and ``scores`` (or ``probabilities``) is a matrix of
rows and classes, in the model's label order. Predictions are the best score; equal scores go to
the lower index. Averages over classes are over those that occur in truth or predictions, with
0 for a class whose precision or recall is 0/0: scikit-learn's rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sklearn_metrics

from hfpipe.metrics.calibration import brier, ece, log_loss
from hfpipe.metrics.scores import Ints, as_scores, as_truth, predicted_classes, ranked_classes

TOP_KS = (1, 2, 3)


def accuracy(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Share of rows whose best class is the true one.

    >>> accuracy([0, 1], [[0.9, 0.1], [0.6, 0.4]])
    0.5
    """
    labels, predictions = _both(truth, scores)
    return float(sklearn_metrics.accuracy_score(labels, predictions))


def top_k_accuracy(truth: npt.ArrayLike, scores: npt.ArrayLike, k: int) -> float:
    """Share of rows whose true class is among their ``k`` best.

    Ties are broken by class index (lower first), exactly as in the ranked labels of
    ``predictions.jsonl``; scikit-learn's function breaks them the other way.

    >>> top_k_accuracy([0, 2, 2], [[0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.4, 0.4]], k=2)
    0.3333333333333333

    Raises:
        ValueError: ``k`` is below 1 or above the number of classes.
    """
    matrix = as_scores(scores)
    if not 1 <= k <= matrix.shape[1]:
        raise ValueError(f"k={k}: it must be between 1 and the {matrix.shape[1]} classes")
    labels = as_truth(truth, *matrix.shape)
    return float((ranked_classes(matrix)[:, :k] == labels[:, None]).any(axis=1).mean())


def macro_f1(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """F1 averaged over classes, each class counting the same.

    >>> round(macro_f1([0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]), 4)
    0.6667
    """
    return float(sklearn_metrics.f1_score(*_both(truth, scores), average="macro", zero_division=0))


def weighted_f1(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """F1 averaged over classes, each counting by its number of true rows.

    >>> round(weighted_f1([0, 0, 0, 1], [[1, 0], [1, 0], [0, 1], [0, 1]]), 4)
    0.7667
    """
    labels, predictions = _both(truth, scores)
    return float(sklearn_metrics.f1_score(labels, predictions, average="weighted", zero_division=0))


def macro_precision(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Precision averaged over classes, each class counting the same.

    >>> macro_precision([0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    0.75
    """
    labels, predictions = _both(truth, scores)
    return float(
        sklearn_metrics.precision_score(labels, predictions, average="macro", zero_division=0)
    )


def macro_recall(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Recall averaged over classes, each class counting the same.

    >>> macro_recall([0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    0.75
    """
    labels, predictions = _both(truth, scores)
    return float(
        sklearn_metrics.recall_score(labels, predictions, average="macro", zero_division=0)
    )


def confusion_matrix(truth: npt.ArrayLike, scores: npt.ArrayLike) -> Ints:
    """Counts of rows by true class (down) and predicted class (across), all classes shown.

    >>> confusion_matrix([0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]).tolist()
    [[1, 1], [0, 1]]
    """
    labels, predictions = _both(truth, scores)
    classes = as_scores(scores).shape[1]
    flat = np.bincount(labels * classes + predictions, minlength=classes * classes)
    counts: Ints = flat.reshape(classes, classes).astype(np.int64)
    return counts


def per_class(
    truth: npt.ArrayLike, scores: npt.ArrayLike, labels: Sequence[str] | None = None
) -> dict[str, dict[str, float | None]]:
    """Precision, recall, F1 and support of every class, in label order.

    What is 0/0 is ``None`` and not 0: the precision of a class never predicted, the recall of
    one without true rows, the F1 of one with neither.

    >>> per_class([0, 0], [[0.9, 0.1], [0.2, 0.8]], ["a", "b"])["a"]
    {'precision': 1.0, 'recall': 0.5, 'f1': 0.6666666666666666, 'support': 2}
    >>> per_class([0, 0], [[0.9, 0.1], [0.2, 0.8]], ["a", "b"])["b"]
    {'precision': 0.0, 'recall': None, 'f1': 0.0, 'support': 0}
    """
    counts = confusion_matrix(truth, scores)
    names = [str(index) for index in range(len(counts))] if labels is None else list(labels)
    if len(names) != len(counts):
        raise ValueError(f"{len(names)} labels for {len(counts)} classes")
    hits, support, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    return {
        name: {
            "precision": _ratio(hits[index], predicted[index]),
            "recall": _ratio(hits[index], support[index]),
            "f1": _ratio(2 * hits[index], predicted[index] + support[index]),
            "support": int(support[index]),
        }
        for index, name in enumerate(names)
    }


def positive_class(truth: npt.ArrayLike, scores: npt.ArrayLike) -> dict[str, float | None]:
    """Precision, recall and F1 of the second of two classes, under their standard names.

    >>> positive_class([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    {'precision': 1.0, 'recall': 0.5, 'f1': 0.6666666666666666}
    """
    second = per_class(truth, scores, ["negative", "positive"])["positive"]
    return {name: second[name] for name in ("precision", "recall", "f1")}


METRICS: dict[str, Callable[[npt.ArrayLike, npt.ArrayLike], float]] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "weighted_f1": weighted_f1,
    "macro_precision": macro_precision,
    "macro_recall": macro_recall,
    "log_loss": log_loss,
    "brier": brier,
    "ece": ece,
}
"""Those that every classifier has, whatever the number of classes."""


def classification_metrics(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike
) -> dict[str, float | None]:
    """All metrics of single-label predictions, under the standard flat names.

    Left out: ``top_k_accuracy`` for k above the number of classes, and ``precision``,
    ``recall``, ``f1`` unless there are two classes (they are the second one's; ``macro_*`` are
    there always). ``None``: everything when there are no rows, and of the two-class three
    what is 0/0.

    Args:
        truth: Class index of every row.
        probabilities: Rows and classes, in label order.

    Returns:
        Name to value; ``accuracy`` and ``top_1_accuracy`` are the same number.

    >>> found = classification_metrics([0, 1, 2], [[0.8, 0.1, 0.1], [0.5, 0.4, 0.1], [0, 0, 1]])
    >>> round(found["accuracy"], 3), found["top_2_accuracy"], found["top_3_accuracy"]
    (0.667, 1.0, 1.0)
    """
    matrix = as_scores(probabilities)
    ks = [k for k in TOP_KS if k <= matrix.shape[1]]
    names = ["accuracy", *(f"top_{k}_accuracy" for k in ks), *METRICS]
    if len(matrix) == 0:
        return dict.fromkeys(names)
    found: dict[str, float | None] = {"accuracy": accuracy(truth, matrix)}
    found |= {f"top_{k}_accuracy": top_k_accuracy(truth, matrix, k) for k in ks}
    found |= {name: metric(truth, matrix) for name, metric in METRICS.items()}
    if matrix.shape[1] == 2:
        found |= positive_class(truth, matrix)
    return found


def _both(truth: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Ints, Ints]:
    matrix = as_scores(scores)
    return as_truth(truth, *matrix.shape), predicted_classes(matrix)


def _ratio(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None
