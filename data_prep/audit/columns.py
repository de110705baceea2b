"""How well one column alone predicts the label or the target, out of sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_prep.audit.given import AuditInput
from hfpipe.reports.words import shortened

FOLDS = 3
#: A number with at most so many values is tried as a category too.
CATEGORIES = 100
#: Leaves of a tree, and rows that a leaf needs at least.
LEAVES, LEAF_ROWS = 64, 5
#: Fewer groups than this cannot be spread over the folds.
GROUPS = 30
#: How many rows' worth of doubt a category starts with.
DOUBT = 1.0
#: A class needs so many rows in and outside of it for a score of its own.
CLASS_ROWS = 20
#: Classes with a score of their own, the largest; the rest counts as one.
SCORED_CLASSES = 40
CLASS_OF_ONE = "class '{}' against the rest"


@dataclass(frozen=True)
class ColumnScore:
    """What a column says about the label.

    Attributes:
        column: Its name.
        score: ROC AUC of the class it tells best, or R² or rank correlation of the target; out
            of sample.
        of: What the score is of: a class, or the target.
        average: The mean over the classes; None for a target.
        read_as: ``"number"`` or ``"category"``.
        missing: Score of nothing but where it is missing; None where it never is.
    """

    column: str
    score: float
    of: str
    average: float | None
    read_as: str
    missing: float | None

    def as_dict(self) -> dict[str, Any]:
        """Its attributes."""
        return asdict(self)

    def said(self, measure: str) -> str:
        """The column and its score in words."""
        name = shortened(" ".join(self.column.split()), 60)
        return f"'{name}' ({measure} {self.score:.3f})"


@dataclass(frozen=True)
class Scored:
    """A score and what it is of."""

    score: float
    of: str
    average: float | None = None


def score_columns(
    given: AuditInput, sample: np.ndarray, columns: pa.Table
) -> tuple[list[ColumnScore], dict[str, str]]:
    """Score every column.

    Args:
        given: The rows.
        sample: Positions of the rows that ``columns`` holds.
        columns: The columns.

    Returns:
        The scores, the highest first, and the columns that cannot be read with what they are.
    """
    judge = Judge(given, sample)
    scores, unread = [], {}
    for name in columns.column_names:
        column = columns[name].combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        read = next((read for fits, read in READERS if fits(column.type)), None)
        if read is None:
            unread[name] = str(column.type)[:60]
            continue
        scores.append(judge.score(name, read(column), column.is_null().to_numpy(False)))
    return sorted(scores, key=lambda score: (-score.score, score.column)), unread


class Judge:
    """Scores columns against one label or target, on the same folds."""

    def __init__(self, given: AuditInput, sample: np.ndarray) -> None:
        self.folds = _folds(given, sample)
        self.targets = None if given.targets is None else given.targets[sample]
        self.codes, self.names = _largest_classes(given, sample)

    @property
    def width(self) -> int:
        """Class codes, that of the small classes included."""
        return int(self.codes.max()) + 1

    def score(self, name: str, values: np.ndarray, missing: np.ndarray) -> ColumnScore:
        """Score a column that was read as numbers (float64) or as category codes (int64)."""
        tried = {}
        codes = values if values.dtype.kind == "i" else _few_codes(values)
        if codes is not None:
            tried["category"] = self._judged(self._by_category(codes))
        if values.dtype.kind == "f":
            tried["number"] = self._judged(self._by_tree(values))
            if self.targets is not None:
                tried["number"] = max(tried["number"], self._ranked(values), key=_score)
        read_as = max(sorted(tried), key=lambda way: tried[way].score)
        best = tried[read_as]
        alone = None
        if missing.any():
            alone = self._judged(self._by_category(missing.astype(np.int64))).score
        return ColumnScore(name, best.score, best.of, best.average, read_as, alone)

    def _by_category(self, codes: np.ndarray) -> np.ndarray:
        """For each row what the rows of its category in the other folds have."""
        if self.targets is not None:
            wanted = self.targets[:, None]
        else:
            wanted = np.eye(self.width)[self.codes]
        guesses = np.empty_like(wanted, dtype=np.float64)
        size = int(codes.max()) + 1
        for fold in range(FOLDS):
            seen, asked = self.folds != fold, self.folds == fold
            prior = wanted[seen].mean(axis=0) if seen.any() else wanted.mean(axis=0)
            rows = np.bincount(codes[seen], minlength=size)[codes[asked], None]
            for column in range(wanted.shape[1]):
                sums = np.bincount(codes[seen], wanted[seen, column], minlength=size)
                guesses[asked, column] = sums[codes[asked]]
            guesses[asked] = (guesses[asked] + DOUBT * prior) / (rows + DOUBT)
        return guesses

    def _by_tree(self, values: np.ndarray) -> np.ndarray:
        """For each row what a small tree, grown on the other folds, says."""
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        width = 1 if self.targets is not None else self.width
        guesses = np.zeros((len(values), width))
        settings = {"max_leaf_nodes": LEAVES, "min_samples_leaf": LEAF_ROWS, "random_state": 0}
        for fold in range(FOLDS):
            seen, asked = np.flatnonzero(self.folds != fold), np.flatnonzero(self.folds == fold)
            if not len(seen) or not len(asked):
                continue
            if self.targets is not None:
                tree = DecisionTreeRegressor(**settings).fit(values[seen, None], self.targets[seen])
                guesses[asked, 0] = tree.predict(values[asked, None])
            else:
                tree = DecisionTreeClassifier(**settings).fit(values[seen, None], self.codes[seen])
                found = tree.predict_proba(values[asked, None])
                guesses[np.ix_(asked, tree.classes_)] = found
        return guesses

    def _judged(self, guesses: np.ndarray) -> Scored:
        if self.targets is not None:
            spread = float(((self.targets - self.targets.mean()) ** 2).sum())
            missed = float(((self.targets - guesses[:, 0]) ** 2).sum())
            return Scored(max(0.0, 1 - missed / spread) if spread else 0.0, "R²")
        return self._best_class(guesses)

    def _best_class(self, guesses: np.ndarray) -> Scored:
        from scipy.stats import rankdata

        found = {}
        counts = np.bincount(self.codes)
        for code in range(min(len(counts), SCORED_CLASSES)):
            inside, outside = int(counts[code]), int(counts.sum() - counts[code])
            if min(inside, outside) < CLASS_ROWS:
                continue
            ranks = rankdata(guesses[:, code])[self.codes == code].sum()
            found[code] = float((ranks - inside * (inside + 1) / 2) / (inside * outside))
        if not found:
            return Scored(0.5, "no class has enough rows", 0.5)
        best = max(found, key=lambda code: (found[code], -code))
        of = CLASS_OF_ONE.format(self.names[best]) if len(counts) > 2 else "the two classes"
        return Scored(found[best], of, float(np.mean(list(found.values()))))

    def _ranked(self, values: np.ndarray) -> Scored:
        from scipy.stats import rankdata

        assert self.targets is not None
        known = np.isfinite(values)
        if known.sum() < CLASS_ROWS:
            return Scored(0.0, "rank correlation")
        ranks = rankdata(values[known]), rankdata(self.targets[known])
        spreads = [rank.std() for rank in ranks]
        if not all(spreads):
            return Scored(0.0, "rank correlation")
        return Scored(abs(float(np.corrcoef(*ranks)[0, 1])), "rank correlation")


def _largest_classes(given: AuditInput, sample: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Codes and names of the classes, the largest first; small ones share the last code."""
    if not given.label_names:
        return np.zeros(len(sample), dtype=np.int64), []
    labels = given.labels[sample]
    counts = np.bincount(np.maximum(labels, 0), minlength=max(1, len(given.label_names)))
    largest_first = np.argsort(-counts, kind="stable")
    rank = np.empty_like(largest_first)
    rank[largest_first] = np.arange(len(largest_first))
    codes = np.minimum(rank[np.maximum(labels, 0)], SCORED_CLASSES)
    return codes, [given.name(code) for code in largest_first[:SCORED_CLASSES].tolist()]


def _score(scored: Scored) -> float:
    return scored.score


def _folds(given: AuditInput, sample: np.ndarray) -> np.ndarray:
    """A fold for each row by lot, the same for rows of one group where there are enough."""
    lots = given.lots[sample]
    if given.groups is not None:
        different, groups = np.unique(given.groups[sample], return_inverse=True)
        if len(different) >= GROUPS:
            of_group = np.full(len(different), np.iinfo(np.uint64).max)
            np.minimum.at(of_group, groups, lots)
            lots = np.where(given.groups[sample] >= 0, of_group[groups], lots)
    return (lots % np.uint64(FOLDS)).astype(np.int64)


def _few_codes(values: np.ndarray) -> np.ndarray | None:
    """Codes of numbers that have few values."""
    different, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int64) if len(different) <= CATEGORIES else None


def _as_numbers(column: pa.Array) -> np.ndarray:
    numbers = column.cast(pa.float64(), safe=False)
    values = np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _moments(column: pa.Array) -> np.ndarray:
    whole = pa.int32() if column.type.bit_width == 32 else pa.int64()
    return _as_numbers(column.cast(whole))


def _categories(column: pa.Array) -> np.ndarray:
    coded = pc.dictionary_encode(column, null_encoding="encode")
    return np.asarray(coded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def _lengths(column: pa.Array) -> np.ndarray:
    return _as_numbers(pc.list_value_length(column))


#: What is done with a column of a type; vectors and nested values are not read.
READERS: list[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], np.ndarray]]] = [
    (pa.types.is_boolean, _categories),
    (pa.types.is_integer, _as_numbers),
    (pa.types.is_floating, _as_numbers),
    (pa.types.is_decimal, _as_numbers),
    (pa.types.is_temporal, _moments),
    (pa.types.is_string, _categories),
    (pa.types.is_large_string, _categories),
    (pa.types.is_string_view, _categories),
    (pa.types.is_list, _lengths),
    (pa.types.is_large_list, _lengths),
    (pa.types.is_null, lambda column: np.zeros(len(column), dtype=np.int64)),
]
