"""The regression metrics as a module that ``evaluate.load`` finds without a network.

>>> from hfpipe.metrics.hub import load_metric
>>> found = load_metric("regression").compute(references=[1.0, 2.0], predictions=[1.0, 4.0])
>>> found["mae_raw"], round(found["spearman"], 6)
(1.0, 1.0)
"""

from __future__ import annotations

from collections.abc import Sequence

import evaluate

from hfpipe.metrics import hub_base
from hfpipe.metrics.regression import regression_metrics

DESCRIPTION = """Metrics of a regression: root mean squared and mean absolute error and R2, in the
raw scale and, if numbers are log1p of it, in that one too; and Spearman rank correlation."""


class HfpipeRegression(evaluate.Metric):
    """:func:`hfpipe.metrics.regression.regression_metrics` as an ``evaluate.Metric``."""

    def _info(self) -> evaluate.MetricInfo:
        return hub_base.info(
            DESCRIPTION,
            predictions=(hub_base.NUMBER, "one number a row."),
            references=(hub_base.NUMBER, "one number a row."),
            rest="log1p: whether both are log1p of the raw value; not so by default.\n"
            "sample_weight: how much each row counts, but for Spearman; by default the same.",
        )

    def _compute(
        self,
        predictions: list[float],
        references: list[float],
        log1p: bool = False,
        sample_weight: Sequence[float] | None = None,
    ) -> dict[str, float | None]:
        return regression_metrics(references, predictions, log1p=log1p, weights=sample_weight)
