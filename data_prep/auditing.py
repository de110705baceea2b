"""Give the audit what it looks at: the split rows, as arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from data_prep.audit import AuditInput, audit
from data_prep.corpus import Corpus
from data_prep.dividing import Division
from data_prep.options import PrepareOptions
from data_prep.terms import tfidf
from data_prep.times import parse_times
from hfpipe.rows.identity import ROW_ID

#: Checks that look at the terms of all rows.
TERM_CHECKS = ("near_duplicates", "label_errors")


def audit_rows(
    corpus: Corpus,
    division: Division,
    options: PrepareOptions,
    advance: Callable[[int], None] = lambda rows: None,
) -> dict[str, Any]:
    """Audit the split rows.

    Returns:
        The findings, ready for JSON.
    """
    kept = division.kept
    skip = _beyond(len(kept), corpus.counter.most_rows) if corpus.text else {}
    given = AuditInput(
        splits=division.splits,
        row_ids=corpus.row_ids.take(pa.array(kept)),
        labels=corpus.labels[kept],
        label_names=corpus.label_names,
        targets=None if corpus.targets is None else corpus.targets[kept],
        keys=corpus.keys[kept],
        rows=tfidf(corpus.counter.counts(), kept) if corpus.text and not skip else None,
        groups=corpus.codes("group")[kept] if options.group_by else None,
        group_column=options.group_by,
        times=_times(corpus, kept, options),
        time_column=options.time_column,
        lengths=corpus.lengths[kept],
        texts=lambda places: corpus.texts(kept[places]),
        columns=lambda places: _columns(corpus, kept[places]),
        leakage_columns=options.leakage_columns,
        label_column=corpus.label,
        text_columns=corpus.text,
        id_columns=[ROW_ID, *([corpus.id_column] if corpus.id_column else [])],
        seed=options.seed,
        sample_rows=options.audit_rows,
        threshold=options.threshold,
        skip=skip,
    )
    return audit(given, advance)


def _beyond(rows: int, most: float) -> dict[str, str]:
    """The checks that need the terms of all rows, where these are not all in this process."""
    if rows <= most:
        return {}
    why = f"the terms of {rows:,} rows lie in the cluster; {most:,.0f} can be looked at here"
    return dict.fromkeys(TERM_CHECKS, why)


def _times(corpus: Corpus, kept: np.ndarray, options: PrepareOptions) -> np.ndarray | None:
    if options.time_column is None:
        return None
    return parse_times(corpus.notes["time"].take(pa.array(kept)), options.time_column)


def _columns(corpus: Corpus, positions: np.ndarray) -> pa.Table:
    """The rows' other columns: neither text nor label."""
    table = corpus.spool.take(positions)
    own = {*corpus.text, corpus.label}
    return table.select([name for name in table.column_names if name not in own])
