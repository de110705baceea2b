"""The best of all thresholds of 1,000,000 scores: < 1 s, >= 20x a loop of scikit-learn over 200.

The loop is the plain one: `f1_score` at 200 thresholds spread evenly over the rows. Its calls take
the same time each, so that 20 of them are timed, and 200 times their median is told. Ours looks at
every threshold that makes a difference, about a million of them; beside it stand the time of the
slowest aim, and that of `precision_recall_curve`, from which the best F1 can be read as well.

Both take turns, and the figures are medians. Checked besides: that F1 at our threshold is what
scikit-learn says, to twelve digits, and no lower than the best of the loop.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

ROWS = 1_000_000
CANDIDATES, TIMED = 200, 20
REPEATS = 5
TARGET_SECONDS, TARGET_RATIO = 1.0, 20.0


def scores_of(rows: int, seed: int = 0) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Truth, a tenth of it 1, and probabilities that tell something of it."""
    draw = np.random.default_rng(seed)
    truth = (draw.random(rows) < 0.1).astype(np.int64)
    return truth, 1 / (1 + np.exp(-draw.normal(2.0 * truth - 2.5, 1.5)))


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Let the sweep, the curve and a call of the loop take turns."""
    from sklearn.metrics import f1_score, precision_recall_curve

    from hfpipe.metrics.aims import FORMS
    from hfpipe.metrics.thresholds import best_threshold

    truth, scores = scores_of(ROWS)
    timed = 3 if args.quick else TIMED
    candidates = np.quantile(scores, np.linspace(0, 1, timed + 2)[1:-1])
    ours: list[float] = []
    theirs: list[float] = []
    curves: list[float] = []
    found: list[float] = []
    for turn, at in enumerate(candidates):
        if turn % max(1, timed // REPEATS) == 0:
            ours.append(seconds(partial(best_threshold, truth, scores)))
            curves.append(seconds(partial(precision_recall_curve, truth, scores)))
        start = time.perf_counter()
        found.append(float(f1_score(truth, scores >= at)))
        theirs.append(time.perf_counter() - start)
    best = best_threshold(truth, scores)
    assert best.threshold is not None
    assert best.value is not None
    equal = abs(f1_score(truth, scores >= best.threshold) - best.value) < 1e-12
    slowest = max(seconds(partial(best_threshold, truth, scores, aim)) for aim in FORMS)
    sweep, loop = statistics.median(ours), CANDIDATES * statistics.median(theirs)
    return {
        "scores": ROWS,
        "thresholds that make a difference": len(np.unique(scores)) + 1,
        "sweep over all, median seconds": sweep,
        "sweep with the slowest aim, seconds": slowest,
        f"scikit-learn loop over {CANDIDATES}, seconds": loop,
        "scikit-learn precision_recall_curve, seconds": statistics.median(curves),
        "loop / sweep": loop / sweep,
        "best F1, ours": best.value,
        f"best F1, loop over {timed}": max(found),
        "target seconds": TARGET_SECONDS,
        "target loop / sweep": TARGET_RATIO,
        "passed": sweep < TARGET_SECONDS
        and loop / sweep >= TARGET_RATIO
        and equal
        and best.value >= max(found),
    }
