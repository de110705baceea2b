"""Authors judged by all of their rows: thresholds chosen on validation, four ways compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError
from hfpipe.metrics.aggregation import AGGREGATIONS, aggregate_scores, compare_aggregations
from hfpipe.metrics.scores import Floats
from hfpipe.metrics.tasks import Metrics, Task
from hfpipe.metrics.thresholds import best_threshold


@dataclass(frozen=True)
class ProfileChoice:
    """What was chosen on validation.

    Attributes:
        group_by: The column that says whose a row is.
        aggregation: The one that the model uses.
        vote: From which probability on a row votes.
        decisions: Aggregation → from which score on an author is positive.
    """

    group_by: str
    aggregation: str
    vote: float
    decisions: dict[str, float] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        truth: npt.ArrayLike,
        scores: npt.ArrayLike,
        groups: Sequence[str],
        group_by: str,
        aggregation: str,
        vote: float,
    ) -> Self:
        """Choose for each aggregation the threshold with the best F1 over the groups.

        Args:
            truth: ``(rows,)`` 0 or 1, the same for all rows of a group.
            scores: ``(rows,)`` probability of 1.
            groups: Whose each row is.
            group_by: The column they are from.
            aggregation: The one that the model uses.
            vote: From which probability on a row votes.
        """
        names, found = aggregate_scores(scores, np.asarray(groups), vote)
        labels = group_truth(truth, groups, names)
        best = {name: best_threshold(labels, each).threshold for name, each in found.items()}
        decisions = {name: each for name, each in best.items() if each is not None}
        return cls(group_by, aggregation, vote, decisions)

    def to_dict(self) -> dict[str, Any]:
        """For ``run.json``."""
        return asdict(self)

    def table(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, groups: Sequence[str]
    ) -> dict[str, Metrics]:
        """The metrics of every aggregation over the groups."""
        known = np.asarray(groups)
        return compare_aggregations(truth, scores, known, self.vote, self.decisions)


@dataclass(frozen=True)
class Scored:
    """Rows and what a model said of them.

    Attributes:
        row_ids: The rows' stable ids.
        inputs: What the model was shown of each: column → value.
        truth: As ``LabelSpec.encode`` gives it.
        scores: As ``Task.scores`` gives them.
        slices: Column → one value a row.
        extras: Name → one number a row.
        groups: Whose each row is, where that matters.
    """

    row_ids: list[str]
    inputs: list[dict[str, Any]]
    truth: npt.NDArray[Any]
    scores: Floats
    slices: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    extras: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    groups: Sequence[str] = ()

    def labelled(self, task: Task) -> tuple[npt.NDArray[Any], Floats, list[str]]:
        """Truth, scores and groups of the rows that have a label."""
        there = np.flatnonzero(task.labelled(self.truth))
        owners = [self.groups[int(at)] for at in there] if self.groups else []
        return self.truth[there], self.scores[there], owners

    def by_group(self, task: Task, choice: ProfileChoice) -> Scored:
        """One row a group, in the order in which the groups come up first.

        Raises:
            UserError: A group whose rows have more than one label.
        """
        names, found = aggregate_scores(self.scores, np.asarray(self.groups), choice.vote)
        place = {str(name): at for at, name in enumerate(names)}
        counts = dict.fromkeys(dict.fromkeys(self.groups), 0)
        for owner in self.groups:
            counts[owner] += 1
        order = [place[owner] for owner in counts]
        truth = group_truth(self.truth, self.groups, names)
        return Scored(
            list(counts),
            [{choice.group_by: owner, "rows": count} for owner, count in counts.items()],
            truth[order],
            found[choice.aggregation][order],
        )


def group_truth(
    truth: npt.ArrayLike, groups: Sequence[str], names: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """The label of each group; NaN where none of its rows has one.

    Raises:
        UserError: A group whose rows have more than one label.

    >>> group_truth([1, 0, float("nan")], ["a", "b", "a"], np.array(["a", "b"])).tolist()
    [1.0, 0.0]
    """
    labels = dict.fromkeys((str(name) for name in names), np.nan)
    for owner, label in zip(groups, np.asarray(truth, np.float64), strict=True):
        if np.isnan(label):
            continue
        if not np.isnan(labels[owner]) and labels[owner] != label:
            raise UserError(f"'{owner}' has rows of more than one class: a profile has one label")
        labels[owner] = label
    return np.array([labels[str(name)] for name in names])


def check_aggregation(name: str) -> None:
    """Refuse an aggregation that there is not.

    Raises:
        UserError: With the nearest name.
    """
    from hfpipe.errors import nearest

    if name not in AGGREGATIONS:
        raise UserError(f"model.config.aggregation: no '{name}'{nearest(name, AGGREGATIONS)}")
