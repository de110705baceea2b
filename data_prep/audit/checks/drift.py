"""Classes, targets and lengths that are distributed differently in the splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from data_prep.audit.drawings import share_bars
from data_prep.audit.finding import finding, graded, skipped, table, worst
from data_prep.audit.given import AuditInput
from data_prep.splitting import SPLITS
from hfpipe.reports.words import count, percent

TITLE = "Drift between splits"
ORDER = 6
#: Largest total variation between class shares, or Kolmogorov-Smirnov statistic, of two splits.
WARN, FAIL = 0.05, 0.25
MEASURES = {
    "class shares": "total variation",
    "target": "Kolmogorov-Smirnov",
    "text length": "Kolmogorov-Smirnov",
}
#: A difference that chance makes more often than this is none.
CHANCE = 0.001
#: Classes listed, the largest first.
LISTED = 40
DRAWN = 15


def check(given: AuditInput) -> dict[str, Any]:
    """Compare validation and test with train."""
    if sum(size > 0 for size in given.split_sizes) < 2 or not given.split_sizes[0]:
        return skipped("there are no rows on both sides")
    classes = None if given.regression else _classes(given)
    distances = {}
    if given.has_texts:
        distances["text length"] = _distances(given.lengths.astype(np.float64), given.splits)
    if given.targets is not None:
        distances = {"target": _distances(given.targets, given.splits), **distances}
    if classes is not None:
        distances = {"class shares": classes.pop("distances"), **distances}
    verdicts = [_graded(found) for each in distances.values() for found in each.values()]
    said = [f"{what}: {MEASURES[what]} {_largest(each):.3f}" for what, each in distances.items()]
    if classes and classes["unseen"]:
        verdicts.append("fail")
        said.insert(0, f"{count(len(classes['unseen']), 'class')} without a train row")
    if classes and classes["absent"]:
        verdicts.append("warn")
        said.append(f"{count(len(classes['absent']), 'class')} without a test row")
    verdict = worst(verdicts)
    return finding(
        verdict,
        "; ".join(said),
        ""
        if verdict == "ok"
        else "Fine where splits differ by design (by time, by group); elsewhere use stratified "
        "splits. Scores then say less about rows like those of train.",
        numbers={"distances": distances, "classes": classes},
        tables=[_table(distances), *([_classes_table(classes)] if classes else [])],
    )


def plots(numbers: dict[str, Any]) -> list[Markup]:
    """Shares of the largest classes in each split."""
    classes = numbers.get("classes")
    if not classes or not classes["classes"]:
        return []
    shown = {name: shares[:DRAWN] for name, shares in classes["shares"].items() if any(shares)}
    names = classes["classes"][:DRAWN]
    return [share_bars("classes", "Shares of the classes in each split", names, shown)]


def _table(distances: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    rows = [
        [what, split, MEASURES[what], found["statistic"], f"{found['p']:.2g}"]
        for what, each in distances.items()
        for split, found in each.items()
    ]
    columns = ("Of", "Train and", "Measure", "Difference", "Chance makes one so large")
    return table("How far validation and test are from train", columns, rows)


def _graded(distance: dict[str, float]) -> str:
    if distance["p"] > CHANCE:
        return "ok"
    return graded(distance["statistic"], WARN, FAIL)


def _largest(distances: dict[str, dict[str, float]]) -> float:
    return max((each["statistic"] for each in distances.values()), default=0.0)


def _distances(values: np.ndarray, splits: np.ndarray) -> dict[str, dict[str, float]]:
    """Kolmogorov-Smirnov statistic and p-value of each split against train."""
    from scipy.stats import ks_2samp

    known = np.isfinite(values)
    train = values[known & (splits == 0)]
    found = {}
    for code, name in ((1, SPLITS[1]), (2, SPLITS[2])):
        held_out = values[known & (splits == code)]
        if len(train) and len(held_out):
            result = ks_2samp(train, held_out, method="asymp")
            found[name] = {"statistic": float(result.statistic), "p": float(result.pvalue)}
    return found


def _classes(given: AuditInput) -> dict[str, Any]:
    """Shares of the classes in each split, and how far they are from those of train."""
    known = (given.labels >= 0) & (given.splits >= 0)
    width = len(given.label_names)
    cells = given.splits[known].astype(np.int64) * width + given.labels[known]
    counts = np.bincount(cells, minlength=len(SPLITS) * width).reshape(len(SPLITS), width)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    held_out = [code for code in (1, 2) if counts[code].any()]
    largest_first = np.argsort(-counts.sum(axis=0), kind="stable")
    listed = [code for code in largest_first.tolist() if counts[:, code].any()]
    return {
        "distances": {
            SPLITS[code]: {
                "statistic": float(np.abs(shares[code] - shares[0]).sum() / 2),
                "largest": float(np.abs(shares[code] - shares[0]).max(initial=0.0)),
                "p": _chance(counts[[0, code]]),
            }
            for code in held_out
        },
        "classes": [given.name(code) for code in listed[:LISTED]],
        "rows": {name: counts[code][listed[:LISTED]].tolist() for code, name in enumerate(SPLITS)},
        "shares": {
            name: shares[code][listed[:LISTED]].tolist() for code, name in enumerate(SPLITS)
        },
        "more_classes": max(0, len(listed) - LISTED),
        "unseen": _names(given, (counts[0] == 0) & (counts[1:].sum(axis=0) > 0)),
        "absent": _names(given, (counts[2] == 0) & (counts[0] > 0)) if 2 in held_out else [],
    }


def _names(given: AuditInput, marks: np.ndarray) -> list[str]:
    return [given.name(code) for code in np.flatnonzero(marks).tolist()]


def _chance(counts: np.ndarray) -> float:
    """How often chance makes class counts at least so different (chi-square)."""
    from scipy.stats import chi2_contingency

    counts = counts[:, counts.any(axis=0)]
    return float(chi2_contingency(counts).pvalue) if counts.shape[1] > 1 else 1.0


def _classes_table(classes: dict[str, Any]) -> dict[str, Any]:
    rows = [
        [label, *(percent(classes["shares"][split][place]) for split in SPLITS)]
        for place, label in enumerate(classes["classes"])
    ]
    more = classes["more_classes"]
    caption = "Share of each class in each split" + (f"; {more:,} more classes" if more else "")
    return table(caption, ("Class", "Train", "Validation", "Test"), rows)
