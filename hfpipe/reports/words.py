"""How numbers and names are written for people: the same in the report and in the cards."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

TITLES: Mapping[str, str] = {
    "accuracy": "Accuracy",
    "top_1_accuracy": "Top-1 accuracy",
    "top_2_accuracy": "Top-2 accuracy",
    "top_3_accuracy": "Top-3 accuracy",
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "macro_roc_auc": "Macro ROC AUC",
    "macro_average_precision": "Macro average precision",
    "balanced_accuracy": "Balanced accuracy",
    "mcc": "Matthews correlation (MCC)",
    "micro_f1": "Micro F1",
    "macro_f1": "Macro F1",
    "weighted_f1": "Weighted F1",
    "micro_precision": "Micro precision",
    "micro_recall": "Micro recall",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "hamming_loss": "Hamming loss",
    "rmse_log": "RMSE (log scale)",
    "mae_log": "Mean absolute error (log scale)",
    "r2_log": "R² (log scale)",
    "rmse_raw": "RMSE",
    "mae_raw": "Mean absolute error",
    "r2_raw": "R²",
    "spearman": "Spearman rank correlation",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "ece": "Calibration error (ECE)",
    "classwise_ece": "Class-wise calibration error",
    "majority": "Most frequent class",
    "mean": "Mean of the train split",
    "tfidf_logistic_regression": "TF-IDF + logistic regression",
    "logistic_regression": "Logistic regression",
    "ridge": "Ridge regression",
    "pixels_boosting": "Boosted trees on pixels",
}
PEOPLE = ("Brier", "Hamming", "Matthews", "Spearman")
UNDEFINED = "n/a"
LARGE = 1000
"""From here on nobody reads the digits behind the point."""


def title(name: str) -> str:
    """Name of a metric or baseline for people.

    >>> title("top_2_accuracy"), title("some_score")
    ('Top-2 accuracy', 'Some score')
    """
    return TITLES.get(name) or name.replace("_", " ").capitalize()


def within(name: str) -> str:
    """Name of a metric or baseline inside a sentence: acronyms and people's names stay as they are.

    >>> within("macro_f1"), within("ece"), within("rmse_log"), within("brier"), within("f1")
    ('macro F1', 'calibration error (ECE)', 'RMSE (log scale)', 'Brier score', 'F1')
    """
    shown = title(name)
    kept = not shown[1:2].islower() or shown.startswith(PEOPLE)
    return shown if kept else shown[:1].lower() + shown[1:]


def signed(value: object, digits: int = 3) -> str:
    """Write a difference with its sign.

    >>> signed(0.0861), signed(-0.2), signed(-0.0001), signed(None)
    ('+0.086', '-0.200', '0.000', 'n/a')
    """
    written = number(value, digits)
    if (
        not isinstance(value, (int, float))
        or written == UNDEFINED
        or not re.search("[1-9]", written)
    ):
        return written.removeprefix("-")
    return f"+{written}" if value > 0 else written


def number(value: object, digits: int = 3) -> str:
    """Write a score with a fixed number of digits, a count with thousands set off.

    >>> number(0.83649), number(16000), number(None), number(float("nan")), number(172112.839)
    ('0.836', '16,000', 'n/a', 'n/a', '172,113')
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return UNDEFINED
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.{digits}f}" if abs(value) < LARGE else f"{value:,.0f}"
    return str(value)


def percent(value: float | None) -> str:
    """Write a share in percent, rounded as :func:`number` rounds it.

    >>> percent(0.8364), percent(0.9045), percent(None)
    ('83.6 %', '90.4 %', 'n/a')
    """
    return UNDEFINED if value is None else f"{100 * float(number(float(value))):.1f} %"


def count(rows: int, noun: str) -> str:
    """Write a number of things.

    >>> count(1, "row"), count(4000, "row"), count(2, "class")
    ('1 row', '4,000 rows', '2 classes')
    """
    ending = "" if rows == 1 else "es" if noun.endswith("s") else "s"
    return f"{rows:,} {noun}{ending}"


def metric_order(metrics: Mapping[str, object]) -> list[str]:
    """Names of the metrics to show, in order; ``accuracy`` is left to its twin ``top_1``.

    >>> metric_order({"ece": 0.1, "accuracy": 0.9, "own": 1.0, "top_1_accuracy": 0.9})
    ['top_1_accuracy', 'ece', 'own']
    """
    known = [name for name in TITLES if name in metrics]
    if "top_1_accuracy" in known and "accuracy" in known:
        known.remove("accuracy")
    return known + [name for name in metrics if name not in TITLES]


def shortened(text: str, limit: int) -> str:
    """Cut a text that is longer than ``limit`` characters, and show that it was cut.

    >>> shortened("a long text", 7), shortened("short", 7)
    ('a long…', 'short')
    """
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
