"""``prepare.json``: what came in, what was asked for, what became of the rows."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

import numpy as np

from data_prep.corpus import Corpus
from data_prep.dividing import Division
from data_prep.ledger import Ledger
from data_prep.options import PrepareOptions
from data_prep.splitting import SPLITS
from hfpipe.version import __version__

#: Libraries that settle what the rows become.
LIBRARIES = ("ftfy", "numpy", "pyarrow", "scikit-learn", "scipy")


def prepare_record(
    corpus: Corpus, options: PrepareOptions, ledger: Ledger, division: Division
) -> dict[str, Any]:
    """The content of ``prepare.json``, but for what the steps themselves tell.

    Args:
        corpus: What was read.
        options: What was asked for.
        ledger: What became of each row.
        division: The split of each kept row.

    Returns:
        A JSON-ready dict, the same for the same inputs and options.
    """
    rows = np.bincount(division.splits, minlength=len(SPLITS))
    kept = np.unique(corpus.labels[division.kept])
    return {
        "text": corpus.text,
        "label": corpus.label,
        "task": options.task,
        "labels": [corpus.label_names[code] for code in kept[kept >= 0]],
        "inputs": corpus.inputs,
        "options": options.recorded(),
        "seed": options.seed,
        "counts": {
            **({"units": corpus.units} if corpus.units else {}),
            "in": ledger.rows_in,
            "kept": len(division.kept),
            "dropped": ledger.dropped(),
            "rewritten": {name: count for name, count in corpus.rewritten.items() if count},
            "splits": {split: int(rows[code]) for code, split in enumerate(SPLITS)},
            "per_class": _per_class(corpus, division),
            **_per_fold(division),
        },
        **({"targets": _targets(corpus, division)} if corpus.targets is not None else {}),
        "leakage_columns": list(options.leakage_columns),
        "clusters_kept_together": division.clusters,
        "malformed": [
            {"file": row.file.rpartition("/")[2], "line": row.line, "reason": row.reason}
            for row in corpus.bad
        ],
        # Neither time nor place: an unchanged command, run again, must give the same bytes and make
        # no new commit. The commit itself says when and by whom.
        "provenance": {
            "hfpipe": __version__,
            "python": platform.python_version(),
            "libraries": {name: metadata.version(name) for name in LIBRARIES},
        },
    }


def _per_class(corpus: Corpus, division: Division) -> dict[str, dict[str, int]]:
    classes = len(corpus.label_names)
    counted = (corpus.labels >= 0) & (corpus.reasons != "already_there")
    before = np.bincount(corpus.labels[counted], minlength=classes)
    labels = corpus.labels[division.kept]
    cells = np.zeros((classes, len(SPLITS)), dtype=np.int64)
    np.add.at(cells, (labels[labels >= 0], division.splits[labels >= 0]), 1)
    return {
        name: {
            "before": int(before[code]),
            "after": int(cells[code].sum()),
            **{split: int(cells[code, place]) for place, split in enumerate(SPLITS)},
        }
        for code, name in enumerate(corpus.label_names)
        if name.strip()
    }


def _per_fold(division: Division) -> dict[str, list[int]]:
    if division.folds is None:
        return {}
    return {"folds": np.bincount(division.folds[division.folds >= 0]).tolist()}


def _targets(corpus: Corpus, division: Division) -> dict[str, dict[str, float]]:
    """What the numbers to predict look like, split by split."""
    assert corpus.targets is not None
    found = {}
    for code, split in enumerate(SPLITS):
        values = corpus.targets[division.kept[division.splits == code]]
        low, middle, high = np.percentile(values, [0, 50, 100]).tolist()
        mean, spread = float(values.mean()), float(values.std())
        found[split] = {"min": low, "median": middle, "mean": mean, "std": spread, "max": high}
    return found
