"""Evaluations made by hand, and what an offline W&B run says when it is read back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hfpipe.evaluation.predictions import task_rows
from hfpipe.evaluation.record import EvaluationRecord, evaluation_record
from hfpipe.metrics.tasks import Task, task_of
from hfpipe.tracking import tracking
from tests.end_to_end.support import wandb_records

TOPICS = ["ant", "bee", "cat"]
SIDES = ["ham", "spam"]


@dataclass(frozen=True)
class Made:
    """An evaluation: ``truth`` and ``scores`` as the task has them."""

    task: Task
    truth: np.ndarray
    scores: np.ndarray
    record: EvaluationRecord
    rows: list[dict]


def made(name: str, truth: Any, scores: Any, labels: Iterable[str] = (), **more: Any) -> Made:
    task = task_of(name, list(labels))
    truth, scores = np.asarray(truth), np.asarray(scores, dtype=float)
    record = evaluation_record(task, truth, scores, model="ada/m", split="validation", **more)
    ids = [f"r{at}" for at in range(len(scores))]
    shown = [{"text": f"text <b>{at}</b>", "size": at} for at in range(len(scores))]
    rows = list(task_rows(task, ids, shown, truth, scores, record.threshold))
    return Made(task, truth, scores, record, rows)


def binary(rows: int = 40) -> Made:
    """Scores with ties; the last row has no label."""
    draw = np.random.default_rng(7)
    truth = np.append(draw.integers(0, 2, rows - 1), -1)
    scores = np.round(np.clip(0.35 * truth + draw.random(rows) * 0.6, 0, 1), 2)
    truth = np.where(truth < 0, np.nan, truth)
    return made(
        "binary", truth, scores, SIDES, threshold=0.4, slices={"size": [1, 2] * (rows // 2)}
    )


def classes(rows: int = 60) -> Made:
    draw = np.random.default_rng(8)
    truth = draw.integers(0, 3, rows)
    logits = draw.normal(size=(rows, 3)) + 1.5 * np.eye(3)[truth]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return made("classification", truth, scores, TOPICS)


def marks(rows: int = 50) -> Made:
    draw = np.random.default_rng(9)
    truth = draw.integers(0, 2, (rows, 3)).astype(float)
    scores = np.clip(0.4 * truth + 0.6 * draw.random((rows, 3)), 0, 1)
    return made("multi_label", truth, scores, TOPICS)


def numbers(rows: int = 30) -> Made:
    draw = np.random.default_rng(10)
    truth = draw.normal(size=rows)
    return made("regression", truth, truth + 0.1 * draw.normal(size=rows))


@dataclass
class Logged:
    """A run read back from its file."""

    path: Path
    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    charts: dict[str, Any] = field(default_factory=dict)
    history: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, Any] = field(default_factory=dict)

    def file(self, key: str) -> Path:
        """The media file that a key of the history names."""
        return self.path.parent / "files" / self.history[key]["path"]

    def table(self, key: str) -> list[dict[str, Any]]:
        found = json.loads(self.file(key).read_text())
        return [dict(zip(found["columns"], row, strict=True)) for row in found["data"]]

    def line(self, key: str, name: str) -> list[tuple[float, float]]:
        """The points of one line of a plot."""
        points = [tuple(row.values()) for row in self.table(f"{key}_table")]
        return [(x, y) for x, y, line in points if line == name]


def whole(path: Path, seconds: float = 20) -> list[Any]:
    """All records: W&B's service writes the last of them when the run has long been told to end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = list(wandb_records(path))
        if any(each.WhichOneof("record_type") == "exit" for each in found):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{path}: the run did not end")


def read_back(folder: Path) -> Logged:
    (path,) = folder.rglob("run-*.wandb")
    found = Logged(path)
    for record in whole(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
        for item in (*record.run.config.update, *record.config.update):
            keys, value = list(item.nested_key) or [item.key], json.loads(item.value_json)
            if keys[:2] == ["_wandb", "visualize"]:
                found.charts[keys[2]] = value
            else:
                found.config[keys[0]] = value
        for item in record.history.item:
            first, *rest = list(item.nested_key) or [item.key]
            value = json.loads(item.value_json)
            if rest:
                found.history.setdefault(first, {})[".".join(rest)] = value
            else:
                found.history[first] = value
        for item in record.summary.update:
            found.summary[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        if kind == "artifact" and record.artifact.type != "run_table":
            found.artifacts[record.artifact.name] = record.artifact
    return found


def offline(folder: Path, **more: Any) -> Any:
    return tracking(folder, **{"name": "n", "group": "g", "config": {}, **more})
