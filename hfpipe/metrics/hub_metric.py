"""The classification metrics as a module that ``evaluate.load`` finds without a network.

>>> from hfpipe.metrics.hub import load_metric
>>> metric = load_metric()
>>> found = metric.compute(references=[0, 1], predictions=[[0.9, 0.1], [0.6, 0.4]])
>>> found["accuracy"], found["macro_recall"]
(0.5, 0.5)
"""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate

from hfpipe.metrics import hub_base
from hfpipe.metrics.classification import classification_metrics

DESCRIPTION = """Metrics of a single-label classifier: top-1/2/3 accuracy, micro, macro and weighted
F1, macro precision and recall, balanced accuracy, Matthews correlation, macro ROC AUC and average
precision, log loss, Brier score, expected calibration error and the class-wise one."""


class HfpipeClassification(evaluate.Metric):
    """:func:`hfpipe.metrics.classification.classification_metrics` as an ``evaluate.Metric``."""

    def _info(self) -> evaluate.MetricInfo:
        return hub_base.info(
            DESCRIPTION,
            predictions=(
                datasets.Sequence(hub_base.NUMBER),
                "one list a row: the probability of every class, in label order.",
            ),
            references=(hub_base.CLASS, "the true class index of every row."),
            rest="sample_weight: how much each row counts; by default the same.",
        )

    def _compute(
        self,
        predictions: list[list[float]],
        references: list[int],
        sample_weight: Sequence[float] | None = None,
    ) -> dict[str, float | None]:
        return classification_metrics(references, predictions, sample_weight)
