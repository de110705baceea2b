"""Cleaning steps: each rewrites texts, or judges them and gives a reason for what it drops.

The folder is the registry: one module a step, named as the step, with one frozen dataclass whose
fields are the step's options. A step works on a list of texts at a time and keeps nothing between
two lists, so that rows may come in chunks of any size and from several processes.
"""

from __future__ import annotations

from data_prep.steps._describing import Described, Option, describe
from data_prep.steps._kinds import Judge, Rewriter, Step
from data_prep.steps._registry import step_class, step_names
from data_prep.steps._specs import build_steps

__all__ = [
    "Described",
    "Judge",
    "Option",
    "Rewriter",
    "Step",
    "build_steps",
    "describe",
    "step_class",
    "step_names",
]
