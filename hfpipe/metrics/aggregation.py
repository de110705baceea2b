"""From scores of many sequences to one score an author: four ways, from the same scores.

The ways, for probabilities ``p`` of an author's sequences and a threshold from which a sequence
votes; all give a score from 0 to 1:

    mean        the mean of p
    median      the median of p (the mean of the middle two)
    mean_vote   the share of the sequences that vote
    total_vote  v votes in all give v / (v + 1): 0 without a vote, 0.5 with one, and rising; what an
                author wrote besides does not water it down

An author counts as positive from 0.5 on where sequences vote, and else from the threshold on. This
is the one definition; ``hfpipe.models.profile`` computes the same in torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError
from hfpipe.metrics.binary import RANKINGS, THRESHOLD, threshold_metrics
from hfpipe.metrics.scores import Floats, Ints

Aggregation = Callable[[Floats, Ints, Ints, float], Floats]
"""Scores, the group of each (sorted, from 0), rows a group and the vote's threshold to scores."""


def _sums(groups: Ints, values: Floats, size: int) -> Floats:
    return np.bincount(groups, weights=values, minlength=size).astype(np.float64, copy=False)


def _mean(scores: Floats, groups: Ints, counts: Ints, threshold: float) -> Floats:
    return _sums(groups, scores, len(counts)) / counts


def _median(scores: Floats, groups: Ints, counts: Ints, threshold: float) -> Floats:
    ordered = scores[np.lexsort((scores, groups))]
    first = np.cumsum(counts) - counts
    middle: Floats = (ordered[first + (counts - 1) // 2] + ordered[first + counts // 2]) / 2
    return middle


def _votes(scores: Floats, groups: Ints, counts: Ints, threshold: float) -> Floats:
    return _sums(groups, (scores >= threshold).astype(np.float64), len(counts))


def _mean_vote(scores: Floats, groups: Ints, counts: Ints, threshold: float) -> Floats:
    return _votes(scores, groups, counts, threshold) / counts


def _total_vote(scores: Floats, groups: Ints, counts: Ints, threshold: float) -> Floats:
    votes = _votes(scores, groups, counts, threshold)
    return votes / (votes + 1)


AGGREGATIONS: Mapping[str, Aggregation] = MappingProxyType(
    {"mean": _mean, "median": _median, "mean_vote": _mean_vote, "total_vote": _total_vote}
)
"""The four ways, by name; see the module."""

DECISIONS: Mapping[str, float] = MappingProxyType({"mean_vote": 0.5, "total_vote": 0.5})
"""Where a group is predicted 1 unless said otherwise: half the votes, or one; else the vote's."""

NO_PROBABILITY: Mapping[str, str] = MappingProxyType(
    {"total_vote": "votes in all, v / (v + 1), are no probability"}
)
"""Aggregation whose scores are no probabilities to the reason."""
OF_PROBABILITIES = ("log_loss", "brier", "ece")
"""The metrics that say something of probabilities alone."""


def no_probability(aggregation: str) -> dict[str, str]:
    """Metric to why it says nothing of what an aggregation gives; empty of probabilities.

    >>> sorted(no_probability("total_vote")), no_probability("mean")
    (['brier', 'ece', 'log_loss'], {})
    """
    reason = NO_PROBABILITY.get(aggregation)
    return {} if reason is None else dict.fromkeys(OF_PROBABILITIES, reason)


def aggregate_scores(
    scores: npt.ArrayLike, groups: npt.ArrayLike, threshold: float = THRESHOLD
) -> tuple[npt.NDArray[np.generic], dict[str, Floats]]:
    """Every aggregation of the scores of each group, in one pass over the sequences' scores.

    Args:
        scores: (sequences,) probability of 1.
        groups: (sequences,) whose each is.
        threshold: A sequence votes 1 from here on.

    Returns:
        The groups, sorted, and name to (groups,) scores.

    >>> authors, found = aggregate_scores([0.9, 0.4, 0.2, 0.7], ["ada", "bob", "ada", "ada"])
    >>> authors.tolist(), found["median"].tolist(), found["total_vote"].tolist()
    (['ada', 'bob'], [0.7, 0.4], [0.6666666666666666, 0.0])

    Raises:
        UserError: Another number of groups than of scores.
    """
    values, owners = np.asarray(scores, dtype=np.float64), np.asarray(groups)
    if values.ndim != 1 or values.shape != owners.shape:
        raise UserError(f"{values.shape} scores but {owners.shape} groups: one a sequence of each")
    names, codes, counts = np.unique(owners, return_inverse=True, return_counts=True)
    return names, {
        name: each(values, codes.astype(np.int64), counts.astype(np.int64), threshold)
        for name, each in AGGREGATIONS.items()
    }


def compare_aggregations(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: npt.ArrayLike,
    threshold: float = THRESHOLD,
    decisions: Mapping[str, float] | None = None,
) -> dict[str, dict[str, float | None]]:
    """Metrics of every aggregation over the groups.

    Args:
        truth: (sequences,) 0 or 1; the same for all sequences of a group.
        scores: (sequences,) probability of 1.
        groups: (sequences,) whose each is.
        threshold: A sequence votes 1 from here on.
        decisions: Aggregation to the score from which a group is predicted 1, tuned on the
            validation split; those left out are :data:`DECISIONS` or ``threshold``.

    Returns:
        Aggregation to metrics and ``threshold``; a count of votes, however scaled, is no
        probability, so that ``total_vote`` has neither log loss nor Brier score.

    Raises:
        UserError: A group with both truths; see :func:`aggregate_scores`.
    """
    names, found = aggregate_scores(scores, groups, threshold)
    labels = _truth_of_groups(np.asarray(truth), np.asarray(groups), names)
    chosen = {**dict.fromkeys(AGGREGATIONS, threshold), **DECISIONS, **(decisions or {})}
    table: dict[str, dict[str, float | None]] = {}
    for name, values in found.items():
        table[name] = threshold_metrics(labels, values, chosen[name]) | {
            metric: None if metric in no_probability(name) else each(labels, values)
            for metric, each in RANKINGS.items()
        }
        table[name]["threshold"] = chosen[name]
    return table


def _truth_of_groups(
    truth: npt.NDArray[np.generic],
    groups: npt.NDArray[np.generic],
    names: npt.NDArray[np.generic],
) -> npt.NDArray[np.generic]:
    if truth.shape != groups.shape:
        raise UserError(f"{truth.shape} true classes but {groups.shape} groups: one a sequence")
    _, first, codes = np.unique(groups, return_index=True, return_inverse=True)
    labels = truth[first]
    mixed = np.flatnonzero(labels[codes] != truth)
    if mixed.size:
        raise UserError(f"group '{groups[mixed[0]]}' has sequences of more than one class")
    return labels
