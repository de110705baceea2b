"""The plots of an evaluation as data: every tracker draws the same points in its own way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sklearn_metrics

from hfpipe.metrics.calibration import reliability
from hfpipe.metrics.thresholds import threshold_curve
from hfpipe.tracking.answers import Answers

POINTS = 200
"""A line of more points is thinned out: nobody sees the difference."""
CURVES = 12
"""More lines in one plot cannot be told apart: those of the largest classes are drawn."""
DOTS = 2000

PR = ("recall", "precision", "line")
ROC = ("false positive rate", "true positive rate", "line")
THRESHOLDS = ("threshold", "value", "line")
RELIABILITY = ("probability", "share", "line")
STAGES = ("step", "value", "line")
"""What x, y and the lines are called: the same for every task, so that runs can be overlaid."""


@dataclass(frozen=True)
class Plot:
    """A plot.

    Attributes:
        name: Its key.
        title: What it says above it.
    """

    name: str
    title: str


@dataclass(frozen=True)
class Lines(Plot):
    """Some lines.

    Attributes:
        axes: What x, y and the lines are called.
        points: (x, y, name of the line), each line by rising or falling x.
    """

    axes: tuple[str, str, str]
    points: list[tuple[float, float, str]]


@dataclass(frozen=True)
class Dots(Plot):
    """One dot a row.

    Attributes:
        axes: What x and y are called.
        points: (x, y).
    """

    axes: tuple[str, str]
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Histogram(Plot):
    """How often values occur.

    Attributes:
        axis: What they are called.
        values: One a row.
    """

    axis: str
    values: list[float]


@dataclass(frozen=True)
class Matrix(Plot):
    """Rows by true and predicted class.

    Attributes:
        labels: The classes.
        counts: (true, predicted).
    """

    labels: list[str]
    counts: npt.NDArray[np.int64]


def plots_of(answers: Answers) -> list[Plot]:
    """Every plot that the task has and the rows have enough for.

    >>> from hfpipe.tracking.answers import answers_of
    >>> rows = [{"truth": 3.0, "prediction": 2.5, "error": -0.5}]
    >>> [plot.name for plot in plots_of(answers_of({"metrics": {}}, rows))]
    ['predicted', 'errors_histogram']
    """
    if not answers.labels and answers.kind != "regression":
        return []
    found = [draw(answers) for draw in PLOTS[answers.kind]]
    return [plot for plot in found if plot is not None]


def precision_recall(answers: Answers) -> Plot | None:
    """Precision over recall, a line a class."""

    def line(truth: Any, scores: Any) -> tuple[Any, Any]:
        precision, recall, _ = sklearn_metrics.precision_recall_curve(truth, scores)
        return recall, precision

    return _by_class(answers, "pr", "Precision and recall", PR[:2], line)


def roc(answers: Answers) -> Plot | None:
    """True over false positive rate, a line a class."""

    def line(truth: Any, scores: Any) -> tuple[Any, Any]:
        false, true, _ = sklearn_metrics.roc_curve(truth, scores, drop_intermediate=False)
        return false, true

    return _by_class(answers, "roc", "ROC", ROC[:2], line)


def thresholds(answers: Answers) -> Plot | None:
    """Precision, recall, F1 and share of rows that are predicted, over the threshold."""
    (label,) = answers.labels[-1:]
    truth, scores = answers.truth[:, -1], answers.scores[:, -1]
    if not 0 < truth.sum() < len(truth):
        return None
    curve = threshold_curve(truth, scores, POINTS)
    lines = {name: getattr(curve, name) for name in ("precision", "recall", "f1", "share")}
    at = answers.threshold(label)
    said = "" if at is None else f"; in use: {at:.4g}"
    points = [point for name, ys in lines.items() for point in _line(curve.threshold, ys, name)]
    title = f"What each threshold for '{label}' gives{said}"
    return Lines("thresholds", title, THRESHOLDS, points)


def thresholds_of_labels(answers: Answers) -> Plot | None:
    """F1 of each label over its threshold."""

    def line(truth: Any, scores: Any) -> tuple[Any, Any]:
        curve = threshold_curve(truth, scores, POINTS)
        return curve.threshold, curve.f1

    return _by_class(answers, "thresholds", "F1 of each label's threshold", THRESHOLDS[:2], line)


def coverage(answers: Answers) -> Plot | None:
    """Of several classes: accuracy of the rows that are at least so sure, and their share."""
    sure = np.array([row["scores"][0] for row in answers.rows])
    right = np.array([bool(row["top_1_correct"]) for row in answers.rows])
    order = np.argsort(-sure, kind="stable")
    last = np.append(np.flatnonzero(np.diff(sure[order])), len(order) - 1)
    kept = last + 1
    accuracy, share = np.cumsum(right[order])[last] / kept, kept / len(order)
    lines = {"accuracy of the rest": accuracy, "share of the rows": share}
    points = [point for name, ys in lines.items() for point in _line(sure[order][last], ys, name)]
    title = "If rows of a lower probability are left to people"
    return Lines("thresholds", title, THRESHOLDS, points)


def calibration(answers: Answers) -> Plot | None:
    """How often rows of each confidence are right; before calibration too, where there was one.

    None where the scores are no probabilities, so that the record has no ECE either.
    """
    if "ece" in (answers.record.get("undefined") or {}):
        return None
    binary = answers.kind == "binary"
    right = answers.truth[:, -1] if binary else [bool(r["top_1_correct"]) for r in answers.rows]
    now = [row["score"] if binary else row["scores"][0] for row in answers.rows]
    lines = {"probabilities": now}
    if all("uncalibrated" in row for row in answers.rows):
        before = [row["uncalibrated"] for row in answers.rows]
        lines = {"before calibration": before, "after calibration": now}
    points: list[tuple[float, float, str]] = [(0.0, 0.0, "perfect"), (1.0, 1.0, "perfect")]
    for name, sure in lines.items():
        diagram = reliability(sure, right)
        points += _line(diagram.confidence, diagram.accuracy, name)
    share = f"share that is '{answers.labels[-1]}'" if binary else "share that is right"
    return Lines("reliability", f"Reliability: {share}", RELIABILITY, points)


def confusion(answers: Answers) -> Plot | None:
    """True by predicted class."""
    of = {label: at for at, label in enumerate(answers.labels)}
    counts = np.zeros((len(of), len(of)), dtype=np.int64)
    for row in answers.rows:
        if row["truth"] in of and row["prediction"] in of:
            counts[of[row["truth"]], of[row["prediction"]]] += 1
    return Matrix("confusion_matrix", "Confusion matrix", list(of), counts)


def predicted(answers: Answers) -> Plot | None:
    """Predicted against true."""
    pairs = np.stack([answers.numbers("truth"), answers.numbers("prediction")], axis=1)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    step = max(1, -(-len(pairs) // DOTS))
    points = [(x, y) for x, y in pairs[::step].tolist()]
    axes = ("truth", "prediction")
    return Dots("predicted", "Predicted against true", axes, points) if points else None


def errors(answers: Answers) -> Plot | None:
    """How large the errors are, in the scale that is learned."""
    found = np.array([row["error"] for row in answers.rows], dtype=np.float64)
    values = found[np.isfinite(found)].tolist()
    title = "Errors: predicted minus true"
    return Histogram("errors_histogram", title, "error", values) if values else None


PLOTS: Mapping[str, Sequence[Callable[[Answers], Plot | None]]] = {
    "": (),
    "classification": (precision_recall, roc, confusion, coverage, calibration),
    "binary": (precision_recall, roc, confusion, thresholds, calibration),
    "multi_label": (precision_recall, roc, thresholds_of_labels),
    "regression": (predicted, errors),
}


def stage_lines(
    history: Sequence[Mapping[str, Any]], stages: Sequence[str] = ()
) -> Iterator[Lines]:
    """The curves of training, each with a line a stage; of what no two rows tell, none.

    Args:
        history: The Trainer's logs, as in ``curves.json``.
        stages: The stages' names, in order.

    >>> rows = [{"step": 1, "stage": 1, "loss": 0.5}, {"step": 2, "stage": 2, "loss": 0.4}]
    >>> next(stage_lines(rows, ["head", "all"])).points
    [(1.0, 0.5, 'head'), (2.0, 0.4, 'all')]
    """
    named = dict(enumerate(stages, start=1))
    rest = ("step", "epoch", "stage")
    for key in dict.fromkeys(key for each in history for key in each if key not in rest):
        points = [
            (float(each["step"]), float(each[key]), str(named.get(each.get("stage", 0), "all")))
            for each in history
            if "step" in each and isinstance(each.get(key), (int, float)) and np.isfinite(each[key])
        ]
        if len(points) > 1:
            name = key.removeprefix("eval_")
            title = name if name == key else f"{name} (validation)"
            yield Lines(key, f"{title}, by stage", STAGES, points)


def _by_class(
    answers: Answers,
    name: str,
    title: str,
    axes: Sequence[str],
    line: Callable[[Any, Any], tuple[Any, Any]],
) -> Plot | None:
    """A line a class against all others; of a binary task the positive one's alone."""
    truth, scores = answers.truth, answers.scores
    counts = truth.sum(axis=0)
    told = np.flatnonzero((counts > 0) & (counts < len(truth)))
    told = told[told == len(counts) - 1] if answers.kind == "binary" else told
    largest = told[np.argsort(-counts[told], kind="stable")][:CURVES]
    points = [
        point
        for at in sorted(largest.tolist())
        for point in _line(*line(truth[:, at], scores[:, at]), answers.labels[at])
    ]
    if len(told) > CURVES:
        title = f"{title} ({CURVES} largest of {len(told)} classes)"
    return Lines(name, title, (axes[0], axes[1], "line"), points) if points else None


def _line(xs: Any, ys: Any, name: str) -> list[tuple[float, float, str]]:
    """A line's finite points, thinned out, its ends kept."""
    pairs = np.stack([np.asarray(xs, np.float64), np.asarray(ys, np.float64)], axis=1)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    kept = np.unique(np.linspace(0, len(pairs) - 1, min(POINTS, len(pairs))).round().astype(int))
    return [(x, y, name) for x, y in pairs[kept].tolist()]
