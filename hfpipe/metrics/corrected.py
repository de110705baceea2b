"""From replicates to an interval: corrected where rows are few or resampling shifts a metric.

With few rows a metric near its best value varies more below than above, and plain percentiles are
too narrow. BCa moves the percentiles by how the replicates lie around the metric itself (bias) and
by how skewed the metric is, seen by leaving out one row at a time (acceleration). A metric that
resampling itself shifts, as it does ECE, may be as far off its true value as its replicates are off
it, or not at all: there the interval has both.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from hfpipe.metrics.resampling import defined, percentiles
from hfpipe.metrics.scores import Floats

MOST_BIAS = 0.25
"""Where the metric itself is further than this from the middle of its replicates (as a share of
them), resampling shifts it."""


def interval_of(
    values: Floats, value: float, left_out: Floats | None, confidence: float
) -> list[float] | None:
    """The bootstrap interval of a metric.

    - With more than three quarters of the replicates on one side of the metric, all from the
      percentiles to the basic interval (Davison and Hinkley 1997, section 5.2), which is the metric
      twice, minus the percentiles. Where all replicates are in [0, 1] its ends are too.
    - Else, with ``left_out``, the BCa interval; see :func:`corrected_percentiles`.
    - Else percentiles (Efron 1979).

    Args:
        values: (times,) replicates; undefined ones (NaN) are left out.
        value: The metric on the rows themselves.
        left_out: (units,) the metric without one row, or group, at a time; None: not known.
        confidence: Share of endless rows' values that such intervals hold.

    Returns:
        ``[low, high]``; None where more than 5 % of the replicates are undefined.

    >>> (
    ...     interval_of(np.arange(101.0), 50.0, None, 0.5),
    ...     interval_of(np.arange(101.0), 20.0, None, 0.5),
    ... )
    ([25.0, 75.0], [-35.0, 75.0])
    """
    known = defined(values)
    if known is None:
        return None
    low, high = percentiles(known, confidence)
    if abs(share_below(known, value) - 0.5) > MOST_BIAS:
        ends = [min(low, 2 * value - high), max(high, 2 * value - low)]
        bounded = known.min() >= 0 and known.max() <= 1
        return [min(max(end, 0.0), 1.0) for end in ends] if bounded else ends
    if left_out is None:
        return [low, high]
    return corrected_percentiles(known, value, left_out[~np.isnan(left_out)], confidence)


def share_below(known: Floats, value: float) -> float:
    """Share of the replicates below the metric; ties count half.

    >>> share_below(np.array([1.0, 2.0, 2.0, 3.0]), 2.0)
    0.5
    """
    return float(((known < value).mean() + (known <= value).mean()) / 2)


def corrected_percentiles(
    known: Floats, value: float, left_out: Floats, confidence: float
) -> list[float]:
    """The BCa interval of a metric (Efron 1987, Better Bootstrap Confidence Intervals).

    With ``z0`` the normal quantile of the share of replicates below the metric (ties count half)
    and ``a = sum(d**3) / (6 sum(d**2)**1.5)``, where ``d`` are the mean of the left-out values
    minus each, the ends are the replicates' quantiles ``Phi(z0 + (z0 + z) / (1 - a (z0 + z)))`` at
    the normal quantiles ``z`` of the confidence. Without bias and skew these are percentiles.

    >>> corrected_percentiles(np.arange(101.0), 50.0, np.array([49.0, 50.0, 51.0]), 0.5)
    [25.0, 75.0]
    >>> low, high = corrected_percentiles(np.arange(101.0), 40.0, np.array([40.0, 41.0, 40.0]), 0.5)
    >>> low < 25, high < 75
    (True, True)
    """
    bias, skew = float(norm.ppf(share_below(known, value))), acceleration(left_out)
    tail = (1 - confidence) / 2
    levels = [_level(float(norm.ppf(share)), bias, skew) for share in (tail, 1 - tail)]
    low, high = np.quantile(known, levels)
    return [float(low), float(high)]


def acceleration(left_out: Floats) -> float:
    """A sixth of the skewness of a metric over rows, by the jackknife (Efron 1987, equation 7.3).

    >>> acceleration(np.array([0.5, 0.5, 0.5])), acceleration(np.array([0.4, 0.6]))
    (0.0, 0.0)
    >>> acceleration(np.array([0.9, 0.9, 0.9, 0.6])) > 0
    True
    """
    apart = left_out.mean() - left_out if left_out.size else left_out
    spread = float((apart**2).sum()) ** 1.5
    return float((apart**3).sum()) / (6 * spread) if spread > 0 else 0.0


def _level(z: float, bias: float, skew: float) -> float:
    """One end's quantile; where the correction has no bound, the outermost replicate."""
    shifted = bias + z
    room = 1 - skew * shifted
    return float(norm.cdf(bias + shifted / room)) if room > 0 else float(shifted > 0)
