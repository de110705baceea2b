"""Stacking: learn, from predictions made for rows unseen, how much to trust each model.

Every number that the meta model learns from, and every one that it is scored on, was predicted for
a row by models that had not seen that row's target (Wolpert 1992). So a model that has learnt its
train rows by heart is worth here what it is worth on new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hfpipe.errors import RunError, UserError, nearest
from hfpipe.metrics.regression import rmse
from hfpipe.metrics.scores import Floats, Ints

FOLDS = 5
REPEATS = 3
ALPHAS = np.logspace(-3, 3, 13)

FitPredict = Callable[[Ints, Ints], npt.ArrayLike]
"""Positions of train rows and of others to the predictions for the others."""


@dataclass(frozen=True)
class Stacker:
    """A weighted sum of models.

    Attributes:
        names: The models, in the order of the weights.
        weights: One a model.
        intercept: Added to the sum.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    intercept: float

    def predict(self, predictions: Mapping[str, npt.ArrayLike]) -> Floats:
        """Combine what the models say of other rows, (rows,) each.

        >>> Stacker(("a", "b"), (0.5, 0.25), 1.0).predict({"a": [2.0], "b": [4.0]}).tolist()
        [3.0]

        Raises:
            UserError: A model is missing.
        """
        for name in self.names:
            if name not in predictions:
                raise UserError(f"stacking needs the predictions of '{name}'")
        columns = [np.asarray(predictions[name], dtype=np.float64) for name in self.names]
        return np.column_stack(columns) @ np.array(self.weights) + self.intercept

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Stacking:
    """What stacking came to.

    Attributes:
        stacker: Fitted on all rows, for new ones.
        predictions: (rows,) out of fold, the mean over the repeats.
        scores: RMSE out of fold of every model, and of ``stacking``; the mean over the repeats.
        by_repeat: The same, one number a repeat.
    """

    stacker: Stacker
    predictions: Floats
    scores: dict[str, float]
    by_repeat: dict[str, list[float]]


def repeated_folds(
    rows: int,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    *,
    seed: int = 42,
    groups: npt.ArrayLike | None = None,
) -> Ints:
    """Draw the fold of every row, several times over; the same seed draws the same.

    Args:
        rows: How many there are.
        folds: Of nearly equal size: they differ by one row, or by one group.
        repeats: How many drawings.
        seed: Of the drawings.
        groups: (rows,) rows of one group share a fold.

    Returns:
        (repeats, rows) numbers from 0.

    >>> repeated_folds(5, folds=2, repeats=1).shape
    (1, 5)

    Raises:
        UserError: Fewer rows or groups than folds; fewer than 2 folds.
    """
    units = np.arange(rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(units.max(initial=-1)) + 1
    if len(units) != rows:
        raise UserError(f"{len(units)} groups for {rows} rows")
    if folds < 2 or repeats < 1 or count < folds:
        what = "rows" if groups is None else "groups"
        raise UserError(f"{folds} folds of {count} {what}, {repeats} times, cannot be drawn")
    generator = np.random.default_rng(seed)
    drawn = [generator.permutation(np.arange(count) % folds)[units] for _ in range(repeats)]
    return np.stack(drawn).astype(np.int64)


def out_of_fold(
    models: Mapping[str, FitPredict], fold_ids: Ints, advance: Callable[[str], None] | None = None
) -> dict[str, Floats]:
    """Fit every model once a fold and repeat, and keep what it says of the rows it did not see.

    Args:
        models: Name to a function that fits on some rows and predicts others.
        fold_ids: (repeats, rows), of :func:`repeated_folds`.
        advance: Called with the model's name after each fit.

    Returns:
        Name to (repeats, rows) predictions.

    Raises:
        RunError: A model gives another number of predictions than rows, or not finite ones.
    """
    found = {name: np.empty(fold_ids.shape) for name in models}
    for repeat, ids in enumerate(fold_ids):
        for fold in range(int(ids.max()) + 1):
            train, others = np.flatnonzero(ids != fold), np.flatnonzero(ids == fold)
            for name, fit_predict in models.items():
                said = np.asarray(fit_predict(train, others), dtype=np.float64)
                if said.shape != others.shape or not np.isfinite(said).all():
                    raise RunError(
                        f"'{name}', repeat {repeat + 1}, fold {fold + 1}: predictions of shape "
                        f"{said.shape} for {len(others)} rows, or not finite"
                    )
                found[name][repeat, others] = said
                if advance is not None:
                    advance(name)
    return found


def stack(
    predictions: Mapping[str, npt.ArrayLike],
    targets: npt.ArrayLike,
    fold_ids: Ints,
    meta: str = "nnls",
) -> Stacking:
    """Fit the meta model fold by fold, score it on the fold left out, then fit it on all rows.

    Args:
        predictions: Model to (repeats, rows) of :func:`out_of_fold`, or to (rows,) of models that
            were trained on other rows. Never to what models say of their own train rows.
        targets: (rows,).
        fold_ids: (repeats, rows) of :func:`repeated_folds`, the same as for the predictions.
        meta: ``nnls``: weights of at least 0; ``ridge``: any, with a penalty chosen by
            leave-one-out.

    Raises:
        UserError: No such meta model, no predictions, or arrays that do not fit.
    """
    if meta not in META:
        raise UserError(f"no meta model '{meta}'{nearest(meta, META)}")
    goals = np.asarray(targets, dtype=np.float64)
    names, cube = _cube(predictions, goals, fold_ids)
    said = np.empty(fold_ids.shape)
    for repeat, ids in enumerate(fold_ids):
        for fold in range(int(ids.max()) + 1):
            inside = ids == fold
            weights, intercept = META[meta](cube[repeat][~inside], goals[~inside])
            said[repeat, inside] = cube[repeat][inside] @ weights + intercept
    every = cube.reshape(-1, len(names)), np.tile(goals, len(fold_ids))
    weights, intercept = META[meta](*every)
    by_repeat = {
        name: [_rmse(goals, cube[repeat][:, column]) for repeat in range(len(fold_ids))]
        for column, name in enumerate(names)
    } | {"stacking": [_rmse(goals, row) for row in said]}
    return Stacking(
        Stacker(tuple(names), tuple(float(weight) for weight in weights), float(intercept)),
        said.mean(axis=0),
        {name: float(np.mean(values)) for name, values in by_repeat.items()},
        by_repeat,
    )


def _nnls(columns: Floats, goals: Floats) -> tuple[Floats, float]:
    """Least squares with weights of at least 0 (Breiman 1996) and a free intercept."""
    from scipy.optimize import nnls

    centre, mean = columns.mean(axis=0), goals.mean()
    weights: Floats = nnls(columns - centre, goals - mean)[0]
    return weights, float(mean - centre @ weights)


def _ridge(columns: Floats, goals: Floats) -> tuple[Floats, float]:
    from sklearn.linear_model import RidgeCV

    model = RidgeCV(ALPHAS).fit(columns, goals)
    return model.coef_, float(model.intercept_)


META: dict[str, Callable[[Floats, Floats], tuple[Floats, float]]] = {
    "nnls": _nnls,
    "ridge": _ridge,
}
"""Name to a fit of (rows, models) predictions to targets: weights and intercept."""


def _cube(
    predictions: Mapping[str, npt.ArrayLike], goals: Floats, fold_ids: Ints
) -> tuple[Sequence[str], Floats]:
    """Names and (repeats, rows, models), checked."""
    if not predictions:
        raise UserError("stacking needs the predictions of at least one model")
    if "stacking" in predictions:
        raise UserError("no model may be called 'stacking': its score is listed under that name")
    if fold_ids.ndim != 2 or goals.shape != fold_ids.shape[1:] or not np.isfinite(goals).all():
        raise UserError(
            f"targets {goals.shape} and folds {fold_ids.shape}: one finite target a row"
        )
    columns = []
    for name, values in predictions.items():
        array = np.asarray(values, dtype=np.float64)
        if array.shape not in (fold_ids.shape, goals.shape) or not np.isfinite(array).all():
            raise UserError(
                f"predictions of '{name}' have shape {array.shape} or are not finite; there are "
                f"{fold_ids.shape[1]} rows and {len(fold_ids)} repeats"
            )
        columns.append(np.broadcast_to(array, fold_ids.shape))
    return list(predictions), np.stack(columns, axis=-1)


def _rmse(goals: Floats, said: Floats) -> float:
    value = rmse(goals, said)
    return float("inf") if value is None else value
