"""What a profile must beat: simple models of groups, fitted on the groups of the train split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from datasets import Dataset
from scipy import sparse

from hfpipe.errors import UserError
from hfpipe.evaluation.baselines import Guess
from hfpipe.evaluation.features import Design, Matrix
from hfpipe.evaluation.gathering import values_of
from hfpipe.evaluation.profiles import owners_truth
from hfpipe.evaluation.simple_models import constant_scores, linear_scores
from hfpipe.inputs.processor import Processor
from hfpipe.metrics.tasks import Task

GROUP_SIZE = "rows_of_the_group"


def group_guesses(
    task: Task,
    processor: Processor,
    train: Dataset,
    train_truth: npt.ArrayLike,
    rows: Dataset,
    truth: npt.ArrayLike,
    *,
    group_by: str,
    aim: str = "f1",
    validation: tuple[Dataset, npt.ArrayLike] | None = None,
    train_processor: Processor | None = None,
) -> dict[str, Guess]:
    """The baselines of a profile, asked about the groups that it is scored on.

    - ``majority``: the share of positive groups in train;
    - ``logistic_regression`` on the mean of all that the rows of a group hold;
    - ``rows_of_the_group``: a logistic regression on the logarithm of how many rows a group has,
      for a profile that counts votes may do no better. Not where all groups of train have as many.

    Each learns from one example a group. None is calibrated, as a profile is not.

    Args:
        task: What is predicted: yes or no.
        processor: The model's, fitted on train: it names the inputs.
        train: The train split. Rows that are nobody's are left out.
        train_truth: Its labels, as ``LabelSpec.encode`` gives them; a group has that of most of its
            rows (:func:`hfpipe.evaluation.profiles.owners_truth`).
        rows: The scored rows.
        truth: Their labels.
        group_by: The column that says whose each row is.
        aim: What thresholds are chosen for, on the groups of ``validation``; 0.5 without it, and
            always that of ``majority``.
        validation: Rows and labels.
        train_processor: The processor with the names that the columns have in ``train`` and
            ``validation``, where ``rows`` has others.

    Returns:
        Name to guesses of the groups that have a label, in the order in which they come up first;
        empty where no group has one.

    Raises:
        UserError: No train group has a label; a row does not hold what train held.
    """
    first = train_processor or processor
    given = [(train, train_truth), (rows, truth), *([validation] if validation else [])]
    lots = [_Lot.of(each, labels, group_by) for each, labels in given]
    lots = [*lots[:2], *(lot for lot in lots[2:] if len(lot.labels))]
    target, asked = lots[0].labels, lots[1].labels
    if not len(asked):
        return {}
    if not len(target):
        raise UserError(f"none of the groups ('{group_by}') of the train split has a label")
    found = {"majority": Guess(constant_scores(task, target, len(asked)))}
    for name, matrices in _seen([first, processor, first], lots):
        scores = linear_scores(task, target, matrices[0], matrices[1:])
        chosen = task.best_threshold(lots[2].labels, scores[1], aim) if len(lots) > 2 else None
        found[name] = Guess(scores[0], chosen)
    return found


def _seen(
    processors: Sequence[Processor], lots: Sequence[_Lot]
) -> Iterator[tuple[str, list[Matrix]]]:
    """Baseline to what it sees of the groups of every lot."""
    design = Design.of(processors[: len(lots)], [lot.rows for lot in lots])
    whole = design.matrices(list(design.processor.inputs))
    means = [lot.means(matrix) for lot, matrix in zip(lots, whole, strict=True)]
    yield "logistic_regression", means
    if len(np.unique(lots[0].sizes)) > 1:
        yield GROUP_SIZE, [np.log(lot.sizes)[:, None] for lot in lots]


@dataclass(frozen=True)
class _Lot:
    """Rows of groups that have a label.

    Attributes:
        rows: The rows.
        owners: ``(rows,)``: whose each is, as a place among the groups.
        sizes: ``(groups,)``: how many rows each has.
        labels: ``(groups,)``: 0 or 1.
    """

    rows: Dataset
    owners: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    labels: npt.NDArray[Any]

    @classmethod
    def of(cls, rows: Dataset, truth: npt.ArrayLike, group_by: str) -> Self:
        """Groups in the order in which they come up first, as a profile's are."""
        names = values_of(rows, group_by)
        there = [at for at, name in enumerate(names) if name is not None]
        owners = [str(names[at]) for at in there]
        labels = owners_truth(np.asarray(truth)[there], owners)
        known = np.flatnonzero(~np.isnan(labels))
        places = {name: at for at, name in enumerate(dict.fromkeys(owners[at] for at in known))}
        codes = np.array([places[owners[at]] for at in known], np.int64)
        _, first = np.unique(codes, return_index=True)
        return cls(
            rows.select([there[at] for at in known]),
            codes,
            np.bincount(codes, minlength=len(places)),
            labels[known][first].astype(np.int64),
        )

    def means(self, matrix: Matrix) -> Matrix:
        """``(groups, numbers)``: the mean of each group's rows."""
        count = len(self.owners)
        places = (self.owners, np.arange(count))
        shares = sparse.csr_matrix(
            (1 / self.sizes[self.owners], places), shape=(len(self.sizes), count)
        )
        return shares @ matrix
