"""What hfpipe's ``evaluate.Metric`` modules share.

``evaluate.load`` takes the first metric class that it finds in a module; so they import this
module, and not the class.
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

NUMBER = datasets.Value("float64")
CLASS = datasets.Value("int64")


Column = tuple[Any, str]
"""The type of a column, and what a row of it is."""


def info(
    description: str, predictions: Column, references: Column, rest: str
) -> evaluate.MetricInfo:
    """Describe a metric module.

    Args:
        description: What it measures.
        predictions: The column of that name.
        references: The same.
        rest: The other arguments of ``compute``, a line each.
    """
    columns = {"predictions": predictions, "references": references}
    lines = [*(f"{name}: {words}" for name, (_, words) in columns.items()), *rest.splitlines()]
    arguments = "\n".join(f"    {line}" for line in lines)
    returns = "Returns:\n    A flat dict of metric name to number, None where it is not defined."
    return evaluate.MetricInfo(
        description=description,
        citation="",
        inputs_description=f"\nArgs:\n{arguments}\n{returns}\n",
        features=datasets.Features({name: kind for name, (kind, _) in columns.items()}),
    )
