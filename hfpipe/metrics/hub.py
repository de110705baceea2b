"""The door to hfpipe's ``evaluate.Metric`` module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import evaluate

METRIC_MODULE = Path(__file__).with_name("hub_metric.py")
"""What ``evaluate.load`` takes: ``evaluate.load(str(METRIC_MODULE))``."""


def load_metric() -> evaluate.Metric:
    """Load the module through the public ``evaluate`` interface; needs no network."""
    import evaluate

    return evaluate.load(str(METRIC_MODULE))
