"""Where a line of a plot bears its number: where it is furthest from all other lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SAMPLES = 80
APART = 17.0
"""Two numbers are no nearer than this, as far as there is room."""


def number_places(lines: Sequence[tuple[Floats, Floats]]) -> list[tuple[float, float]]:
    """Find a place on every line, for all lines together.

    Args:
        lines: (points,) x and (points,) y of each, in the drawing's own units.

    >>> ramp = np.array([0.0, 100.0])
    >>> [(round(x), round(y)) for x, y in number_places([(ramp, ramp), (ramp, 0 * ramp)])]
    [(96, 96), (96, 0)]
    """
    walks = [_walk(x, y) for x, y in lines]
    found: list[Floats] = []
    for at, walk in enumerate(walks):
        others = [other for index, other in enumerate(walks) if index != at]
        worth = _nearest(walk, np.concatenate(others)) if others else np.zeros(len(walk))
        if found:
            free = _nearest(walk, np.stack(found))
            worth = np.where(free >= APART, worth, free - 2 * APART)
        found.append(walk[int(np.argmax(worth))])
    return [(float(x), float(y)) for x, y in found]


def _walk(x: Floats, y: Floats) -> Floats:
    """(samples, 2) points at even steps along a line, without its very ends."""
    gone = np.append(0.0, np.cumsum(np.hypot(np.diff(x), np.diff(y))))
    steps = np.linspace(0.04, 0.96, SAMPLES) * gone[-1]
    return np.stack([np.interp(steps, gone, x), np.interp(steps, gone, y)], axis=1)


def _nearest(points: Floats, others: Floats) -> Floats:
    """(points,) how far the nearest of the others is."""
    gaps = points[:, None, :] - others[None, :, :]
    nearest: Floats = np.sqrt(np.square(gaps).sum(axis=2)).min(axis=1)
    return nearest
