"""``predictions.jsonl``: what the model said about every row, in the dataset's order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from hfpipe.errors import UserError
from hfpipe.evaluation.record import plain
from hfpipe.files import written_whole
from hfpipe.metrics.classification import TOP_KS
from hfpipe.metrics.scores import as_scores, ranked_classes

DIGITS = 6


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
            "scores": [round(float(score), DIGITS) for score in scores[ranks]],
            **{f"top_{k}_correct": _correct(true, ranked, k) for k in TOP_KS},
        }


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows as JSON lines, the whole file or none of it; gives the number of rows.

    Values that JSON has no form for (dates, paths) are written as text.
    """
    count = 0
    with written_whole(path) as file:
        for row in rows:
            line = json.dumps(plain(row), ensure_ascii=False, allow_nan=False, default=str)
            file.write(line + "\n")
            count += 1
    return count


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
