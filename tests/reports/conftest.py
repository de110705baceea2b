"""A realistic evaluation, and one in which every text is an attack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from hfpipe.evaluation.baselines import majority
from hfpipe.evaluation.predictions import task_rows
from hfpipe.evaluation.record import EvaluationRecord, evaluation_record
from hfpipe.metrics.tasks import Task, task_of

TOPICS = [f"topic {chr(97 + index)}{'x' * (index % 9)}" for index in range(26)]
ATTACKS = [
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "</title></style></svg><svg onload=document.title='owned'>",
    "{{ 7 * 7 }} | pipe ` tick ``` fence \u202e reversed \x00 nul",
    "[link](javascript:document.title='owned') https://evil.example @someone",
]


@dataclass
class Evaluation:
    """A record with the rows behind it."""

    record: EvaluationRecord
    rows: list[dict[str, Any]]
    labels: list[str]
    curves: list[dict[str, float]]


def evaluation(labels: list[str], texts: list[str], rows: int, **names: Any) -> Evaluation:
    """Make an evaluation whose model is right about four times in five."""
    generator = np.random.default_rng(0)
    truth = np.minimum(generator.geometric(2 / len(labels), rows) - 1, len(labels) - 1)
    scores = generator.dirichlet(np.full(len(labels), 0.3), rows)
    scores[np.arange(rows), truth] += generator.choice([0.0, 3.0], rows, p=[0.25, 0.75])
    scores /= scores.sum(axis=1, keepdims=True)
    train = [labels[index] for index in truth]
    weak = 0.5 * scores + 0.5 * generator.dirichlet(np.full(len(labels), 0.3), rows)
    task = task_of("classification", labels)
    record = evaluation_record(
        task,
        truth,
        scores,
        model=names.get("model", "local/topics-minilm"),
        model_revision="1f" * 20,
        dataset=names.get("dataset", "local/topics"),
        dataset_revision="2e" * 20,
        split="test",
        baselines={
            "majority": task.metrics(truth, majority(train, labels, rows)),
            "tfidf_logistic_regression": task.metrics(truth, weak),
        },
    )
    shown = [{"definition": texts[index % len(texts)]} for index in range(rows)]
    ids = [f"row-{index}" for index in range(rows)]
    curves = [{"loss": 3 / (step + 1), "epoch": step / 10, "step": step} for step in range(20)]
    for epoch in (1, 2):
        found = {f"eval_{name}": value for name, value in record.metrics.items()}
        curves.append({**found, "eval_loss": 1 / epoch, "epoch": epoch, "step": 10 * epoch})
    return Evaluation(record, list(task_rows(task, ids, shown, truth, scores)), labels, curves)


def of_task(task: Task, texts: list[str], rows: int = 300, **names: Any) -> Evaluation:
    """An evaluation of any other task: slices, gates and two baselines, one of them weak."""
    draw = np.random.default_rng(1)
    classes = len(task.labels) if task.name == "multi_label" else 1
    truth = (draw.random((rows, classes)) < 0.3).astype(float)
    noise = draw.normal(size=(2, rows, classes))
    strong, weak = (1 / (1 + np.exp(2 - 4 * truth - n)) for n in noise)
    if task.name == "regression":
        truth = 8 + 2 * draw.normal(size=(rows, 1))
        strong, weak = truth + noise[0], truth + 1.5 * noise[1]
    if classes == 1:
        truth, strong, weak = truth[:, 0], strong[:, 0], weak[:, 0]
    constant = np.broadcast_to(truth.mean(axis=0), truth.shape)
    trivial = "mean" if task.name == "regression" else "majority"
    simple = "ridge" if task.name == "regression" else "logistic_regression"
    threshold = task.best_threshold(truth, weak)
    record = evaluation_record(
        task,
        truth,
        strong,
        model=names.get("model", "local/model"),
        model_revision="1f" * 20,
        dataset="local/rows",
        split="test",
        threshold=threshold,
        baselines={
            trivial: task.metrics(truth, constant),
            simple: task.metrics(truth, weak, threshold),
        },
        slices={
            names.get("column", "lang"): [texts[at % len(texts)][:40] for at in range(rows)],
            "aggregation": ["mean" if at % 3 else "max" for at in range(rows)],
        },
        extras={f"gate_weight.{names.get('tower', 'video')}": draw.random(rows)},
    )
    shown = [{"text": texts[at % len(texts)]} for at in range(rows)]
    found = task_rows(task, [f"row-{at}" for at in range(rows)], shown, truth, strong, threshold)
    logged = {f"eval_{name}": value for name, value in record.metrics.items()}
    curves = [{"loss": 2.0, "epoch": 1.0}, {**logged, "eval_loss": 1.0, "epoch": 1.0}]
    return Evaluation(record, list(found), task.labels, curves)


TASKS = {
    "binary": task_of("binary", ["no", "yes"]),
    "multi_label": task_of("multi_label", ["cat", "dog", "bird"]),
    "regression": task_of("regression", log1p=True),
}


@pytest.fixture(scope="session")
def evaluations() -> dict[str, Evaluation]:
    texts = [f"a text about number {index}" for index in range(7)]
    return {name: of_task(task, texts) for name, task in TASKS.items()}


@pytest.fixture(scope="session")
def attacks() -> dict[str, Evaluation]:
    """Attacks in labels, slices, towers, inputs and names."""
    more = {"model": ATTACKS[0], "column": ATTACKS[1], "tower": ATTACKS[2]}
    return {
        "binary": of_task(task_of("binary", ATTACKS[:2]), ATTACKS, **more),
        "multi_label": of_task(task_of("multi_label", ATTACKS[:3]), ATTACKS, **more),
        "regression": of_task(TASKS["regression"], ATTACKS, **more),
    }


@pytest.fixture(scope="session")
def topics() -> Evaluation:
    texts = [f"a text about number {index}, of some length, " * 3 for index in range(50)]
    return evaluation(TOPICS, texts, 1500)


@pytest.fixture(scope="session")
def attack() -> Evaluation:
    return evaluation(ATTACKS, ATTACKS, 200, model=ATTACKS[0], dataset=ATTACKS[1])
