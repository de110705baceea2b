"""A result read back from its folder: the record, the rows behind it, and arrays made of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError
from hfpipe.evaluation.predictions import read_jsonl
from hfpipe.evaluation.record import EvaluationRecord, read_record
from hfpipe.metrics.binary import THRESHOLD
from hfpipe.metrics.scores import Floats, ranked_classes
from hfpipe.metrics.tasks import Binary, Classification, MultiLabel, Regression, Task, task_of

METRICS, PREDICTIONS = "metrics.json", "predictions.jsonl"
RECIPES = ("config.yaml", "run.json", "hfpipe/run.json")
SIGNS = (
    ("spearman", "regression"),
    ("hamming_loss", "multi_label"),
    ("average_precision", "binary"),
)
"""A metric that no other task has; what has none of them is a classification."""
ROUNDING = 1e-6
"""Nine digits are written; an earlier hfpipe wrote six decimals."""
LEAST = ROUNDING / 4
"""What was rounded to 0 lies between 0 and twice this: a logarithm of it is not of 0."""
TIE = 1e-9
"""Far below the rounding; orders scores that it made equal."""
Row = dict[str, Any]
Arrays = tuple[list[str], npt.NDArray[Any], Floats, list[str] | None]


@dataclass(frozen=True)
class Stored:
    """One model's result on one split.

    Attributes:
        record: ``metrics.json``.
        rows: ``predictions.jsonl`` without the inputs; empty where there is no such file.
        config: The recipe that the model was trained by; empty where none is known.
        name: What to call it.
    """

    record: EvaluationRecord
    rows: list[Row]
    config: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def task(self) -> Task:
        """What was predicted, as the record's metrics and classes tell it."""
        metrics, labels = self.record.metrics, list(self.record.per_class)
        kind = next((name for sign, name in SIGNS if sign in metrics), "classification")
        return task_of(
            kind, [] if kind == "regression" else labels, log1p="rmse_log" in self.record.metrics
        )


def read_result(folder: str | Path, name: str | None = None) -> Stored:
    """Read what an evaluation or a run left in a folder.

    Args:
        folder: Holds ``metrics.json``; also ``predictions.jsonl`` and ``config.yaml`` or
            ``run.json``, where they are known.
        name: What to call it; by default the folder.

    Raises:
        UserError: There is no ``metrics.json``, or a file is not what its name says.
    """
    place = Path(folder)
    shown = name or str(folder)
    if not (place / METRICS).is_file():
        raise UserError(
            f"{shown}: no {METRICS} in it: give a folder that 'hfpipe evaluate' or 'hfpipe "
            "finetune' wrote"
        )
    record = read_record(place / METRICS)
    rows = _rows(place / PREDICTIONS) if (place / PREDICTIONS).is_file() else []
    return Stored(record, rows, _recipe(place), shown)


def _rows(path: Path) -> list[Row]:
    """The rows without their inputs, which may be long."""
    found = []
    for row in read_jsonl(path):
        row.pop("inputs", None)
        found.append(row)
    return found


def _recipe(folder: Path) -> dict[str, Any]:
    import yaml

    for name in RECIPES:
        path = folder / name
        if not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
            found = yaml.safe_load(text) if name.endswith(".yaml") else json.loads(text)
        except (OSError, ValueError, yaml.YAMLError) as error:
            line = " ".join(str(error).split())[:200]
            raise UserError(f"{path}: cannot be read as a recipe ({line})") from None
        found = found.get("config") if isinstance(found, dict) and "run.json" in name else found
        return found if isinstance(found, dict) else {}
    return {}


def arrays(stored: Stored, task: Task) -> Arrays:
    """What ``task.metrics`` takes, made of the rows that have a label.

    ``predictions.jsonl`` holds scores of six digits, so these are within 1e-6 of the model's own.
    Within that they are moved to where they say what the model said: to the side of the threshold
    that the row's prediction is on, and into the order that its labels stand in.

    Args:
        stored: The result.
        task: What is predicted; its order of labels counts.

    Returns:
        Row ids, truth, scores, and whose each row is, where all rows say so.

    Raises:
        UserError: A row is not as ``hfpipe evaluate`` writes it, or an id is there twice.
    """
    rows = [row for row in stored.rows if row.get("truth") is not None]
    ids = [str(each) for each in _each(stored, rows, lambda row: row["row_id"])]
    for row_id, times in Counter(ids).items():
        if times > 1:
            raise UserError(f"{stored.name}: {PREDICTIONS}: row '{row_id}' is there {times} times")
    truth, scores = _BUILDERS[type(task)](task, stored, rows)
    owners = [row.get("group") for row in rows]
    known = bool(rows) and None not in owners
    return ids, truth, scores, [str(each) for each in owners] if known else None


def _classification(
    task: Task, stored: Stored, rows: Sequence[Row]
) -> tuple[npt.NDArray[Any], Floats]:
    ranks, values = _ranked(task, stored, rows)
    scores = np.zeros_like(values)
    np.put_along_axis(scores, ranks, _known(stored, rows, _inside(values)), axis=1)
    if len(rows):
        moved = (ranked_classes(scores) != ranks).any(axis=1)
        steps = TIE * np.arange(len(task.labels), 0, -1)
        ordered = np.take_along_axis(scores, ranks, axis=1)[moved] + steps
        within = np.zeros_like(ordered)
        np.put_along_axis(within, ranks[moved], ordered, axis=1)
        scores[moved] = within
    index = {label: at for at, label in enumerate(task.labels)}
    truth = _each(stored, rows, lambda row: index[row["truth"]])
    return np.array(truth, dtype=np.int64), scores


def _binary(task: Task, stored: Stored, rows: Sequence[Row]) -> tuple[npt.NDArray[Any], Floats]:
    index = {label: at for at, label in enumerate(task.labels or ["0", "1"])}
    truth = _each(stored, rows, lambda row: index[row["truth"]])
    said = _each(stored, rows, lambda row: index[row["prediction"]])
    given = _each(stored, rows, partial(_float, name="score"))
    scores = _known(stored, rows, _inside(given))
    threshold = task.used_threshold(stored.record.threshold)
    return np.array(truth, dtype=np.int64), _decided(scores, np.array(said), threshold)


def _multi_label(
    task: Task, stored: Stored, rows: Sequence[Row]
) -> tuple[npt.NDArray[Any], Floats]:
    ranks, values = _ranked(task, stored, rows)
    scores = np.zeros_like(values)
    np.put_along_axis(scores, ranks, _known(stored, rows, _inside(values)), axis=1)
    truth, said = (_marks(task, stored, rows, name) for name in ("truth", "prediction"))
    used: Any = task.used_threshold(stored.record.threshold)
    if isinstance(used, Mapping):
        used = np.array([used.get(label, THRESHOLD) for label in task.labels])
    return truth, _decided(scores, said, used)


def _marks(task: Task, stored: Stored, rows: Sequence[Row], name: str) -> npt.NDArray[np.int64]:
    """(rows, classes), 1 for a label that is listed under ``name``."""
    index = {label: at for at, label in enumerate(task.labels)}
    found = np.zeros((len(rows), len(index)), dtype=np.int64)
    named = _each(stored, rows, lambda row: [index[each] for each in row[name]])
    for at, classes in enumerate(named):
        found[at, classes] = 1
    return found


def _regression(task: Task, stored: Stored, rows: Sequence[Row]) -> tuple[npt.NDArray[Any], Floats]:
    ending = "_log" if task.log1p else ""
    truth, scores = (
        np.array(_each(stored, rows, partial(_float, name=f"{name}{ending}")), dtype=np.float64)
        for name in ("truth", "prediction")
    )
    return truth, _known(stored, rows, scores)


def _float(row: Row, name: str) -> float:
    return float(row[name])


_BUILDERS: Mapping[type[Task], Callable[..., tuple[npt.NDArray[Any], Floats]]] = MappingProxyType(
    {
        Classification: _classification,
        Binary: _binary,
        MultiLabel: _multi_label,
        Regression: _regression,
    }
)


def _ranked(
    task: Task, stored: Stored, rows: Sequence[Row]
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Of every row its labels, best first, as indices, and their scores."""
    index, wide = {label: at for at, label in enumerate(task.labels)}, len(task.labels)
    ranks = _each(stored, rows, lambda row: [index[label] for label in row["labels"]])
    values = _each(stored, rows, lambda row: [float(each) for each in row["scores"]])
    for row, places, found in zip(rows, ranks, values, strict=True):
        if not len(set(places)) == len(places) == len(found) == wide:
            raise _broken(stored, row, f"it must have one score for each of {wide} labels")
    shape = (len(rows), wide)
    return (
        np.array(ranks, dtype=np.int64).reshape(shape),
        np.array(values, dtype=np.float64).reshape(shape),
    )


def _each(stored: Stored, rows: Sequence[Row], of: Callable[[Row], Any]) -> list[Any]:
    """Something of every row.

    Raises:
        UserError: A row has not got it.
    """
    found = []
    for row in rows:
        try:
            found.append(of(row))
        except KeyError as error:
            raise _broken(stored, row, f"{error} is not there, or no label of the model") from None
        except (TypeError, ValueError) as error:
            raise _broken(stored, row, str(error)) from None
    return found


def _known(stored: Stored, rows: Sequence[Row], scores: Floats) -> Floats:
    """The scores, of which all are numbers.

    Raises:
        UserError: One is not.
    """
    for row, finite in zip(rows, np.isfinite(scores), strict=True):
        if not finite.all():
            raise _broken(stored, row, "a score is not a number that it can be")
    return scores


def _broken(stored: Stored, row: Row, why: str) -> UserError:
    return UserError(
        f"{stored.name}: {PREDICTIONS}: row '{row.get('row_id')}': {why}; evaluate the model again"
    )


def _inside(values: npt.ArrayLike) -> Floats:
    """Probabilities that are neither 0 nor 1; NaN for what is no probability.

    >>> _inside([0.0, 0.5, 1.0, 1.5]).tolist()
    [2.5e-07, 0.5, 0.99999975, nan]
    """
    found = np.asarray(values, dtype=np.float64)
    inside = (found >= 0) & (found <= 1)
    found = np.where(found == 1, 1 - _above_zero(1 - found), _above_zero(found))
    return np.where(inside, found, np.nan)


def _above_zero(scores: Floats) -> Floats:
    """What was rounded to 0, as half of the least that was not, and at most a quarter rounding.

    >>> _above_zero(np.array([0.0, 1e-9, 0.5])).tolist(), _above_zero(np.array([0.0, 0.5])).tolist()
    ([5e-10, 1e-09, 0.5], [2.5e-07, 0.5])
    """
    if not (scores == 0).any():
        return scores
    least = min((float(scores[scores > 0].min()) / 2 if (scores > 0).any() else LEAST), LEAST)
    return np.where(scores == 0, least, scores)


def _decided(scores: Floats, said: npt.NDArray[np.int64], threshold: Any) -> Floats:
    """Scores on the side of the threshold that the prediction is on, as far as rounding goes.

    >>> _decided(np.array([0.3, 0.3, 0.9]), np.array([1, 0, 0]), 0.3000004).round(7).tolist()
    [0.3000004, 0.3, 0.9]
    """
    if not len(scores):
        return scores
    at = np.broadcast_to(np.asarray(threshold, dtype=np.float64), scores.shape)
    near = np.abs(scores - at) <= ROUNDING
    up, down = near & (said == 1) & (scores < at), near & (said == 0) & (scores >= at)
    return np.where(up, at, np.where(down, np.nextafter(at, -np.inf), scores))
