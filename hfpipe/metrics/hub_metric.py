"""The classification metrics as a module that ``evaluate.load`` finds without a network.

>>> from hfpipe.metrics.hub import load_metric
>>> metric = load_metric()
>>> found = metric.compute(references=[0, 1], predictions=[[0.9, 0.1], [0.6, 0.4]])
>>> found["accuracy"], found["macro_recall"]
(0.5, 0.5)
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from hfpipe.metrics.classification import classification_metrics

DESCRIPTION = """Metrics of a single-label classifier: top-1/2/3 accuracy, macro and weighted F1,
macro precision and recall, log loss, Brier score and expected calibration error."""

INPUTS = """
Args:
    predictions: one list a row: the probability of every class, in label order.
    references: the true class index of every row.
Returns:
    A flat dict of metric name to number.
"""


class HfpipeClassification(evaluate.Metric):
    """:func:`hfpipe.metrics.classification.classification_metrics` as an ``evaluate.Metric``."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Value("int64"),
                }
            ),
        )

    def _compute(
        self, predictions: list[list[float]], references: list[int], **_: Any
    ) -> dict[str, float | None]:
        return classification_metrics(references, predictions)
