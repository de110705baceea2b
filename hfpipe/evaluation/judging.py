"""From what a model said of rows to the evaluation record and the rows of ``predictions.jsonl``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hfpipe.errors import UserError, nearest
from hfpipe.evaluation.predictions import task_rows
from hfpipe.evaluation.profiles import ProfileChoice, Scored
from hfpipe.evaluation.record import EvaluationRecord, evaluation_record
from hfpipe.inputs.processor import Processor
from hfpipe.inputs.splits import row_ids
from hfpipe.metrics.tasks import Metrics, Task

if TYPE_CHECKING:
    from datasets import Dataset

    from hfpipe.inputs.training_data import TrainingData
    from hfpipe.recipe import Evaluation


HUB_TASKS: Mapping[str, str] = {"text": "text-classification", "image": "image-classification"}
"""Kind of input → the Hub's name of the task; a model without either is a tabular one."""


@dataclass(frozen=True)
class Judged:
    """A verdict.

    Attributes:
        record: The evaluation record.
        rows: Of ``predictions.jsonl``, in dataset order.
    """

    record: EvaluationRecord
    rows: list[dict[str, Any]]


def scored_rows(
    processor: Processor,
    dataset: Dataset,
    truth: np.ndarray,
    scores: np.ndarray,
    extras: Mapping[str, np.ndarray],
    wanted: Evaluation,
    place: str,
) -> Scored:
    """Rows with all that the record needs of them.

    Args:
        processor: Says what the model was shown.
        dataset: The rows.
        truth: As ``LabelSpec.encode`` gives it.
        scores: As ``Task.scores`` gives them.
        extras: See ``Scored``.
        wanted: The columns to slice and group by.
        place: What to call the rows in a message.

    Raises:
        UserError: A column is not there.
    """
    columns = [*wanted.slices, *([wanted.group_by] if wanted.group_by else [])]
    check_slices(columns, dataset, place)
    groups = groups_of(dataset, wanted.group_by, place) if wanted.group_by else []
    return Scored(
        row_ids(dataset),
        processor.shown(dataset),
        truth,
        scores,
        {column: values_of(dataset, column) for column in wanted.slices},
        extras,
        groups,
    )


def groups_of(dataset: Dataset, column: str, place: str) -> list[str]:
    """Whose each row is.

    Raises:
        UserError: There is no such column, or a row is nobody's.
    """
    check_slices([column], dataset, place)
    owners = values_of(dataset, column)
    if None in owners:
        row = row_ids(dataset)[owners.index(None)]
        raise UserError(
            f"{place}: row '{row}': nothing in '{column}' (evaluation.group_by), so it is nobody's "
            "row: leave such rows out"
        )
    return [str(each) for each in owners]


def hub_task(processor: Processor) -> str | None:
    """The Hub's name of what a classifier does, by its inputs; None for a regression.

    >>> hub_task(Processor({}, "topic", ["a", "b"]))
    'tabular-classification'
    """
    if processor.task == "regression":
        return None
    kinds = {str(each.schema()["kind"]) for each in processor.inputs.values()}
    return next(
        (name for kind, name in HUB_TASKS.items() if kind in kinds), "tabular-classification"
    )


def values_of(dataset: Dataset, column: str) -> list[Any]:
    """A column's values; class labels by their names."""
    names = getattr(dataset.features[column], "names", None)
    if not isinstance(names, list):
        return list(dataset[column])
    return [names[each] if each is not None and each >= 0 else None for each in dataset[column]]


def check_slices(columns: list[str], dataset: Dataset, place: str) -> None:
    """Make sure that columns to slice or group by are there.

    Raises:
        UserError: With the nearest name.
    """
    for column in columns:
        if column not in dataset.column_names:
            near = nearest(column, dataset.column_names)
            raise UserError(f"{place} has no column '{column}' (evaluation){near}")


def judge(
    task: Task,
    scored: Scored,
    *,
    threshold: float | None,
    choice: ProfileChoice | None = None,
    baselines: Mapping[str, Metrics] | None = None,
    **place: Any,
) -> Judged:
    """Score, slice and list rows; of a profile, its groups.

    Args:
        task: What is predicted.
        scored: The rows.
        threshold: Fitted on validation.
        choice: Of a profile.
        baselines: Beside the model's metrics.
        **place: ``model``, ``model_revision``, ``dataset``, ``dataset_revision``, ``split``,
            ``hub_task``.
    """
    table: dict[str, Metrics] = {}
    if choice is not None:
        truth, scores, groups = scored.labelled(task)
        found = choice.table(truth, scores, groups) if len(truth) else {}
        table = {name: {"n": len(set(groups)), **each} for name, each in found.items()}
        scored = scored.by_group(task, choice)
        threshold = choice.decisions.get(choice.aggregation, threshold)
    record = evaluation_record(
        task,
        scored.truth,
        scored.scores,
        threshold=threshold,
        baselines=baselines,
        slices=scored.slices,
        extras=scored.extras,
        **place,
    )
    if table:
        record = replace(record, slices={**record.slices, "aggregation": table})
    rows = task_rows(
        task, scored.row_ids, scored.inputs, scored.truth, scored.scores, record.threshold
    )
    return Judged(record, list(rows))


def fit_choices(
    task: Task, scored: Scored, group_by: str | None, aggregation: str | None, vote: float | None
) -> tuple[float | None, ProfileChoice | None]:
    """The threshold and, for a profile, its choices: all of them made on validation.

    Args:
        task: What is predicted.
        scored: The validation rows.
        group_by: The column of the groups; None without a profile.
        aggregation: The profile's; None without one.
        vote: From which probability on a row votes; None for the best threshold of the rows.
    """
    profile = aggregation is not None and group_by is not None
    truth, scores, groups = (scored if profile else replace(scored, groups=())).labelled(task)
    threshold = task.best_threshold(truth, scores)
    if aggregation is None or group_by is None:
        return threshold, None
    chosen = vote if vote is not None else threshold if threshold is not None else 0.5
    return threshold, ProfileChoice.fit(truth, scores, groups, group_by, aggregation, chosen)


def validation_baselines(task: Task, data: TrainingData) -> Any:
    """The baselines on the validation rows; their thresholds are chosen there, as the model's."""
    from hfpipe.evaluation.baselines import task_baselines

    processor, target = data.processor, data.processor.target
    truths = [target.encode(rows, data.source.place) for rows in (data.train, data.validation)]
    return task_baselines(
        task,
        processor,
        data.train,
        truths[0],
        data.validation,
        truths[1],
        validation=(data.validation, truths[1]),
    )
