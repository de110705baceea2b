"""Which split each kept row goes to: groups, clusters, times and given names brought together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from data_prep.corpus import Corpus
from data_prep.ledger import Ledger
from data_prep.lots import draw_order
from data_prep.options import PrepareOptions
from data_prep.reading import Engine
from data_prep.splitting import (
    SPLITS,
    SplitRequest,
    assign_folds,
    given_names,
    read_splits_file,
    split_rows,
)
from data_prep.times import gap_between, parse_times
from data_prep.units import joined_units


@dataclass
class Division:
    """Where the kept rows went.

    Attributes:
        kept: Positions of the rows that are in a split, ascending.
        splits: The split of each of them: 0 train, 1 validation, 2 test.
        folds: The fold of each; -1 for test rows. None without ``--folds``.
        clusters: Clusters of near-duplicates with more than one row that lie in one split.
    """

    kept: np.ndarray
    splits: np.ndarray
    folds: np.ndarray | None
    clusters: int


def divide(corpus: Corpus, ledger: Ledger, options: PrepareOptions, engine: Engine) -> Division:
    """Split the rows that are still in; rows in a time gap are dropped.

    Raises:
        UserError: The rows cannot be split in this way.
    """
    kept = ledger.kept()
    clusters = _clusters(corpus, kept, options, engine)
    request = _request(corpus, kept, options, clusters)
    found = split_rows(options.split, request)
    for reason, positions in found.dropped.items():
        ledger.drop(kept[positions], reason)
    stays = found.splits >= 0
    folds = None
    if options.folds:
        folds = assign_folds(request, stays & (found.splits < 2), options.folds)[stays]
    together = _kept_together(clusters, found.splits)
    return Division(kept[stays], found.splits[stays], folds, together)


def _kept_together(clusters: np.ndarray | None, splits: np.ndarray) -> int:
    """How many clusters of several rows lie in one split; splits that were given may cut some."""
    if clusters is None:
        return 0
    counted = (clusters >= 0) & (splits >= 0)
    codes = np.unique(clusters[counted], return_inverse=True)[1]
    homes = np.zeros((codes.max(initial=-1) + 1, len(SPLITS)), dtype=np.int64)
    np.add.at(homes, (codes, splits[counted]), 1)
    return int(((homes.sum(axis=1) > 1) & ((homes > 0).sum(axis=1) == 1)).sum())


def _request(
    corpus: Corpus, kept: np.ndarray, options: PrepareOptions, clusters: np.ndarray | None
) -> SplitRequest:
    times = _times(corpus, kept, options)
    groups = corpus.codes("group")[kept] if options.group_by else None
    linked = [codes for codes in (groups, clusters) if codes is not None]
    return SplitRequest(
        order=draw_order(corpus.row_ids.take(pa.array(kept)), options.seed, "split"),
        labels=corpus.labels[kept] if corpus.targets is None else np.full(len(kept), -1, np.int32),
        label_names=corpus.label_names,
        sizes=options.sizes,
        units=joined_units(*linked) if linked else None,
        group_name=options.group_by,
        times=times,
        gap=gap_between(options.gap, times, options.time_column or "") if times is not None else 0,
        given=_given(corpus, kept, options),
        given_from=options.splits_file or "--split-column",
        group_of=lambda place: corpus.notes["group"][int(kept[place])].as_py(),
        pinned=corpus.pinned[kept] if corpus.pinned is not None else None,
    )


def _times(corpus: Corpus, kept: np.ndarray, options: PrepareOptions) -> np.ndarray | None:
    if "time" not in corpus.notes:
        return None
    return parse_times(corpus.notes["time"].take(pa.array(kept)), options.time_column or "time")


def _given(corpus: Corpus, kept: np.ndarray, options: PrepareOptions) -> np.ndarray | None:
    if options.splits_file is not None:
        named = read_splits_file(Path(options.splits_file))
        ids = corpus.row_ids.take(pa.array(kept)).to_pylist()
        return given_names(named, ids, options.splits_file)
    if "given" in corpus.notes:
        return np.array(corpus.notes["given"].take(pa.array(kept)).to_pylist(), dtype=object)
    return None


def _clusters(
    corpus: Corpus, kept: np.ndarray, options: PrepareOptions, engine: Engine
) -> np.ndarray | None:
    """Clusters of near-duplicates; none are left where they were cleaned away."""
    if options.clean or not options.clusters:
        return None
    codes = np.unique(corpus.keys[kept], axis=0, return_inverse=True)[1].reshape(-1)
    if not corpus.text:
        return codes.astype(np.int64)
    near = engine.near_clusters(corpus, kept, options.threshold)
    return joined_units(codes.astype(np.int64), near)
