"""A realistic evaluation, and one in which every text is an attack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from hfpipe.evaluation.baselines import majority
from hfpipe.evaluation.predictions import prediction_rows
from hfpipe.evaluation.record import EvaluationRecord, classification_record
from hfpipe.metrics.classification import classification_metrics

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
    record = classification_record(
        truth,
        scores,
        labels,
        model=names.get("model", "local/topics-minilm"),
        model_revision="1f" * 20,
        dataset=names.get("dataset", "local/topics"),
        dataset_revision="2e" * 20,
        split="test",
        baselines={
            "majority": classification_metrics(truth, majority(train, labels, rows)),
            "tfidf_logistic_regression": classification_metrics(truth, weak),
        },
    )
    shown = [{"definition": texts[index % len(texts)]} for index in range(rows)]
    ids = [f"row-{index}" for index in range(rows)]
    curves = [{"loss": 3 / (step + 1), "epoch": step / 10, "step": step} for step in range(20)]
    for epoch in (1, 2):
        found = {f"eval_{name}": value for name, value in record.metrics.items()}
        curves.append({**found, "eval_loss": 1 / epoch, "epoch": epoch, "step": 10 * epoch})
    return Evaluation(
        record, list(prediction_rows(ids, shown, train, scores, labels)), labels, curves
    )


@pytest.fixture(scope="session")
def topics() -> Evaluation:
    texts = [f"a text about number {index}, of some length, " * 3 for index in range(50)]
    return evaluation(TOPICS, texts, 1500)


@pytest.fixture(scope="session")
def attack() -> Evaluation:
    return evaluation(ATTACKS, ATTACKS, 200, model=ATTACKS[0], dataset=ATTACKS[1])
