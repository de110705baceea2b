"""Metrics of a regression, whose targets are log1p of what was counted or the counts themselves.

What is not defined is ``None``, never a made-up number; :func:`undefined` says why.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from hfpipe.errors import RunError, UserError
from hfpipe.metrics.scores import Floats


def rmse(
    truth: npt.ArrayLike, predictions: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float | None:
    """Root of the mean squared error.

    >>> rmse([0.0, 0.0], [1.0, 7.0])
    5.0
    """
    target, guess, mass = as_targets(truth, predictions, weights)
    with np.errstate(over="ignore"):
        return (
            _finite(np.sqrt(np.average((target - guess) ** 2, weights=mass)))
            if mass.sum()
            else None
        )


def mae(
    truth: npt.ArrayLike, predictions: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float | None:
    """Mean absolute error.

    >>> mae([0.0, 0.0], [3.0, -4.0])
    3.5
    """
    target, guess, mass = as_targets(truth, predictions, weights)
    with np.errstate(over="ignore"):
        return _finite(np.average(np.abs(target - guess), weights=mass)) if mass.sum() else None


def r2(
    truth: npt.ArrayLike, predictions: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float | None:
    """Share of the targets' variance that the predictions explain; negative: worse than the mean.

    >>> r2([1, 2, 3], [1, 2, 4]), r2([2, 2], [2, 2])
    (0.5, None)
    """
    target, guess, mass = as_targets(truth, predictions, weights)
    counted = target[mass > 0]
    # Asked of the values: the mean of equal ones is often off by its rounding, and so not 0 away.
    if not counted.size or counted.min() == counted.max():
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        left = np.average((target - guess) ** 2, weights=mass)
        spread = np.average((target - np.average(target, weights=mass)) ** 2, weights=mass)
        return _finite(1 - left / spread) if spread > 0 else None


def spearman(truth: npt.ArrayLike, predictions: npt.ArrayLike) -> float | None:
    """Correlation of the ranks (Spearman 1904), equal values sharing their mean rank.

    >>> round(spearman([1, 2, 3, 4], [10, 20, 40, 30]), 12), spearman([1, 2], [5, 5])
    (0.8, None)
    """
    target, guess, _ = as_targets(truth, predictions, None)
    if not len(target) or target.min() == target.max() or guess.min() == guess.max():
        return None
    ranks = stats.rankdata(target), stats.rankdata(guess)
    return float(np.clip(np.corrcoef(*ranks)[0, 1], -1.0, 1.0))


ERRORS = {"rmse": rmse, "mae": mae, "r2": r2}


def regression_metrics(
    truth: npt.ArrayLike,
    predictions: npt.ArrayLike,
    *,
    log1p: bool = True,
    weights: npt.ArrayLike | None = None,
) -> dict[str, float | None]:
    """All metrics of a regression under their standard flat names.

    Args:
        truth: (rows,) targets.
        predictions: (rows,) what the model says.
        log1p: Both are log1p of the raw value: the raw scale is ``expm1`` of them. Otherwise they
            are the raw values, and there is no other scale.
        weights: (rows,) how much each counts, at least 0; None: the same. Not for ``spearman``.

    Returns:
        ``rmse_log, mae_log, r2_log, rmse_raw, mae_raw, r2_raw, spearman``, or
        ``rmse_raw, mae_raw, r2_raw, spearman``.

    >>> found = regression_metrics(np.log1p([0, 3]), np.log1p([0, 7]))
    >>> round(found["rmse_log"], 4), round(found["mae_raw"], 4), round(found["spearman"], 4)
    (0.4901, 2.0, 1.0)

    Raises:
        UserError: Targets that are not finite, or another number of rows.
        RunError: A prediction that is not finite.
    """
    learned = (truth, predictions, weights)
    scales = {"log": learned, "raw": _raw(*learned)} if log1p else {"raw": learned}
    found = {
        f"{name}_{scale}": each(*given) if given else None
        for scale, given in scales.items()
        for name, each in ERRORS.items()
    }
    return found | {"spearman": spearman(truth, predictions)}


def undefined(
    truth: npt.ArrayLike,
    predictions: npt.ArrayLike,
    *,
    log1p: bool = True,
    weights: npt.ArrayLike | None = None,
) -> dict[str, str]:
    """Why each metric that is ``None`` for these rows is so.

    >>> undefined([1.0, 1.0], [0.5, 800.0])["r2_log"]
    'all targets are equal'
    >>> undefined([1.0, 1.0], [0.5, 800.0])["rmse_raw"]
    'a value is beyond the largest number'
    """
    target, guess, mass = as_targets(truth, predictions, weights)
    found = regression_metrics(truth, predictions, log1p=log1p, weights=weights)
    beyond = "a value is beyond the largest number"
    reasons: dict[str, str] = {}
    for name in (name for name, value in found.items() if value is None):
        counted = target if name == "spearman" else target[mass > 0]
        counted = np.expm1(counted) if log1p and name == "r2_raw" else counted
        if not counted.size:
            reasons[name] = "no rows"
        elif name in ("r2_log", "r2_raw", "spearman") and counted.min() == counted.max():
            reasons[name] = "all targets are equal"
        else:
            equal = name == "spearman" and guess.min() == guess.max()
            reasons[name] = "all predictions are equal" if equal else beyond
    return reasons


def as_targets(
    truth: npt.ArrayLike, predictions: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    """Truth, predictions and weights as float64, all (rows,) and checked; (rows, 1) is taken too.

    Raises:
        UserError: Targets or weights are not what they must be.
        RunError: A prediction is NaN or infinite.
    """
    target, guess = (np.asarray(values, dtype=np.float64) for values in (truth, predictions))
    target, guess = (
        values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
        for values in (target, guess)
    )
    mass = np.ones(target.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if target.ndim != 1 or not target.shape == guess.shape == mass.shape:
        raise UserError(
            f"truth {target.shape}, predictions {guess.shape} and weights {mass.shape}: they must "
            "hold one number a row"
        )
    for broken, message in (
        (~np.isfinite(target), "its target is not a finite number"),
        (~(np.isfinite(mass) & (mass >= 0)), "its weight is not a finite number of at least 0"),
    ):
        if broken.any():
            raise UserError(f"row {np.flatnonzero(broken)[0] + 1}: {message}")
    if not np.isfinite(guess).all():
        row = np.flatnonzero(~np.isfinite(guess))[0] + 1
        raise RunError(f"row {row}: the model's prediction is not finite; it diverged in training")
    return target, guess, mass


def _raw(
    truth: npt.ArrayLike, predictions: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[Floats, Floats, Floats] | None:
    """Both on the raw scale; None where a value is too large for a float."""
    target, guess, mass = as_targets(truth, predictions, weights)
    with np.errstate(over="ignore"):
        raw = np.expm1(target), np.expm1(guess)
    return (*raw, mass) if np.isfinite(raw).all() else None


def _finite(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None
