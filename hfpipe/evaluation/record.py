"""The evaluation record: one result with everything needed to read it, as ``metrics.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError, nearest
from hfpipe.evaluation.slicing import sliced
from hfpipe.files import write_text
from hfpipe.metrics.tasks import Metrics, Task, Threshold


@dataclass(frozen=True)
class EvaluationRecord:
    """What one model scored on one split. The field names are the keys of ``metrics.json``.

    A metric that is not defined is ``None`` there, never a made-up number.

    Attributes:
        model: Repo id of the model.
        model_revision: Its commit.
        dataset: Repo id of the dataset, or the path of a local file.
        dataset_revision: Its commit, or ``sha256:…`` of a local file.
        split: ``test``, or None for a local file.
        task: The Hub's name of the task.
        n: Rows scored: those that have a label.
        metrics: Flat standard names to numbers.
        intervals: Name to [low, high]; None where it is not defined.
        threshold: Decision threshold, where the task has one; several labels have one each.
        temperature: Divides the logits, where the model was calibrated so.
        slices: Column to value to metrics, with ``n``, the rows that have it.
        per_class: Label to precision, recall, f1, support, in label order.
        baselines: ``majority``, ``ridge`` and others to their metrics.
        undefined: Metric that is None to the reason.
        interval_method: ``resamples``, ``confidence``, ``groups`` (the column whose values are
            drawn whole) and ``seed`` of the bootstrap.
        threshold_for: What the threshold was chosen for, on validation.
        calibration: ``method``, ``parameters``, ``reason``, ``rows`` that it was fitted on, and
            ``before`` and ``after``, measured on the scored rows.
        worst_slices: ``slice`` (column to value), ``n``, ``metric``, its ``value`` there, the
            ``rest``'s, and ``p``, corrected for the number of slices that were tried.
        differences: Baseline to metric to ``value`` (model - baseline), ``low``, ``high`` and
            ``p``, of the same rows drawn for both.
    """

    model: str
    model_revision: str | None
    dataset: str | None
    dataset_revision: str | None
    split: str | None
    task: str
    n: int
    metrics: Metrics
    intervals: dict[str, list[float] | None] = field(default_factory=dict)
    threshold: Threshold | None = None
    temperature: float | None = None
    slices: dict[str, dict[str, Metrics]] = field(default_factory=dict)
    per_class: dict[str, dict[str, float | None]] = field(default_factory=dict)
    baselines: dict[str, Metrics] = field(default_factory=dict)
    undefined: dict[str, str] = field(default_factory=dict)
    interval_method: dict[str, Any] = field(default_factory=dict)
    threshold_for: str | None = None
    calibration: dict[str, Any] | None = None
    worst_slices: list[dict[str, Any]] = field(default_factory=list)
    differences: dict[str, dict[str, dict[str, float | None]]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values: no NaN, no infinity, no numpy."""
        return {item.name: plain(getattr(self, item.name)) for item in fields(self)}

    def write(self, path: str | Path) -> Path:
        """Write ``metrics.json``, whole or not at all; gives the path."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        return write_text(path, text + "\n")


def evaluation_record(
    task: Task,
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    model: str,
    model_revision: str | None = None,
    dataset: str | None = None,
    dataset_revision: str | None = None,
    split: str | None = None,
    threshold: Threshold | None = None,
    temperature: float | None = None,
    baselines: Mapping[str, Metrics] | None = None,
    slices: Mapping[str, Sequence[Any]] | None = None,
    extras: Mapping[str, npt.NDArray[Any]] | None = None,
    hub_task: str | None = None,
) -> EvaluationRecord:
    """Score a model and put the result into a record. Rows without a label do not count.

    Args:
        task: What is predicted.
        truth: (rows,) or (rows, classes), as ``LabelSpec.encode`` gives it.
        scores: Of the same rows, as :meth:`hfpipe.metrics.tasks.Task.scores` gives them.
        model: Repo id of the model.
        model_revision: Its commit.
        dataset: Repo id of the dataset, or the path of a local file.
        dataset_revision: Its commit.
        split: The split's name.
        threshold: Decision threshold, fitted on other rows; None for 0.5, where there is one.
        temperature: What the logits were divided by.
        baselines: The metrics of :func:`hfpipe.evaluation.baselines.baseline_guesses`.
        slices: Column to one value a row: the metrics of the rows of each value are told.
        extras: Name to (rows,) or (rows, k) numbers of the model, such as gate weights: their
            means are told of all rows, in the slice ``all``, and of every slice.
        hub_task: The Hub's name of the task; by default as the task says.

    >>> from hfpipe.metrics.tasks import task_of
    >>> record = evaluation_record(
    ...     task_of("binary", ["no", "yes"]),
    ...     [0, 1, float("nan")],
    ...     [0.4, 0.6, 0.9],
    ...     model="ada/spam",
    ...     slices={"lang": ["en", "de", "de"]},
    ... )
    >>> record.n, record.metrics["accuracy"], record.threshold, record.slices["lang"]["de"]["n"]
    (2, 1.0, 0.5, 1)

    Raises:
        ValueError: A slice, an extra or the truth has another number of rows than the scores.
    """
    answers, found = np.asarray(truth), np.asarray(scores, dtype=np.float64)
    lengths = {"truth": len(answers), **{name: len(each) for name, each in (slices or {}).items()}}
    lengths |= {name: len(each) for name, each in (extras or {}).items()}
    for name, rows in lengths.items():
        if rows != len(found):
            raise ValueError(f"{name} has {rows} rows, and there are scores of {len(found)}")
    labelled = task.labelled(answers)
    answers, found = answers[labelled], found[labelled]
    columns = {
        name: [value for value, kept in zip(values, labelled, strict=True) if kept]
        for name, values in (slices or {}).items()
    }
    numbers = {name: np.asarray(each)[labelled] for name, each in (extras or {}).items()}
    return EvaluationRecord(
        model=model,
        model_revision=model_revision,
        dataset=dataset,
        dataset_revision=dataset_revision,
        split=split,
        task=hub_task or task.hub_task,
        n=len(answers),
        metrics=task.metrics(answers, found, threshold),
        threshold=task.used_threshold(threshold),
        temperature=temperature,
        slices=sliced(task, answers, found, columns, numbers, threshold),
        per_class=task.per_class(answers, found, threshold),
        undefined=task.undefined(answers, found, threshold),
        baselines={name: dict(values) for name, values in (baselines or {}).items()},
    )


def without(record: EvaluationRecord, reasons: Mapping[str, str]) -> EvaluationRecord:
    """The record with some of the model's metrics not defined, its slices' too.

    What it says of the baselines stays: they have scores of their own.

    Args:
        record: As it was computed.
        reasons: Metric to why it is not defined; one that has a reason already keeps it.

    >>> record = EvaluationRecord("ada/m", None, None, None, None, "", 2, {"f1": 1.0, "ece": 0.3})
    >>> found = without(record, {"ece": "no probability"})
    >>> found.metrics, found.undefined
    ({'f1': 1.0, 'ece': None}, {'ece': 'no probability'})
    """
    there = {name: why for name, why in reasons.items() if name in record.metrics}
    slices = {
        column: {value: _blank(each, there) for value, each in values.items()}
        for column, values in record.slices.items()
    }
    return replace(
        record,
        metrics=_blank(record.metrics, there),
        intervals=_blank(record.intervals, there),
        slices=slices,
        undefined={**there, **record.undefined},
    )


def _blank(told: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The same, with None for each of the names that is there; so in what it holds."""
    inside = {
        key: _blank(each, names) if isinstance(each, Mapping) else each
        for key, each in told.items()
    }
    return inside | {name: None for name in names if name in told}


def read_record(path: str | Path) -> EvaluationRecord:
    """Read a ``metrics.json`` back.

    Raises:
        UserError: There is none, it is not JSON, or it is not an evaluation record.
    """
    source = Path(path)
    try:
        found = json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{source}: no such file; `hfpipe evaluate MODEL` writes one") from None
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"{source}: not JSON ({error}); evaluate the model again") from None
    _check(found, source)
    return EvaluationRecord(**found)


def plain(value: Any) -> Any:
    """Give a value as JSON can hold it; what is not a finite number becomes None.

    >>> plain({"a": float("nan"), "b": np.float32(0.5), "c": (np.int64(1), None)})
    {'a': None, 'b': 0.5, 'c': [1, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _check(found: object, source: Path) -> None:
    if not isinstance(found, dict):
        raise UserError(f"{source}: not an evaluation record (a JSON object); evaluate again")
    names = [item.name for item in fields(EvaluationRecord)]
    for name in found:
        if name not in names:
            raise UserError(f"{source}: unknown key '{name}'{nearest(name, names)}")
    # What a record of an earlier hfpipe has not, it is read without.
    missing = [name for name in names[: names.index("undefined")] if name not in found]
    if missing:
        raise UserError(f"{source}: key '{missing[0]}' is missing; evaluate the model again")
    kinds = {"metrics": dict, "per_class": dict, "baselines": dict, "slices": dict, "n": int}
    for name, kind in {**kinds, "intervals": dict, "model": str, "task": str}.items():
        if not isinstance(found[name], kind) or isinstance(found[name], bool):
            raise UserError(f"{source}: '{name}' must be {_article(kind)}; evaluate again")
    for name, value in found["metrics"].items():
        if value is not None and not isinstance(value, (int, float)):
            raise UserError(f"{source}: metrics.{name} is not a number; evaluate again")


def _article(kind: type) -> str:
    return {dict: "an object", int: "a whole number", str: "a text"}[kind]
