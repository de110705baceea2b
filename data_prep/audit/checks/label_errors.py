"""Labels that the other rows speak against (Northcutt, Jiang and Chuang 2021: confident learning).

Out-of-fold probabilities of a logistic regression on the texts' TF-IDF, judged by cleanlab.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from data_prep.audit.finding import finding, graded, skipped, table
from data_prep.audit.given import AuditInput
from hfpipe.reports.words import count, percent

TITLE = "Labels that may be wrong"
ORDER = 7
FOLDS = 5
#: Share of the rows looked at: below, there are always some.
WARN = 0.05
SHOWN = 20
#: A term in fewer rows of the sample says nothing about the rest.
RARE = 2
ITERATIONS = 15


def check(given: AuditInput) -> dict[str, Any]:
    """Find rows whose label a model that has not seen them does not believe."""
    if given.regression:
        return skipped("the target is a number, not a class")
    labelled = np.flatnonzero((given.splits >= 0) & (given.labels >= 0))
    sample = given.sample_by_class(labelled)
    counts = np.bincount(given.labels[sample], minlength=len(given.label_names))
    large = counts >= FOLDS
    sample = sample[large[given.labels[sample]]]
    if large.sum() < 2:
        return skipped(f"fewer than two classes have {FOLDS} rows")
    features = given.tfidf[sample]
    features = features[:, np.bincount(features.indices, minlength=features.shape[1]) >= RARE]
    if not features.nnz:
        return skipped("no two texts share a word of two letters")
    classes, codes = np.unique(given.labels[sample], return_inverse=True)
    believed = out_of_fold(features, codes, given.seed)
    suspects = _suspects(codes, believed)
    return _said(given, sample, classes, codes, believed, suspects, counts)


def out_of_fold(features: csr_matrix, codes: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities of the classes for each row from a model that has not seen it.

    Args:
        features: (n, terms).
        codes: (n,) classes 0 to k - 1, each at least ``FOLDS`` times.
        seed: Of the folds and the model.

    Returns:
        (n, k) probabilities.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    believed = np.zeros((len(codes), int(codes.max()) + 1))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed % 2**32)
    # SAGA is far quicker than the default on many sparse rows; where it stops, the order of the
    # probabilities has long been settled.
    model = LogisticRegression(
        solver="saga", max_iter=ITERATIONS, tol=1e-2, random_state=seed % 2**32
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for seen, asked in folds.split(features, codes):
            model.fit(features[seen], codes[seen])
            believed[asked] = model.predict_proba(features[asked])
    return believed


def _suspects(codes: np.ndarray, believed: np.ndarray) -> np.ndarray:
    from cleanlab.filter import find_label_issues

    return np.asarray(
        find_label_issues(
            codes,
            believed,
            filter_by="both",
            return_indices_ranked_by="self_confidence",
            n_jobs=1,
        ),
        dtype=np.int64,
    )


def _said(
    given: AuditInput,
    sample: np.ndarray,
    classes: np.ndarray,
    codes: np.ndarray,
    believed: np.ndarray,
    suspects: np.ndarray,
    counts: np.ndarray,
) -> dict[str, Any]:
    guesses = believed.argmax(axis=1)
    few = np.flatnonzero((counts > 0) & (counts < FOLDS)).tolist()
    small = [str(given.label_names[code]) for code in few]
    names = [str(given.label_names[code]) for code in classes]
    per_class = np.bincount(codes[suspects], minlength=len(classes))
    of_class = np.bincount(codes, minlength=len(classes))
    share = len(suspects) / len(sample)
    verdict = graded(share, WARN, 2.0)
    examples = given.shown(sample[suspects[:SHOWN]])
    for row, place in zip(examples, suspects[:SHOWN].tolist(), strict=True):
        row["suggested"] = names[guesses[place]]
        row["label_score"] = round(float(believed[place, codes[place]]), 3)
        row["suggested_score"] = round(float(believed[place, guesses[place]]), 3)
    order = np.argsort(-per_class, kind="stable")
    rows = [
        [names[c], int(of_class[c]), int(per_class[c]), percent(per_class[c] / of_class[c])]
        for c in order[:SHOWN].tolist()
        if per_class[c]
    ]
    columns = ("Class", "Rows looked at", "May be wrong", "Share")
    return finding(
        verdict,
        f"{count(len(suspects), 'row')} ({percent(share)} of {len(sample):,} looked at)",
        "Read the first ones: the surest stand first. A weak model suspects right labels too.",
        numbers={
            "rows": len(sample),
            "suspects": len(suspects),
            "share": share,
            "accuracy": float((guesses == codes).mean()),
            "classes_too_small": small,
        },
        tables=[table("Labels that may be wrong by class", columns, rows)] if rows else [],
        examples=examples,
    )
