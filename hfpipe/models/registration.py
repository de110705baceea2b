"""Make the wrappers known to ``AutoConfig`` and ``AutoModel``; importing this does it.

>>> from transformers import AutoConfig
>>> AutoConfig.for_model("hfpipe-sequence").hidden_size
256
"""

from __future__ import annotations

from importlib import import_module

WRAPPERS = ("concat_mlp", "gated_fusion", "late_fusion", "profile", "sequence")
"""The modules of ``hfpipe.models`` that define a wrapper; defining one registers it."""


def register() -> None:
    """Import every wrapper. Again costs nothing."""
    for name in WRAPPERS:
        import_module(f"hfpipe.models.{name}")


register()
