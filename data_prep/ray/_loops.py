"""The compiled loops of the work on a cluster."""

from __future__ import annotations

import numpy as np

from data_prep._jit import compiled


@compiled
def find_keys(high: np.ndarray, low: np.ndarray, keys: np.ndarray, places: np.ndarray) -> None:
    """Look keys of two halves up in sorted ones; -1 where one is not there."""
    for i in range(len(keys)):
        start, stop = 0, len(high)
        while start < stop:
            middle = (start + stop) // 2
            if high[middle] < keys[i, 0] or (
                high[middle] == keys[i, 0] and low[middle] < keys[i, 1]
            ):
                start = middle + 1
            else:
                stop = middle
        same = start < len(high) and high[start] == keys[i, 0] and low[start] == keys[i, 1]
        places[i] = start if same else -1
