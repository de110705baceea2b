"""Whether one model beats another on the same rows: paired bootstrap and McNemar's test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hfpipe.errors import UserError
from hfpipe.metrics.intervals import CONFIDENCE, RESAMPLES, check_confidence, chosen_names
from hfpipe.metrics.resampling import Groups, Measure, Resamples, defined, percentiles, replicates
from hfpipe.metrics.scores import Floats
from hfpipe.metrics.tasks import Task, Threshold
from hfpipe.metrics.weighted import measures

EXACT_BELOW = 25
"""Rows that only one model has right: below this many, McNemar's test is the exact binomial."""


@dataclass(frozen=True)
class Difference:
    """How far a metric of the first model is from the second's, on the same rows.

    Attributes:
        value: First minus second; None where either is not defined.
        low: Lower end of its interval; None where over 5 % of the resamples leave it undefined.
        high: Upper end.
        p: How likely a difference at least this large is if there is none, two-sided.
    """

    value: float | None
    low: float | None
    high: float | None
    p: float | None


@dataclass(frozen=True)
class McNemar:
    """Rows that only one of two models has right, and how likely such an imbalance is by chance.

    Attributes:
        only_first: Rows that the first has right and the second wrong.
        only_second: The other way round.
        p: Two-sided; exact below 25 such rows.
    """

    only_first: int
    only_second: int
    p: float

    @property
    def exact(self) -> bool:
        """Whether ``p`` is from the binomial distribution, not from the chi-square one."""
        return self.only_first + self.only_second < EXACT_BELOW


def difference(
    task: Task,
    truth: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    metric: str,
    thresholds: tuple[Threshold | None, Threshold | None] = (None, None),
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Difference:
    """Paired bootstrap of one metric of two models; see :func:`differences`.

    >>> from hfpipe.metrics.tasks import task_of
    >>> truth, first, second = [1, 0] * 20, [0.9, 0.1] * 20, [0.9, 0.1] * 15 + [0.1, 0.9] * 5
    >>> found = difference(task_of("binary"), truth, first, second, "accuracy")
    >>> found.value, found.low > 0.1, found.p < 0.01
    (0.25, True, True)
    """
    return differences(
        task, truth, first, second, [metric], thresholds, groups, resamples, seed, confidence
    )[metric]


def differences(
    task: Task,
    truth: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    metrics: Iterable[str] | None = None,
    thresholds: tuple[Threshold | None, Threshold | None] = (None, None),
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[str, Difference]:
    """First model minus second, for several metrics, by the same resamples of the same rows.

    Both are measured on each resample, so that what makes the rows hard for both cancels out: the
    interval is narrower than the two models' own intervals suggest. ``p`` inverts the percentile
    interval: it is the smallest ``1 - confidence`` whose interval does not hold 0. With ``k`` of
    ``n`` resamples on the side of 0 that has fewer (a difference of 0 is on both) it is
    ``2 (k + 1) / (n + 1)``, at most 1 and never 0 (Davison and Hinkley 1997, section 4.2).

    Args:
        task: Whose metrics they are.
        truth: As for ``task.metrics``; only rows with a label.
        first: Scores of the one model.
        second: Scores of the other for the same rows, in the same order of labels.
        metrics: Names of ``task.metrics``; None: all of them.
        thresholds: Of the first and of the second.
        groups: As for :func:`hfpipe.metrics.intervals.intervals`.
        resamples: How many are drawn.
        seed: The same gives the same numbers, and the resamples of ``intervals``.
        confidence: Share of the resamples that an interval holds.

    Raises:
        UserError: See :func:`hfpipe.metrics.intervals.intervals`.
    """
    check_confidence(confidence)
    values = [
        task.metrics(truth, scores, threshold)
        for scores, threshold in zip((first, second), thresholds, strict=True)
    ]
    names = chosen_names(values[0], metrics)
    drawn = Resamples(len(np.asarray(truth)), resamples, seed, groups)
    if drawn.units < 2:
        return {name: Difference(_minus(values, name), None, None, None) for name in names}
    both: dict[tuple[int, str], Measure] = {}
    for at, (scores, threshold) in enumerate(zip((first, second), thresholds, strict=True)):
        each = measures(task, truth, scores, threshold, names)
        both |= {(at, name): measure for name, measure in each.items()}
    found = replicates(drawn, both)
    return {
        name: _summary(_minus(values, name), found[0, name] - found[1, name], confidence)
        for name in names
    }


def mcnemar(first_right: npt.ArrayLike, second_right: npt.ArrayLike) -> McNemar:
    """McNemar's test (1947) on the rows that only one of two models has right.

    If neither is better, each such row is as likely the one's as the other's. Below 25 of them the
    p value is the exact binomial; from there on it is of the chi-square distribution with one
    degree of freedom, with Edwards' correction for continuity (1948):
    ``(|only_first - only_second| - 1)**2 / (only_first + only_second)``. It takes the rows to be
    independent: where rows come in groups, use :func:`difference` with ``groups``.

    Args:
        first_right: (rows,) whether the first model has each row right.
        second_right: (rows,) whether the second has.

    >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 1, 1])
    McNemar(only_first=4, only_second=1, p=0.375)

    Raises:
        UserError: They are not of the same rows.
    """
    one, two = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    if one.ndim != 1 or one.shape != two.shape:
        raise UserError(f"{one.shape} rows of the first and {two.shape} of the second: the same")
    ours, theirs = int((one & ~two).sum()), int((two & ~one).sum())
    apart = ours + theirs
    if apart < EXACT_BELOW:
        return McNemar(ours, theirs, float(stats.binomtest(ours, apart).pvalue) if apart else 1.0)
    statistic = max(abs(ours - theirs) - 1, 0) ** 2 / apart
    return McNemar(ours, theirs, float(stats.chi2.sf(statistic, 1)))


def _minus(values: Sequence[dict[str, float | None]], name: str) -> float | None:
    first, second = (each[name] for each in values)
    return None if first is None or second is None else first - second


def _summary(value: float | None, apart: Floats, confidence: float) -> Difference:
    known = defined(apart)
    if value is None or known is None:
        return Difference(value, None, None, None)
    low, high = percentiles(known, confidence)
    fewer = min((known <= 0).sum(), (known >= 0).sum())
    p = min(1.0, 2 * (int(fewer) + 1) / (known.size + 1))
    return Difference(value, low, high, p)
