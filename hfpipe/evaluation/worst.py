"""The slices that a model does worst on, found by itself and told only where it is certain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from hfpipe.errors import UserError, nearest
from hfpipe.evaluation.chance import Evidence, Losses, Ranking
from hfpipe.evaluation.row_losses import loss_of
from hfpipe.evaluation.slicing import Parts, metrics_of_slice, parts_of
from hfpipe.metrics.directions import DIRECTIONS, is_better
from hfpipe.metrics.scores import Floats
from hfpipe.metrics.tasks import Binary, Classification, MultiLabel, Regression, Task, Threshold

CERTAIN = 0.05
FEWEST = 30
SHARE = 0.02
"""A slice and the other rows have at least so many rows, and at least this share of all."""
Marks = npt.NDArray[np.bool_]
_TOLD: Mapping[type[Task], Callable[[Task], str]] = MappingProxyType(
    {
        Classification: lambda _: "accuracy",
        Binary: lambda _: "roc_auc",
        MultiLabel: lambda _: "hamming_loss",
        Regression: lambda task: task.primary,
    }
)


def worst_slices(
    task: Task,
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    columns: Mapping[str, Sequence[Any]],
    threshold: Threshold | None = None,
    *,
    metric: str | None = None,
    support: int | None = None,
    most: int = 5,
    groups: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Slices that are clearly worse than the other rows, worst first, in the record's form.

    Tried is every slice of every column (:func:`hfpipe.evaluation.slicing.parts_of`) and of every
    pair of columns that has enough rows. By ROC AUC and average precision its AUC is held against
    the other rows' (:class:`hfpipe.evaluation.chance.Ranking`); by any other metric the losses of
    its rows (:func:`hfpipe.evaluation.row_losses.loss_of`) against those of as many rows drawn from
    all (:func:`hfpipe.evaluation.chance.permutation_p`). With ``groups``, whose rows may err alike,
    a test by groups has to agree (:meth:`hfpipe.evaluation.chance.Evidence.group_p`). The p-values
    are corrected for the number of slices tried, which share rows (Benjamini and Hochberg's
    correction in the form of Benjamini and Yekutieli 2001, for tests that depend on each other),
    and told below 0.05.

    The worst is the one that is worse by most at least: by the lower end of a one-sided 95 %
    interval of the difference. Its rows are then put aside, and the next is the
    worst of the others, so that a slice is not told for the rows that it shares with a worse one. A
    pair has to be clearly worse than the other rows of either of its two slices.

    Args:
        task: What is predicted.
        truth: As ``LabelSpec.encode`` gives it; rows without a label do not count.
        scores: Of the same rows, as :meth:`Task.scores` gives them.
        columns: Column to one value a row, of the same rows.
        threshold: As for :meth:`Task.metrics`.
        metric: What is told of the slice and of the other rows, and decides which losses are
            tested: by default ``accuracy``, ``roc_auc``, ``hamming_loss``, or the task's primary
            one of numbers. A slice that is not worse by it, or for which it is not defined, is left
            out.
        support: The fewest rows of a slice; by default 30, and 2 % of the rows.
        most: At most so many are told.
        groups: Whose each row is, where rows of one group belong together.

    Returns:
        Of each ``slice`` (column to value, of one column or two) ``n``, ``metric``, its ``value``
        and that of the ``rest``, of all rows, and the corrected ``p``, of those that were left.

    >>> from hfpipe.metrics.tasks import task_of
    >>> truth, scores = np.zeros(200, int), np.tile([0.9, 0.1], (200, 1))
    >>> scores[:40] = [0.2, 0.8]
    >>> lang = ["de"] * 50 + ["en"] * 150
    >>> (found,) = worst_slices(
    ...     task_of("classification", ["a", "b"]), truth, scores, {"lang": lang}
    ... )
    >>> found["slice"], found["n"], found["value"], found["rest"]
    ({'lang': 'de'}, 50, 0.2, 1.0)

    Raises:
        UserError: The task has no such metric.
        ValueError: A column has another number of rows.
    """
    told = metric or _TOLD[type(task)](task)
    if told not in DIRECTIONS or told not in task.metric_names():
        raise UserError(f"no metric '{told}' of a {task.name}{nearest(told, task.metric_names())}")
    answers, guesses = np.asarray(truth), np.asarray(scores, dtype=np.float64)
    given = {**columns, **({} if groups is None else {"groups": groups})}
    for column, values in given.items():
        if len(values) != len(guesses):
            raise ValueError(
                f"{column} has {len(values)} rows, and there are {len(guesses)} scores"
            )
    kept = np.flatnonzero(task.labelled(answers)).tolist()
    answers, guesses = answers[kept], guesses[kept]
    evidence = _evidence(task, told, answers, guesses, threshold)
    if evidence is None:
        return []
    parts = {name: parts_of([values[at] for at in kept]) for name, values in columns.items()}
    owners = None if groups is None else np.unique(np.asarray(groups)[kept], return_inverse=True)[1]
    least = max(FEWEST, int(np.ceil(SHARE * len(kept)))) if support is None else max(1, support)
    found: list[dict[str, Any]] = []
    search = Search(parts, evidence, owners, least)
    left = np.ones(len(kept), bool)
    while len(found) < most:
        for each in search.certain(left):
            inside, outside = (
                metrics_of_slice(task, answers[rows], guesses[rows], threshold)[told]
                for rows in (each.rows, ~each.rows)
            )
            if inside is None or outside is None or not is_better(told, outside, than=inside):
                continue
            numbers = {"metric": told, "value": inside, "rest": outside, "p": each.p}
            found.append({"slice": each.values, "n": int(each.rows.sum()), **numbers})
            left &= ~each.rows
            break
        else:
            break
    return found


@dataclass(frozen=True)
class Candidate:
    """A slice that is worse.

    Attributes:
        values: Column to value.
        rows: ``(rows,)``: those in it.
        p: Corrected.
        gap: How much greater its mean loss is at least.
    """

    values: dict[str, str]
    rows: Marks
    p: float
    gap: float


class Tried(NamedTuple):
    """A slice, its chance, and how much worse it is at least."""

    columns: tuple[str, ...]
    code: int
    chance: float
    gap: float


@dataclass(frozen=True)
class Search:
    """What worst slices are looked for in.

    Attributes:
        parts: Column to its slices.
        evidence: Tells whether rows are worse.
        owners: ``(rows,)`` the number of each row's group, where that matters.
        least: The fewest rows of a slice, and of the others.
    """

    parts: Mapping[str, Parts]
    evidence: Evidence
    owners: npt.NDArray[np.int64] | None
    least: int

    def certain(self, left: Marks) -> list[Candidate]:
        """Slices that are clearly worse among the rows that are left, the greatest gap first."""
        tried = list(self._tried(left))
        if not tried:
            return []
        chances = np.array([each.chance for each in tried])
        corrected = _corrected(chances)
        likely = np.flatnonzero(corrected < CERTAIN)
        rows = {at: self._codes(tried[at].columns) == tried[at].code for at in likely}
        if self.owners is not None:
            # What was not certain by rows alone counts as tried and failed.
            again = np.ones(len(chances))
            for at in likely:
                again[at] = max(chances[at], self.evidence.group_p(rows[at], left, self.owners))
            corrected = _corrected(again)
            likely = likely[corrected[likely] < CERTAIN]
        found = [
            Candidate(
                self._values(tried[at].columns, tried[at].code),
                rows[at],
                float(corrected[at]),
                tried[at].gap,
            )
            for at in likely
        ]
        pairs = sum(len(each.columns) == 2 for each in tried)
        kept = [each for each in found if self._beyond_its_own(each, left, pairs)]
        return sorted(kept, key=lambda each: -each.gap)

    def _beyond_its_own(self, pair: Candidate, left: Marks, pairs: int) -> bool:
        """Whether a pair is clearly worse than the rest of either of its two slices.

        Some of the many ``pairs`` that were tried are so by chance: the chance is times as great.
        """
        if len(pair.values) == 1:
            return True
        code = np.where(pair.rows, 0, -1)
        for column, value in pair.values.items():
            own = self.parts[column].codes == self.parts[column].names.index(value)
            (chance,), _ = self.evidence.tests(code, np.array([0]), own & left)
            if chance * pairs >= CERTAIN:
                return False
        return True

    def _tried(self, left: Marks) -> Iterator[Tried]:
        """Every slice that is large enough."""
        sizes: dict[str, npt.NDArray[np.int64]] = {}
        for columns in (*((name,) for name in self.parts), *combinations(self.parts, 2)):
            shape = [len(self.parts[name].names) for name in columns]
            codes = self._codes(columns)
            there = (codes >= 0) & left
            counts = np.bincount(codes[there], minlength=int(np.prod(shape)))
            large = (counts >= self.least) & (left.sum() - counts >= self.least)
            if len(columns) == 1:
                sizes[columns[0]] = counts
            else:  # a pair that is all of one of its slices is that slice
                alone = np.unravel_index(np.arange(len(counts)), shape)
                for name, at in zip(columns, alone, strict=True):
                    large &= counts < sizes[name][at]
            wanted = np.flatnonzero(large)
            if len(wanted):
                found = self.evidence.tests(codes, wanted, left)
                for code, chance, gap in zip(wanted, *found, strict=True):
                    yield Tried(columns, int(code), float(chance), float(gap))

    def _codes(self, columns: Sequence[str]) -> npt.NDArray[np.int64]:
        """``(rows,)``: the slice of a column or a pair that each row is in; -1 for none."""
        first = self.parts[columns[0]].codes
        if len(columns) == 1:
            return first
        second = self.parts[columns[1]]
        joint = first * len(second.names) + second.codes
        return np.where((first >= 0) & (second.codes >= 0), joint, -1)

    def _values(self, columns: Sequence[str], code: int) -> dict[str, str]:
        shape = [len(self.parts[name].names) for name in columns]
        places = np.unravel_index(code, shape)
        names = zip(columns, places, strict=True)
        return {name: self.parts[name].names[at] for name, at in names}


def _corrected(chances: Floats) -> Floats:
    return np.asarray(stats.false_discovery_control(chances, method="by"))


def _evidence(
    task: Task, metric: str, truth: Any, scores: Floats, threshold: Threshold | None
) -> Evidence | None:
    """None where there is nothing to test."""
    if not len(scores):
        return None
    if metric in ("roc_auc", "average_precision"):
        return Ranking(truth == 1, np.unique(scores, return_inverse=True)[1])
    losses = loss_of(task, metric)(task, truth, scores, threshold)
    return Losses(losses) if np.isfinite(losses).all() else None
