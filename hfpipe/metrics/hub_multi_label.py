"""The multi-label metrics as a module that ``evaluate.load`` finds without a network.

>>> from hfpipe.metrics.hub import load_metric
>>> metric = load_metric("multi_label")
>>> truth, scores = [[1, 0], [1, 1]], [[0.9, 0.6], [0.7, 0.8]]
>>> metric.compute(references=truth, predictions=scores, threshold=[0.5, 0.7])["micro_f1"]
1.0
"""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate

from hfpipe.metrics import hub_base
from hfpipe.metrics.binary import THRESHOLD
from hfpipe.metrics.multi_label import multi_label_metrics

DESCRIPTION = """Metrics of a multi-label classifier: share of rows and of cells that are right,
micro and macro precision, recall and F1 at a threshold; macro ROC AUC and average precision; log
loss, Brier score and expected calibration error, averaged over labels."""


class HfpipeMultiLabel(evaluate.Metric):
    """:func:`hfpipe.metrics.multi_label.multi_label_metrics` as an ``evaluate.Metric``."""

    def _info(self) -> evaluate.MetricInfo:
        return hub_base.info(
            DESCRIPTION,
            predictions=(
                datasets.Sequence(hub_base.NUMBER),
                "one list a row: the probability of every label.",
            ),
            references=(
                datasets.Sequence(hub_base.CLASS),
                "one list a row: 0 or 1 for every label.",
            ),
            rest="threshold: a label is predicted from here on: one number, or one a label.",
        )

    def _compute(
        self,
        predictions: list[list[float]],
        references: list[list[int]],
        threshold: float | Sequence[float] = THRESHOLD,
    ) -> dict[str, float | None]:
        return multi_label_metrics(references, predictions, threshold)
