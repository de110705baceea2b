"""Input kinds: what a column becomes in a batch, and what is learnt of it from the train split.

The folder is the registry: one module a kind, named as the kind, with one frozen dataclass whose
fields are the fitted state.
"""

from __future__ import annotations

from hfpipe.inputs.kinds._base import Encoded, Kind
from hfpipe.inputs.kinds._registry import kind_class, kind_names

__all__ = ["Encoded", "Kind", "kind_class", "kind_names"]
