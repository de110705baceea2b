"""Regression on columns of numbers, categories and one fused vector, without a deep network.

``ridge`` is a penalised linear model; ``gbdt`` projects the vector with a small network and boosts
trees on what that gives and the other columns. Both are arrays in, arrays out, and a folder of
``tabular.json``, ``tabular.skops`` and, for ``gbdt``, ``projector.safetensors``: no pickle.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError, nearest
from hfpipe.models.boosted_projection import BoostedProjection
from hfpipe.models.table import Floats, Table, as_goals
from hfpipe.models.tabular_model import SUMMARY, TabularModel, side_by_side

ALPHAS = tuple(float(alpha) for alpha in np.logspace(-1, 2, 13))
"""Penalties that ``ridge`` chooses from by leave-one-out: 0.1 to 100."""


class Ridge(TabularModel):
    """Scaled numbers, one-hot categories and the vector as it is into RidgeCV."""

    family = "ridge"
    trusted = ()
    options = ("alphas",)

    @classmethod
    def fit(
        cls,
        table: Table,
        targets: npt.ArrayLike,
        *,
        seed: int = 0,
        validation: tuple[Table, npt.ArrayLike] | None = None,
        **options: Any,
    ) -> Self:
        """See :meth:`TabularModel.fit`; ``alphas``: penalties to choose from.

        Nothing here is drawn by lot and nothing stops early: neither ``seed`` nor ``validation``
        changes anything.
        """
        from sklearn.compose import ColumnTransformer
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        goals = as_goals(table, targets, 2)
        widths = table.widths()
        numeric = list(range(widths["numeric"]))
        codes = [widths["numeric"] + column for column in range(widths["categories"])]
        one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        columns = ColumnTransformer(
            [("numeric", StandardScaler(), numeric), ("categories", one_hot, codes)],
            remainder="passthrough",
            sparse_threshold=0,
        )
        model = cls(make_pipeline(columns, RidgeCV(options.get("alphas", ALPHAS))), widths)
        model.estimator.fit(side_by_side(table, table.vectors), goals)
        return model

    def answer(self, table: Table) -> Floats:
        """See :meth:`TabularModel.predict`."""
        said: Floats = self.estimator.predict(side_by_side(table, table.vectors))
        return said

    def more(self) -> dict[str, Any]:
        """The penalty that was chosen."""
        return {"alpha": float(self.estimator[-1].alpha_)}


FAMILIES: dict[str, type[TabularModel]] = {each.family: each for each in (Ridge, BoostedProjection)}


def fit_tabular(
    family: str,
    table: Table,
    targets: npt.ArrayLike,
    *,
    seed: int = 0,
    validation: tuple[Table, npt.ArrayLike] | None = None,
    **options: Any,
) -> TabularModel:
    """Fit a family by name; see :meth:`TabularModel.fit`.

    >>> rows = np.random.default_rng(0).normal(size=(30, 3))
    >>> model = fit_tabular("ridge", Table.of(rows), rows @ [1.0, 2.0, 0.0])
    >>> model.predict(Table.of([[1.0, 1.0, 5.0]])).round(1).tolist()
    [3.0]

    Raises:
        UserError: No such family; see there.
    """
    if family not in FAMILIES:
        raise UserError(f"no tabular model '{family}'{nearest(family, FAMILIES)}")
    return FAMILIES[family].fit(table, targets, seed=seed, validation=validation, **options)


def load_tabular(folder: str | Path) -> TabularModel:
    """Read a model that :meth:`TabularModel.save` wrote.

    Raises:
        UserError: A file is missing, broken, or holds a type that is not trusted.
    """
    path = Path(folder) / SUMMARY
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        kind, _ = FAMILIES[summary["family"]], summary["widths"]["vectors"]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a tabular model of this version ({error!r})") from None
    return kind.load(Path(folder), summary)
