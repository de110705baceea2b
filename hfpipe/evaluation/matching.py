"""Results of several models brought together: the same test set, the same rows in one order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError
from hfpipe.evaluation.stored import Stored, arrays
from hfpipe.metrics.scores import Floats
from hfpipe.metrics.tasks import Task


@dataclass(frozen=True)
class Matched:
    """The rows that all results have, in the order of the first.

    Attributes:
        row_ids: Of these rows.
        truth: What is true of them.
        scores: Name of a result to its scores of them.
        groups: Whose each row is; None where not all results say so.
        left_out: Name of a result to its labelled rows that not all have.
        whole: Name to the truth and scores of all its labelled rows.
    """

    row_ids: list[str]
    truth: npt.NDArray[Any]
    scores: dict[str, Floats]
    groups: list[str] | None
    left_out: dict[str, int]
    whole: dict[str, tuple[npt.NDArray[Any], Floats]]


def check_same(results: Sequence[Stored]) -> None:
    """Make sure that results are of one task, with the same labels, on the same test set.

    Raises:
        UserError: Names the first two that differ, in what, and what to do.
    """
    first = results[0]
    for other in results[1:]:
        for what, of, fix in _SAME:
            ours, theirs = of(first), of(other)
            if ours != theirs:
                raise UserError(
                    f"{first.name} and {other.name} cannot be compared: {what} {_said(ours)} "
                    f"against {_said(theirs)}; {fix(first, other)}"
                )


def match(results: Sequence[Stored], task: Task) -> Matched:
    """Bring the rows of results together by their ids.

    Args:
        results: Those that have rows at all.
        task: Of all of them.

    Raises:
        UserError: They have no row in common, or one says another truth of a row.
    """
    found = {each.name: arrays(each, task) for each in results}
    ids = [row_ids for row_ids, *_ in found.values()]
    shared = set(ids[0]).intersection(*ids[1:])
    common = [row_id for row_id in ids[0] if row_id in shared]
    if not common:
        names = " and ".join(list(found)[:2])
        raise UserError(
            f"{names} have no labelled row in common, going by row_id: evaluate both on the same "
            "rows"
        )
    truths, scores, groups = {}, {}, {}
    for name, (row_ids, truth, values, owners) in found.items():
        at = {row_id: place for place, row_id in enumerate(row_ids)}
        places = np.array([at[row_id] for row_id in common])
        truths[name], scores[name] = truth[places], values[places]
        groups[name] = None if owners is None else [owners[place] for place in places]
    first = results[0].name
    for name, truth in truths.items():
        apart = ~np.isclose(truth, truths[first], rtol=1e-6, atol=0).reshape(len(common), -1)
        if apart.any():
            row = common[int(np.flatnonzero(apart.any(axis=1))[0])]
            raise UserError(
                f"{first} and {name} say another truth of row '{row}': they were not scored on "
                "the same test set; evaluate both again"
            )
    # Rows are the same in all results; one of them may be from before owners were written.
    owners = next((each for each in groups.values() if each is not None), None)
    left_out = {name: len(each[0]) - len(common) for name, each in found.items()}
    whole = {name: (each[1], each[2]) for name, each in found.items()}
    return Matched(common, truths[first], scores, owners, left_out, whole)


def _place(result: Stored) -> str:
    record = result.record
    # The bytes of a file are the same test set wherever they lie.
    if str(record.dataset_revision).startswith("sha256:"):
        return str(record.dataset_revision)
    return str(record.dataset)


def _again(first: Stored, other: Stored) -> str:
    record = first.record
    if record.split is None:
        place = f"--file {record.dataset}"
    else:
        at = f"@{record.dataset_revision}" if record.dataset_revision else ""
        place = f"--dataset {record.dataset}{at} --split {record.split}"
    return f"score it on the same rows: hfpipe evaluate {other.record.model} {place}"


def _one_split(first: Stored, other: Stored) -> str:
    return f"{_again(first, other)}; or, where these are repos, choose one with --split"


def _labels(result: Stored) -> list[str]:
    """The labels; of yes and no their order counts, for it says which is yes."""
    labels = list(result.task.labels)
    return labels if result.task.name == "binary" else sorted(labels)


def _kind(result: Stored) -> str:
    return f"{result.task.name}{' of log(1 + y)' if result.task.log1p else ''}"


def _said(value: object) -> str:
    if isinstance(value, list):
        shown = ", ".join(f"'{each}'" for each in value[:8])
        return f"{shown} and {len(value) - 8} more" if len(value) > 8 else shown
    return f"'{value}'" if value is not None else "none"


def _no_mending(first: Stored, other: Stored) -> str:
    return "only models that answer the same question can be compared"


_SAME: Sequence[tuple[str, Callable[[Stored], Any], Callable[[Stored, Stored], str]]] = (
    ("task", _kind, _no_mending),
    ("labels", _labels, _no_mending),
    ("dataset", _place, _again),
    ("revision of the dataset", lambda each: each.record.dataset_revision, _again),
    ("split", lambda each: each.record.split, _one_split),
)
