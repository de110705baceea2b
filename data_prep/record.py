"""``prepare.json``: what came in, what was asked for, what became of the rows."""

from __future__ import annotations

import platform
from collections import Counter
from importlib import metadata
from typing import Any

import numpy as np

from data_prep.balancing import class_counts
from data_prep.ledger import Ledger
from data_prep.options import PrepareOptions
from data_prep.reading import Corpus
from data_prep.splitting import SPLITS
from hfpipe.version import __version__

#: Libraries that settle what the rows become.
LIBRARIES = ("numpy", "pyarrow", "scikit-learn", "scipy")
#: Bad lines listed one by one.
LISTED = 100


def prepare_record(
    corpus: Corpus, options: PrepareOptions, ledger: Ledger, splits: np.ndarray
) -> dict[str, Any]:
    """The content of ``prepare.json``.

    Args:
        corpus: What was read.
        options: What was asked for.
        ledger: What became of each row.
        splits: The split of each kept row.

    Returns:
        A JSON-ready dict, the same for the same inputs and options.
    """
    kept_labels = [corpus.labels[i] for i in ledger.kept()]
    per_split = Counter(splits.tolist())
    return {
        "text": corpus.text_names,
        "label": options.label,
        "labels": sorted(label for label in set(kept_labels) if label is not None),
        "inputs": corpus.inputs,
        "options": options.recorded(),
        "seed": options.seed,
        "counts": {
            "in": ledger.rows_in,
            "kept": len(kept_labels),
            "dropped": ledger.dropped(),
            "splits": {split: per_split[split] for split in SPLITS},
            "per_class": _per_class(corpus, kept_labels, splits),
        },
        "malformed": [
            {"file": row.file.rpartition("/")[2], "line": row.line, "reason": row.reason}
            for row in corpus.bad[:LISTED]
        ],
        # Neither time nor place: an unchanged command, run again, must give the same bytes and make
        # no new commit. The commit itself says when and by whom.
        "provenance": {
            "hfpipe": __version__,
            "python": platform.python_version(),
            "libraries": {name: metadata.version(name) for name in LIBRARIES},
        },
    }


def _per_class(
    corpus: Corpus, kept_labels: list[str | None], splits: np.ndarray
) -> dict[str, dict[str, int]]:
    before = class_counts(label for label in corpus.labels if label and label.strip())
    after = class_counts(kept_labels)
    cells = Counter(zip(kept_labels, splits.tolist(), strict=True))
    return {
        label: {
            "before": rows,
            "after": after.get(label, 0),
            **{split: cells[label, split] for split in SPLITS},
        }
        for label, rows in before.items()
    }
