"""The door to hfpipe's ``evaluate.Metric`` modules, one a task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from hfpipe.errors import UserError, nearest

if TYPE_CHECKING:
    import evaluate

METRIC_MODULE = Path(__file__).with_name("hub_metric.py")
"""What ``evaluate.load`` takes: ``evaluate.load(str(METRIC_MODULE))``."""

METRIC_MODULES: Mapping[str, Path] = MappingProxyType(
    {
        "classification": METRIC_MODULE,
        **{
            task: Path(__file__).with_name(f"hub_{task}.py")
            for task in ("binary", "multi_label", "regression")
        },
    }
)
"""The same for every task."""


def load_metric(task: str = "classification") -> evaluate.Metric:
    """Load the module of a task through the public ``evaluate`` interface; needs no network.

    Raises:
        UserError: There is no such task.
    """
    import evaluate

    if task not in METRIC_MODULES:
        raise UserError(f"no metric module '{task}'{nearest(task, METRIC_MODULES)}")
    return evaluate.load(str(METRIC_MODULES[task]))
