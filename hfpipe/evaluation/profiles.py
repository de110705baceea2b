"""Authors judged by all of their rows: thresholds chosen on validation, four ways compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hfpipe.metrics.aggregation import aggregate_scores, compare_aggregations
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
        owners = np.asarray(groups)
        _, found = aggregate_scores(scores, owners, vote)
        _, first = np.unique(owners, return_index=True)
        labels = np.asarray(truth)[first]
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
        groups: Whose each row is, where a profile judges groups and not rows.
        raw: The scores before they were calibrated; None where they were not.
        owners: Whose each row is, where the split kept groups together: what the rows of one owner
            say is not independent.
        owner: The column that says so.
    """

    row_ids: list[str]
    inputs: list[dict[str, Any]]
    truth: npt.NDArray[Any]
    scores: Floats
    slices: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    extras: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    groups: Sequence[str] = ()
    raw: Floats | None = None
    owners: Sequence[str] = ()
    owner: str | None = None

    def labelled(self, task: Task) -> tuple[npt.NDArray[Any], Floats, list[str]]:
        """Truth, scores and groups of the rows that have a label; of groups, those of each one."""
        truth = owners_truth(self.truth, self.groups) if self.groups else self.truth
        there = np.flatnonzero(task.labelled(truth))
        owners = [self.groups[int(at)] for at in there] if self.groups else []
        return truth[there], self.scores[there], owners

    def by_group(self, task: Task, choice: ProfileChoice) -> Scored:
        """One row a group, in the order in which the groups come up first."""
        names, found = aggregate_scores(self.scores, np.asarray(self.groups), choice.vote)
        place = {str(name): at for at, name in enumerate(names)}
        counts = Counter(self.groups)  # in the order in which they come up
        order = [place[owner] for owner in counts]
        truth = dict(zip(self.groups, owners_truth(self.truth, self.groups), strict=True))
        return Scored(
            list(counts),
            [{choice.group_by: owner, "rows": count} for owner, count in counts.items()],
            np.array([truth[owner] for owner in counts]),
            found[choice.aggregation][order],
        )


def owners_truth(truth: npt.ArrayLike, groups: Sequence[str]) -> npt.NDArray[np.float64]:
    """For each row the label of its group: that of most of its labelled rows, NaN where they tie.

    Args:
        truth: ``(rows,)`` 0 or 1, NaN without a label.
        groups: Whose each row is.

    >>> owners_truth([1, 0, 1, 1, 0, float("nan")], ["a", "a", "a", "b", "b", "c"]).tolist()
    [1.0, 1.0, 1.0, nan, nan, nan]
    """
    labels = np.asarray(truth, np.float64)
    _, owner = np.unique(np.asarray(groups), return_inverse=True)
    known = ~np.isnan(labels)
    votes = np.bincount(owner[known], labels[known] * 2 - 1, minlength=owner.max(initial=-1) + 1)
    return np.where(votes == 0, np.nan, (votes > 0).astype(np.float64))[owner]
