"""Regression on columns of numbers, categories and one fused vector, without a deep network.

``ridge`` is a penalised linear model; ``gbdt`` projects the vector with a small network and boosts
trees on what that gives and the other columns. Both are arrays in, arrays out, and a folder of
``tabular.json``, ``tabular.skops`` and, for ``gbdt``, ``projector.safetensors``: no pickle.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError, nearest
from hfpipe.models.projector import (
    Projector,
    ProjectorTraining,
    load_projector,
    project,
    save_projector,
    train_projector,
)
from hfpipe.models.skops_files import load_skops, save_skops
from hfpipe.models.table import Table, as_goals

Floats = npt.NDArray[np.float64]

ALPHAS = tuple(float(alpha) for alpha in np.logspace(-1, 2, 13))
"""Penalties that ``ridge`` chooses from by leave-one-out: 0.1 to 100."""
HELD_OUT = 0.1
"""Share of the train rows that says when to stop, where there is no validation split."""
MAX_CATEGORIES = 255
"""Scikit-learn's limit of a categorical column; above it, codes are taken as numbers."""
SMALL = 20_000_000
"""Cells of a table on which trees are grown with one thread."""
SUMMARY = "tabular.json"
ESTIMATOR = "tabular.skops"


class TabularModel(ABC):
    """What both families do: fit, predict, save, load."""

    family: ClassVar[str]
    trusted: ClassVar[tuple[str, ...]]

    def __init__(self, estimator: Any, widths: dict[str, int]) -> None:
        self.estimator = estimator
        self.widths = widths

    @classmethod
    @abstractmethod
    def fit(
        cls,
        table: Table,
        targets: npt.ArrayLike,
        *,
        seed: int = 0,
        validation: tuple[Table, npt.ArrayLike] | None = None,
        **options: Any,
    ) -> Self:
        """Learn from train rows.

        Args:
            table: Their columns.
            targets: (rows,) in the scale that is to be predicted.
            seed: The same gives the same model.
            validation: Other rows, which may only say when to stop.
            **options: See the family.

        Raises:
            UserError: Too few rows, or targets that are not finite.
        """

    def predict(self, table: Table) -> Floats:
        """Targets, (rows,), of other rows.

        Raises:
            UserError: Another number of columns than at training.
        """
        for name, width in table.widths().items():
            if width != self.widths[name]:
                raise UserError(
                    f"{name} have {width} columns, but the model was trained with "
                    f"{self.widths[name]}: encode the rows with the model's own processor"
                )
        if not len(table):
            return np.empty(0)
        return np.asarray(self.estimator.predict(self.features(table)), dtype=np.float64)

    def features(self, table: Table) -> Floats:
        """What the estimator sees: numeric, categories, vectors, side by side."""
        return np.hstack([table.numeric, table.categories, table.vectors])

    def save(self, folder: str | Path) -> None:
        """Write the model into a folder; :func:`load_tabular` reads it back."""
        import sklearn
        import skops

        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        save_skops(self.estimator, target / ESTIMATOR, self.trusted)
        summary = {
            "format": 1,
            "family": self.family,
            "widths": self.widths,
            "trusted": list(self.trusted),
            "versions": {"scikit-learn": sklearn.__version__, "skops": skops.__version__},
        }
        (target / SUMMARY).write_text(json.dumps(summary | self.more(), indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path, summary: dict[str, Any]) -> Self:
        """Read what :meth:`save` wrote; ``summary`` is its ``tabular.json``."""
        return cls(load_skops(folder / ESTIMATOR, cls.trusted), summary["widths"])

    def more(self) -> dict[str, Any]:
        """What the family adds to ``tabular.json``."""
        return {}


class Ridge(TabularModel):
    """Scaled numbers, one-hot categories and the vector as it is into RidgeCV."""

    family = "ridge"
    trusted = ()

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
        model.estimator.fit(model.features(table), goals)
        return model

    def more(self) -> dict[str, Any]:
        """The penalty that was chosen."""
        return {"alpha": float(self.estimator[-1].alpha_)}


class BoostedProjection(TabularModel):
    """A projector of the vector (dim → 256 → 128), then boosted trees on that and the columns.

    The rows that say when to stop teach neither part: trees that saw what the projector learnt by
    heart would trust it too much.
    """

    family = "gbdt"
    # A partial may only call what is trusted itself: here the check of the categorical columns.
    trusted = (
        "functools.partial",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.utils.validation.check_array",
    )

    def __init__(self, estimator: Any, widths: dict[str, int], projector: Projector) -> None:
        super().__init__(estimator, widths)
        self.projector = projector

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
        """See :meth:`TabularModel.fit`.

        Options: ``projector``, a ``ProjectorTraining``; ``boosting``, a dict whose entries replace
        those of :data:`BOOSTING`.
        """
        from sklearn.ensemble import HistGradientBoostingRegressor

        goals = as_goals(table, targets, 12)
        (table, goals), (others, other_goals) = _hold_out(table, goals, validation, seed)
        training = options.get("projector", ProjectorTraining())
        held_out = (others.vectors, other_goals)
        projector = train_projector(table.vectors, goals, held_out, training, seed)
        widths = table.widths()
        categorical = [
            widths["numeric"] + column
            for column in range(widths["categories"])
            if table.categories[:, column].max(initial=0) < MAX_CATEGORIES
        ]
        estimator = HistGradientBoostingRegressor(
            **BOOSTING | dict(options.get("boosting", {})),
            categorical_features=categorical or None,
            random_state=seed,
        )
        model = cls(estimator, widths, projector)
        estimator.fit(model.features(table), goals, X_val=model.features(others), y_val=other_goals)
        return model

    def features(self, table: Table) -> Floats:
        """Numeric, categories and the projected vector, side by side."""
        return np.hstack([table.numeric, table.categories, project(self.projector, table.vectors)])

    def save(self, folder: str | Path) -> None:
        """Write the model into a folder; :func:`load_tabular` reads it back."""
        super().save(folder)
        save_projector(self.projector, Path(folder))

    @classmethod
    def load(cls, folder: Path, summary: dict[str, Any]) -> Self:
        """Read what :meth:`save` wrote; ``summary`` is its ``tabular.json``."""
        estimator = load_skops(folder / ESTIMATOR, cls.trusted)
        return cls(estimator, summary["widths"], load_projector(folder))

    def more(self) -> dict[str, Any]:
        """How many trees it stopped at."""
        return {"iterations": int(self.estimator.n_iter_)}


BOOSTING: dict[str, Any] = {
    "learning_rate": 0.05,
    "max_depth": 6,
    "max_iter": 500,
    "min_samples_leaf": 20,
    "l2_regularization": 1e-4,
    "early_stopping": True,
}
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


def _few_threads(cells: int) -> AbstractContextManager[Any]:
    """One thread for a small fit: on busy cores, waiting for each other takes longer than trees."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "openmp") if cells < SMALL else nullcontext()


def _hold_out(
    table: Table,
    goals: Floats,
    validation: tuple[Table, npt.ArrayLike] | None,
    seed: int,
) -> tuple[tuple[Table, Floats], tuple[Table, Floats]]:
    """The rows to learn from and those that say when to stop: given, or drawn by lot."""
    if validation is not None:
        return (table, goals), (validation[0], as_goals(*validation, 1))
    order = np.random.default_rng(seed).permutation(len(table))
    cut = max(1, round(HELD_OUT * len(table)))
    few, most = np.sort(order[:cut]), np.sort(order[cut:])
    return (table.rows(most), goals[most]), (table.rows(few), goals[few])
