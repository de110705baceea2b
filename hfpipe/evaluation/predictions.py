"""``predictions.jsonl``: what the model said about every row, in the dataset's order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError
from hfpipe.evaluation.record import plain
from hfpipe.files import written_whole
from hfpipe.metrics.classification import TOP_KS
from hfpipe.metrics.scores import Floats, as_scores, ranked_classes
from hfpipe.metrics.tasks import (
    Binary,
    Classification,
    MultiLabel,
    Regression,
    Task,
    Threshold,
)


def prediction_rows(
    row_ids: Sequence[str],
    inputs: Sequence[Mapping[str, Any]],
    truth: Sequence[str | None],
    probabilities: npt.ArrayLike,
    labels: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """One row of ``predictions.jsonl`` at a time.

    ``labels`` and ``scores`` of a row are ranked, best first, equal scores in label order.
    ``top_k_correct`` is None where the row has no label or the model fewer than k classes; a
    label that the model does not know counts as wrong.

    Args:
        row_ids: The rows' stable ids.
        inputs: What the model was shown of each row: column to value.
        truth: True label or None.
        probabilities: Rows and classes, in the order of ``labels``.
        labels: The model's labels.

    Yields:
        The rows, in the order given.

    >>> (row,) = prediction_rows(
    ...     ["r1"], [{"text": "a dog"}], ["animal"], [[0.3, 0.7]], ["plant", "animal"]
    ... )
    >>> row["prediction"], row["labels"], row["scores"], row["top_1_correct"]
    ('animal', ['animal', 'plant'], [0.7, 0.3], True)
    """
    matrix = as_scores(probabilities)
    if not len(row_ids) == len(inputs) == len(truth) == len(matrix):
        raise ValueError(
            f"{len(row_ids)} row ids, {len(inputs)} inputs, {len(truth)} truths and "
            f"{len(matrix)} rows of scores must be as many"
        )
    order = ranked_classes(matrix)
    for row_id, shown, true, ranks, scores in zip(
        row_ids, inputs, truth, order, matrix, strict=True
    ):
        ranked = [labels[index] for index in ranks]
        yield {
            "row_id": row_id,
            "inputs": plain(shown),
            "truth": true,
            "prediction": ranked[0],
            "labels": ranked,
            "scores": [rounded(score) for score in scores[ranks]],
            **{f"top_{k}_correct": _correct(true, ranked, k) for k in TOP_KS},
        }


def task_rows(
    task: Task,
    row_ids: Sequence[str],
    inputs: Sequence[Mapping[str, Any]],
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: Threshold | None = None,
) -> Iterator[dict[str, Any]]:
    """One row of ``predictions.jsonl`` at a time, whatever the task.

    Every row has ``row_id, inputs, truth, prediction``; truth is None without a label. Beside them:

    - classification: as :func:`prediction_rows`.
    - binary: ``labels`` and ``scores`` ranked, ``score`` of the positive class; the prediction is
      what the threshold says.
    - multi-label: truth and prediction are lists of labels; ``labels`` and ``scores`` ranked,
      ``correct`` where the two lists are the same.
    - regression: truth and prediction in the unit of the column; ``error`` is prediction - truth,
      of the logarithms where they are learned, and then ``truth_log, prediction_log`` too.

    Args:
        task: What is predicted.
        row_ids: The rows' stable ids.
        inputs: What the model was shown of each row: column to value.
        truth: (rows,) or (rows, classes), as ``LabelSpec.encode`` gives it.
        scores: As :meth:`hfpipe.metrics.tasks.Task.scores` gives them.
        threshold: A class is predicted from here on; None for 0.5.

    >>> from hfpipe.metrics.tasks import Binary
    >>> (row,) = task_rows(Binary(["no", "yes"]), ["r1"], [{}], [1], [0.3], threshold=0.2)
    >>> row["prediction"], row["labels"], row["score"], row["top_1_correct"]
    ('yes', ['no', 'yes'], 0.3, True)
    """
    answers, found = np.asarray(truth), np.asarray(scores, dtype=np.float64)
    if not len(row_ids) == len(inputs) == len(answers) == len(found):
        raise ValueError(
            f"{len(row_ids)} row ids, {len(inputs)} inputs, {len(answers)} truths and "
            f"{len(found)} rows of scores must be as many"
        )
    if isinstance(task, Classification):
        known = task.labelled(answers)
        names = [task.labels[int(a)] if k else None for a, k in zip(answers, known, strict=True)]
        yield from prediction_rows(row_ids, inputs, names, found, task.labels)
        return
    rest = _REST[type(task)](task, answers, found, threshold)
    for row_id, shown, told in zip(row_ids, inputs, rest, strict=True):
        yield {"row_id": row_id, "inputs": plain(shown), **told}


def _binary_rest(task: Binary, truth: Any, scores: Floats, threshold: Any) -> Iterator[_Told]:
    sides = np.array(task.sides, dtype=object)
    chosen, labelled = task.choices(scores, threshold), task.labelled(truth)
    for answer, score, choice, known in zip(truth, scores, chosen, labelled, strict=True):
        ranks = [1, 0] if score >= 0.5 else [0, 1]
        both = (1 - score, score)
        yield {
            "truth": sides[int(answer)] if known else None,
            "prediction": sides[choice],
            "labels": [sides[rank] for rank in ranks],
            "scores": [rounded(both[rank]) for rank in ranks],
            "score": rounded(score),
            "top_1_correct": bool(choice == answer) if known else None,
            "top_2_correct": True if known else None,
            "top_3_correct": None,
        }


def _multi_label_rest(
    task: MultiLabel, truth: Any, scores: Floats, threshold: Any
) -> Iterator[_Told]:
    chosen, labelled = task.choices(scores, threshold), task.labelled(truth)
    order = ranked_classes(scores)
    for at, ranks in enumerate(order):
        yield {
            "truth": _named(task, truth[at]) if labelled[at] else None,
            "prediction": _named(task, chosen[at]),
            "labels": [task.labels[rank] for rank in ranks],
            "scores": [rounded(score) for score in scores[at, ranks]],
            "correct": bool((chosen[at] == truth[at]).all()) if labelled[at] else None,
            **{f"top_{k}_correct": None for k in TOP_KS},
        }


def _regression_rest(
    task: Regression, truth: Any, scores: Floats, threshold: Any
) -> Iterator[_Told]:
    labelled, raw = task.labelled(truth), (task.raw(truth), task.raw(scores))
    for at, known in enumerate(labelled):
        told: _Told = {
            "truth": _significant(raw[0][at]) if known else None,
            "prediction": _significant(raw[1][at]),
            "error": _significant(scores[at] - truth[at]) if known else None,
        }
        if task.log1p:
            told["truth_log"] = _significant(truth[at]) if known else None
            told["prediction_log"] = _significant(scores[at])
        yield told


_Told = dict[str, Any]
_REST: Mapping[type[Task], Any] = {
    Binary: _binary_rest,
    MultiLabel: _multi_label_rest,
    Regression: _regression_rest,
}


def _named(task: Task, marks: Any) -> list[str]:
    return [task.labels[at] for at in np.flatnonzero(marks)]


def rounded(probability: Any) -> float:
    """Nine digits, wherever they begin: a rare class's scores are not all 0, nor ties.

    >>> rounded(1.23456789123e-9), rounded(0.12345678912)
    (1.23456789e-09, 0.123456789)
    """
    return float(f"{float(probability):.9g}")


def _significant(value: Any) -> float:
    """As many digits as a float32 holds, whatever the unit.

    >>> _significant(1.23456789e-9), _significant(98765432.1)
    (1.234568e-09, 98765430.0)
    """
    return float(f"{float(value):.7g}")


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows as JSON lines, the whole file or none of it; gives the number of rows.

    Values that JSON has no form for (dates, paths) are written as text.
    """
    count = 0
    with written_whole(path) as file:
        for row in rows:
            file.write(json_line(row))
            count += 1
    return count


def json_line(row: Mapping[str, Any]) -> str:
    r"""A row as a line of JSON.

    >>> json_line({"score": float("nan")})
    '{"score": null}\n'
    """
    return json.dumps(plain(row), ensure_ascii=False, allow_nan=False, default=str) + "\n"


def read_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
    """Rows of a JSON-lines file, one at a time.

    Raises:
        UserError: The file is not there, or a line of it is not a JSON object.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                yield _parsed(line, f"{path}: line {number}")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _correct(true: str | None, ranked: Sequence[str], k: int) -> bool | None:
    return None if true is None or k > len(ranked) else true in ranked[:k]


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where} is not JSON ({error})") from None
    if not isinstance(row, dict):
        raise UserError(f"{where} is not a JSON object")
    return row
