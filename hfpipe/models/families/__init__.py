"""What ``model.kind`` of a recipe may be: how each is opened, built, saved and loaded again."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hfpipe.errors import UserError, nearest
from hfpipe.models.families._base import Blueprint, Family, Opened, Origin
from hfpipe.models.families.fusion import LateFusion
from hfpipe.models.families.own import Own
from hfpipe.models.families.profile import Profile
from hfpipe.models.families.stock import StockImage, StockText
from hfpipe.models.families.tabular import Tabular

__all__ = ["FAMILIES", "Blueprint", "Family", "Opened", "Origin", "family_of"]

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "sequence_classification": StockText(),
        "image_classification": StockImage(),
        "concat_mlp": Own("concat_mlp", "ConcatMLPModel"),
        "gated_fusion": Own("gated_fusion", "GatedFusionModel"),
        "sequence": Own("sequence", "SequenceModel"),
        "late_fusion": LateFusion(),
        "profile": Profile(),
        "ridge": Tabular("ridge"),
        "gbdt": Tabular("gbdt"),
    }
)
"""Kind → its family."""


def family_of(kind: str) -> Family:
    """The family of a kind.

    Raises:
        UserError: There is no such kind.

    >>> family_of("ridgr")
    Traceback (most recent call last):
    ...
    hfpipe.errors.UserError: model.kind: no 'ridgr'; did you mean 'ridge'?
    """
    if kind not in FAMILIES:
        raise UserError(f"model.kind: no '{kind}'{nearest(kind, FAMILIES)}")
    return FAMILIES[kind]
