"""Labels that a model which has not seen the row, only the others, does not believe.

The model is a logistic regression on the texts' TF-IDF; cleanlab judges its out-of-fold
probabilities (confident learning: Northcutt, Jiang and Chuang 2021).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from data_prep.audit.finding import NO_TEXTS, finding, graded, skipped, table
from data_prep.audit.given import AuditInput
from data_prep.audit.overlap import share_said
from hfpipe.reports.words import count

TITLE = "Labels that may be wrong"
ORDER = 7
FOLDS = 5
#: Share of the rows looked at: below, there are always some.
WARN = 0.05
SHOWN = 20
#: The suggested label is at least so many times as likely as the given one. What cleanlab marks
#: includes every row that a weak model merely finds hard.
SURER = 10.0
#: So much of it must be the text's doing: the frequency of the classes is divided out.
SURER_BY_TEXT = 3.0
#: Only so many classes, the largest, are looked at: the work grows with their number.
CLASSES = 60
#: A term in fewer rows of the sample says nothing about the rest.
RARE = 2
ITERATIONS = 10
#: Weak regularisation: on short texts it tells more labels than the default of 1.
STRENGTH = 4.0


def check(given: AuditInput) -> dict[str, Any]:
    """Find rows whose label a model that has not seen them does not believe."""
    if given.regression:
        return skipped("the target is a number, not a class")
    if not given.has_texts:
        return skipped(NO_TEXTS)
    labelled = np.flatnonzero((given.splits >= 0) & (given.labels >= 0))
    counts = np.bincount(given.labels[labelled], minlength=len(given.label_names))
    looked_at = np.argsort(-counts, kind="stable")[:CLASSES]
    looked_at = looked_at[counts[looked_at] >= FOLDS]
    if len(looked_at) < 2:
        return skipped(f"fewer than two classes have {FOLDS} rows")
    sample = given.sample_by_class(labelled[np.isin(given.labels[labelled], looked_at)])
    # In the order of the lots, so that the folds do not depend on that of the rows.
    sample = sample[np.argsort(given.lots[sample], kind="stable")]
    classes, codes, rows = np.unique(given.labels[sample], return_inverse=True, return_counts=True)
    if rows.min() < FOLDS:
        return skipped(f"a sample of {len(sample):,} rows has too few rows a class")
    features = given.tfidf[sample]
    features = features[:, np.bincount(features.indices, minlength=features.shape[1]) >= RARE]
    if not features.nnz:
        return skipped("no two texts share a word of two letters")
    believed = out_of_fold(features, codes, given.seed)
    marked = _marked(codes, believed)
    return _said(given, Judged(sample, classes, codes, believed, marked), counts)


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
        solver="saga", C=STRENGTH, max_iter=ITERATIONS, tol=1e-2, random_state=seed % 2**32
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for seen, asked in folds.split(features, codes):
            model.fit(features[seen], codes[seen])
            believed[asked] = model.predict_proba(features[asked])
    return believed


@dataclass(frozen=True)
class Judged:
    """The rows looked at and what is thought of their labels.

    Attributes:
        sample: (n,) their positions.
        classes: (k,) their label codes.
        codes: (n,) the given class of each, as a place in ``classes``.
        believed: (n, k) out-of-fold probabilities.
        marked: (n,) whether cleanlab takes the label for wrong.
    """

    sample: np.ndarray
    classes: np.ndarray
    codes: np.ndarray
    believed: np.ndarray
    marked: np.ndarray

    def suspects(self) -> np.ndarray:
        """Rows that cleanlab marks and whose best class is far more likely: the surest first."""
        given = self.believed[np.arange(len(self.codes)), self.codes]
        best = self.believed.argmax(axis=1)
        ratio = self.believed.max(axis=1) / np.maximum(given, 1e-12)
        rows = np.bincount(self.codes)
        by_text = ratio * rows[self.codes] / rows[best]
        found = np.flatnonzero(self.marked & (ratio >= SURER) & (by_text >= SURER_BY_TEXT))
        return found[np.argsort(-ratio[found], kind="stable")]


def _marked(codes: np.ndarray, believed: np.ndarray) -> np.ndarray:
    from cleanlab.filter import find_label_issues

    return np.asarray(find_label_issues(codes, believed, filter_by="both", n_jobs=1), dtype=bool)


def _said(given: AuditInput, judged: Judged, counts: np.ndarray) -> dict[str, Any]:
    suspects = judged.suspects()
    names = [given.name(code) for code in judged.classes.tolist()]
    left_out = np.setdiff1d(np.flatnonzero(counts), judged.classes).tolist()
    share = len(suspects) / len(judged.sample)
    right = judged.believed.argmax(axis=1) == judged.codes
    return finding(
        graded(share, WARN, 2.0),
        f"{share_said(share)} of the {count(len(judged.sample), 'row')} looked at",
        "Read them, the surest first. A model that is often wrong suspects right labels too."
        if len(suspects)
        else "",
        numbers={
            "rows": len(judged.sample),
            "suspects": len(suspects),
            "share": share,
            "marked_by_cleanlab": int(judged.marked.sum()),
            "accuracy": float(right.mean()),
            "classes_left_out": [given.name(code) for code in left_out],
        },
        tables=_tables(judged, suspects, names),
        examples=_examples(given, judged, suspects[:SHOWN], names),
    )


def _tables(judged: Judged, suspects: np.ndarray, names: list[str]) -> list[dict[str, Any]]:
    found = np.bincount(judged.codes[suspects], minlength=len(names))
    rows = np.bincount(judged.codes, minlength=len(names))
    order = [code for code in np.argsort(-found, kind="stable")[:SHOWN].tolist() if found[code]]
    if not order:
        return []
    columns = ("Class", "Rows looked at", "May be wrong", "Share")
    lines = [
        [names[code], int(rows[code]), int(found[code]), share_said(found[code] / rows[code])]
        for code in order
    ]
    return [table("Labels that may be wrong, by class", columns, lines)]


def _examples(
    given: AuditInput, judged: Judged, chosen: np.ndarray, names: list[str]
) -> list[dict[str, Any]]:
    examples = given.shown(judged.sample[chosen])
    for row, place in zip(examples, chosen.tolist(), strict=True):
        scores = judged.believed[place]
        row["suggested"] = names[int(scores.argmax())]
        row["score_of_label"] = float(scores[judged.codes[place]])
        row["score_of_suggested"] = float(scores.max())
    return examples
