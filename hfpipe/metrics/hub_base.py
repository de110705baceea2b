"""What hfpipe's ``evaluate.Metric`` modules share.

``evaluate.load`` takes the first metric class that it finds in a module; so they import this
module, and not the class.
"""

from __future__ import annotations

import datasets
import evaluate

NUMBER = datasets.Value("float64")
CLASS = datasets.Value("int64")


def info(
    description: str, predictions: str, references: str, rest: str, **columns: datasets.Features
) -> evaluate.MetricInfo:
    """Describe a metric module.

    Args:
        description: What it measures.
        predictions: What a row of ``predictions`` is.
        references: What a row of ``references`` is.
        rest: The other arguments of ``compute``, a line each.
        **columns: The types of ``predictions`` and ``references``.
    """
    lines = [f"predictions: {predictions}", f"references: {references}", *rest.splitlines()]
    arguments = "\n".join(f"    {line}" for line in lines)
    returns = "Returns:\n    A flat dict of metric name to number, None where it is not defined."
    return evaluate.MetricInfo(
        description=description,
        citation="",
        inputs_description=f"\nArgs:\n{arguments}\n{returns}\n",
        features=datasets.Features(columns),
    )
