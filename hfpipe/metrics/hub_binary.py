"""The yes-or-no metrics as a module that ``evaluate.load`` finds without a network.

>>> from hfpipe.metrics.hub import load_metric
>>> metric = load_metric("binary")
>>> found = metric.compute(references=[1, 0, 0], predictions=[0.9, 0.2, 0.6], threshold=0.7)
>>> found["f1"], found["roc_auc"], round(found["ece"], 4)
(1.0, 1.0, 0.3)
"""

from __future__ import annotations

from collections.abc import Sequence

import evaluate

from hfpipe.metrics import hub_base
from hfpipe.metrics.binary import THRESHOLD, binary_metrics
from hfpipe.metrics.calibration import reliability
from hfpipe.metrics.tasks import Binary

DESCRIPTION = """Metrics of a yes-or-no classifier: accuracy, precision, recall, F1, macro F1,
balanced accuracy and Matthews correlation at a threshold; ROC AUC, average precision, log loss,
Brier score and expected calibration error."""


class HfpipeBinary(evaluate.Metric):
    """:func:`hfpipe.metrics.tasks.Binary.metrics` as an ``evaluate.Metric``."""

    def _info(self) -> evaluate.MetricInfo:
        return hub_base.info(
            DESCRIPTION,
            predictions=(hub_base.NUMBER, "the probability of 1, one number a row."),
            references=(hub_base.CLASS, "0 or 1, one a row."),
            rest="threshold: a row is predicted 1 from here on; 0.5 by default.\n"
            "sample_weight: how much each row counts; by default the same.",
        )

    def _compute(
        self,
        predictions: list[float],
        references: list[int],
        threshold: float = THRESHOLD,
        sample_weight: Sequence[float] | None = None,
    ) -> dict[str, float | None]:
        if sample_weight is None:
            return Binary().metrics(references, predictions, threshold)
        found = binary_metrics(references, predictions, threshold, sample_weight)
        error = reliability(predictions, references, weights=sample_weight).error
        return found | {"ece": float(error) if len(references) else None}
